// SPDX-License-Identifier: Apache-2.0

// Command proof counts what bad plugins cost: each is given to a gateway by this operator, and to another one by Istio's own
// WasmPlugin, under requests. It prints a table, and fails if a request failed at the first one, or a change did not arrive.
// With BIG=1 it also builds a firewall of 30 MB, and delivers that with good rules.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
	"github.com/solarmesh/wasmplugin-operator/test/story"
)

// The rules protect one path, and requests are counted on another.
const (
	protected = "/productpage"
	open      = "/open"
	goodRules = `{basic_auth_rules: [{prefix: /productpage, request_methods: [GET], credentials: ["ok:test"]}]}`
	badRules  = `{basic_auth_rules: everybody}`
	// The firewall denies one path.
	denied  = "/admin"
	denying = `{directives: ["SecRuleEngine On", 'SecRule REQUEST_URI "@contains /admin" "id:1,phase:1,deny"']}`
)

// proofCase is a bad plugin.
type proofCase struct {
	name, path, rules string
	// running says that a good plugin of that name is in force before, good that this one is to come into force.
	running, good bool
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

var bigCase = proofCase{name: "new plugin of 30 MB with good rules", path: bigPath, rules: denying, good: true}

const (
	trapPath = "/trap.wasm"
	textPath = "/text.wasm"
	bigPath  = "/coraza.wasm"
)

// trap is a module whose start section traps: test/agreement/modules/wat/start-section-traps.wat, compiled by hand, since its
// compiler takes a gigabyte of others.
var trap = []byte("\x00asm\x01\x00\x00\x00" +
	"\x01\x09\x02\x60\x00\x00\x60\x01\x7f\x01\x7f" + // types: () → (), i32 → i32
	"\x03\x04\x03\x00\x01\x00" + // functions: the ABI's, malloc, start
	"\x05\x03\x01\x00\x01" + // a page of memory
	"\x07\x2d\x03\x06memory\x02\x00\x17proxy_abi_version_0_2_1\x00\x00\x06malloc\x00\x01" +
	"\x08\x01\x02" + // start
	"\x0a\x0e\x03\x02\x00\x0b\x05\x00\x41\x80\x20\x0b\x03\x00\x00\x0b")

// The whole run ends by then.
const (
	patience    = 8 * time.Minute
	bigPatience = 16 * time.Minute
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	long, big := patience, os.Getenv("BIG") != ""
	if big {
		long = bigPatience
		cases = append(cases, bigCase)
	}
	ctx, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	if err := run(ctx, big); err != nil {
		fmt.Fprintln(os.Stderr, "proof:", err)
		os.Exit(1)
	}
}

// run leaves the logs of a run that went wrong.
func run(ctx context.Context, big bool) (err error) {
	dir, err := os.MkdirTemp("", "wasmplugin-proof-")
	if err != nil {
		return err
	}
	defer func() {
		if err == nil {
			err = os.RemoveAll(dir)
		} else {
			err = fmt.Errorf("%w\nThe logs are in %s", err, dir)
		}
	}()
	world, err := story.New(ctx, dir, os.Stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, world.Stop()) }()
	// No module is looked at before proxies are: all that is bad gets as far as them.
	world.ObserveProxies, world.Args = true, []string{"--resolve-modules=false", "--store-url="}
	if err := start(ctx, world, big); err != nil {
		return err
	}
	sides := []*side{{name: "this operator", world: world, ours: true}, {name: "Istio's own", world: world}}
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

func start(ctx context.Context, world *story.World, big bool) error {
	if err := world.StartMesh(ctx); err != nil {
		return err
	}
	world.Modules.Serve(trapPath, trap)
	world.Modules.Serve(textPath, []byte("this is no module"))
	if big {
		if err := serveFirewall(ctx, world); err != nil {
			return err
		}
	}
	if _, err := world.InstallChart(ctx); err != nil {
		return err
	}
	return world.StartOperator(ctx)
}

// serveFirewall takes its time to build it.
func serveFirewall(ctx context.Context, world *story.World) error {
	build := exec.CommandContext(ctx, "go", "build", "-buildmode=c-shared", "-tags=no_fs_access", "-o", world.Plugin(bigPath), ".")
	build.Dir = filepath.Join(world.Root, "test", "plugins", "coraza")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("cannot build the firewall: %w", err)
	}
	return world.Modules.ServeFile(bigPath, world.Plugin(bigPath))
}

// play runs the cases, each on both sides at a time, and prints the table, also of those before one that went wrong.
func play(ctx context.Context, sides []*side) error {
	table := []string{
		"| case | requests ours | failed ours | other changes arrive (ours) | requests Istio's | failed Istio's | other changes arrive (Istio's) |",
		"| --- | --- | --- | --- | --- | --- | --- |",
	}
	defer func() { fmt.Println(strings.Join(table, "\n")) }()
	var harmed []error
	for _, c := range cases {
		fmt.Fprintln(os.Stderr, "case:", c.name)
		outcomes, errs := make([]outcome, len(sides)), make([]error, len(sides))
		var running sync.WaitGroup
		for i, s := range sides {
			running.Go(func() {
				outcomes[i], errs[i] = s.play(ctx, c)
				o := outcomes[i]
				s.say("%s; %.0f a second; failed: %s", o, o.rate, strings.Join(o.failures, "; "))
			})
		}
		running.Wait()
		if err := errors.Join(errs...); err != nil {
			return errors.Join(append(harmed, fmt.Errorf("%s: %w", c.name, err))...)
		}
		table = append(table, fmt.Sprintf("| %s | %s | %s |", c.name, outcomes[0], outcomes[1]))
		harmed = append(harmed, outcomes[0].harm(c), outcomes[1].busy(c))
	}
	return errors.Join(harmed...)
}

// harm is what our side must not do.
func (o outcome) harm(c proofCase) error {
	if o.failed > 0 || !o.plugin || !o.route || !o.inForce {
		return fmt.Errorf("%s: %d of %d requests failed; another plugin arrives: %t, another route: %t; what ran is in force: %t",
			c.name, o.failed, o.sent, o.plugin, o.route, o.inForce)
	}
	return o.busy(c)
}

// busy says that there were too few requests to prove something.
func (o outcome) busy(c proofCase) error {
	if o.rate < atLeast {
		return fmt.Errorf("%s: this machine is too busy for %d requests a second: %.0f", c.name, atLeast, o.rate)
	}
	return nil
}

func (o outcome) String() string {
	arrived := map[bool]string{true: "yes", false: "no"}
	return fmt.Sprintf("%d | %d | plugin: %s, route: %s", o.sent, o.failed, arrived[o.plugin], arrived[o.route])
}

// say tells how far a side is.
func (s *side) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "  %s: %s\n", s.name, fmt.Sprintf(format, args...))
}
