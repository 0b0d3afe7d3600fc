// SPDX-License-Identifier: Apache-2.0

// Command proof counts what bad plugins cost: each is given to a gateway by this operator, and to another one by Istio's own
// WasmPlugin, under requests. It prints a table, and fails if a request failed at the first one.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
	"github.com/solarmesh/wasmplugin-operator/test/story"
)

// The rules protect one path, and requests are counted on another.
const (
	protected = "/productpage"
	open      = "/open"
	goodRules = `{basic_auth_rules: [{prefix: /productpage, request_methods: [GET], credentials: ["ok:test"]}]}`
	badRules  = `{basic_auth_rules: everybody}`
)

// proofCase is a bad plugin.
type proofCase struct {
	name, path, rules string
	// running says that a good plugin of that name is in force before.
	running bool
}

// id is the name of its plugin.
func (c proofCase) id() string { return strings.ReplaceAll(strings.ToLower(c.name), " ", "-") }

var cases = []proofCase{
	{name: "new plugin that refuses its rules", path: story.BasicAuthPath, rules: badRules},
	{name: "new plugin that traps at its start", path: trapPath, rules: goodRules},
	{name: "new plugin whose URL answers 404", path: "/nowhere.wasm", rules: goodRules},
	{name: "bad rules for a running plugin", path: story.BasicAuthPath, rules: badRules, running: true},
	{name: "bad module for a running plugin", path: textPath, rules: goodRules, running: true},
}

const (
	trapPath = "/trap.wasm"
	textPath = "/text.wasm"
)

// trap is a module whose start section traps.
var trap = []byte("\x00asm\x01\x00\x00\x00" +
	"\x01\x09\x02\x60\x00\x00\x60\x01\x7f\x01\x7f" + // types: () → (), i32 → i32
	"\x03\x04\x03\x00\x01\x00" + // functions: the ABI's, malloc, start
	"\x05\x03\x01\x00\x01" + // a page of memory
	"\x07\x2d\x03\x06memory\x02\x00\x17proxy_abi_version_0_2_1\x00\x00\x06malloc\x00\x01" +
	"\x08\x01\x02" + // start
	"\x0a\x0e\x03\x02\x00\x0b\x05\x00\x41\x80\x20\x0b\x03\x00\x00\x0b")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "proof:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "wasmplugin-proof-")
	if err != nil {
		return err
	}
	world, err := story.New(ctx, dir, os.Stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, world.Stop()) }()
	// No module is looked at before proxies are: all that is bad gets as far as them.
	world.ObserveProxies, world.Args = true, []string{"--resolve-modules=false", "--store-url="}
	if err := start(ctx, world); err != nil {
		return err
	}
	sides := []*side{{world: world, ours: true}, {world: world}}
	for i, s := range sides {
		ports, err := chain.FreePorts(1)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("proof-%d", i)
		s.gateway = story.Gateway{Namespace: chain.IstioNamespace, Name: name, Label: name, Ports: ports}
		if s.proxy, err = world.StartGateway(ctx, s.gateway); err != nil {
			return err
		}
	}
	return play(ctx, sides)
}

func start(ctx context.Context, world *story.World) error {
	if err := world.StartMesh(ctx); err != nil {
		return err
	}
	world.Modules.Serve(trapPath, trap)
	world.Modules.Serve(textPath, []byte("this is no module"))
	if _, err := world.InstallChart(ctx); err != nil {
		return err
	}
	return world.StartOperator(ctx)
}

// play runs the cases, each on both sides at a time, and prints the table.
func play(ctx context.Context, sides []*side) error {
	fmt.Println("| case | requests | failed | other changes arrive | requests | failed | other changes arrive |\n|---|---|---|---|---|---|---|")
	var harmed []error
	for _, c := range cases {
		outcomes, errs := make([]outcome, len(sides)), make([]error, len(sides))
		var running sync.WaitGroup
		for i, s := range sides {
			running.Go(func() { outcomes[i], errs[i] = s.run(ctx, c) })
		}
		running.Wait()
		if err := errors.Join(errs...); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		fmt.Printf("| %s | %s | %s |\n", c.name, outcomes[0], outcomes[1])
		if ours := outcomes[0]; ours.failed > 0 || !ours.plugin || !ours.route {
			harmed = append(harmed, fmt.Errorf("%s: %d of %d requests failed; other changes arrive: %t, %t", c.name, ours.failed, ours.sent, ours.plugin, ours.route))
		}
	}
	return errors.Join(harmed...)
}

func (o outcome) String() string {
	arrived := map[bool]string{true: "yes", false: "no"}
	return fmt.Sprintf("%d | %d | plugin: %s, route: %s", o.sent, o.failed, arrived[o.plugin], arrived[o.route])
}
