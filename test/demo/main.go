// SPDX-License-Identifier: Apache-2.0

// Command demo shows what the operator does, on a real Kubernetes API, istiod and Envoy: a WasmPlugin becomes a pair of
// EnvoyFilters, and real requests are answered by the plugin. It ends by itself, with exit status 0 if every answer was
// right. With KEEP=1 it leaves everything running until it is interrupted.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/solarmesh/wasmplugin-operator/test/story"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	keep := os.Getenv("KEEP")
	os.Exit(run(ctx, keep != "" && keep != "0"))
}

// run returns the exit status.
func run(ctx context.Context, keep bool) int {
	dir, err := os.MkdirTemp("", "wasmplugin-demo-")
	if err != nil {
		fmt.Println("demo: no folder for its state:", err)
		return 1
	}
	d := &demo{ctx: ctx, start: time.Now(), dir: dir}
	err = d.play(keep)
	interrupted := ctx.Err() != nil
	switch {
	case interrupted:
		fmt.Println()
	case err != nil:
		fmt.Printf("\nIt went wrong: %v\n", err)
	}
	d.step("Stop everything")
	if stopErr := d.stop(); stopErr != nil {
		err = errors.Join(err, stopErr)
		fmt.Println(indent(stopErr.Error()))
	}
	return d.end(err, interrupted, keep)
}

// end removes the state, unless somebody will want to read the logs, and prints the count.
func (d *demo) end(err error, interrupted, keep bool) int {
	wrong := d.wrong > 0 || (err != nil && !interrupted)
	if wrong {
		fmt.Println("\nThe logs are in", d.dir)
	} else if err := os.RemoveAll(d.dir); err != nil {
		fmt.Println("\nThe state could not be removed:", err)
	}
	early := interrupted && (!keep || !d.complete)
	if early {
		fmt.Println("\ndemo: interrupted")
	}
	fmt.Printf("\ndemo: %d answers right, %d wrong\n", d.right, d.wrong)
	if wrong || early {
		return 1
	}
	return 0
}

func (d *demo) stop() error {
	if d.world == nil {
		return nil
	}
	return d.world.Stop()
}

// play goes through the whole story. It returns an error where it cannot go on; a wrong answer is only counted.
func (d *demo) play(keep bool) error {
	fmt.Print(introduction)
	for _, scene := range []func() error{
		d.prepare, d.startMesh, d.startGateway, d.installChart, d.startOperator,
		d.applySamples, d.askGateway, d.changeRules, d.deletePlugins,
	} {
		if err := scene(); err != nil {
			return err
		}
	}
	d.complete = true
	if !keep {
		return nil
	}
	return d.leaveRunning()
}

const introduction = `One WasmPlugin becomes the two EnvoyFilters that run a plugin in Envoy.

Kubernetes' API, istiod, Istio's agent and Envoy are the real ones. They run as processes of this machine, on free
ports, and end with the demo. What follows a $ is run just so, and what it prints is shown.
`

// demo is a run.
type demo struct {
	ctx   context.Context
	start time.Time
	dir   string
	world *story.World

	gateway      story.Gateway
	gatewayReady time.Time
	adminURL     string // Envoy's
	curl         bool   // there is one

	steps, right, wrong int
	// complete says that the story was played to its end.
	complete bool
}
