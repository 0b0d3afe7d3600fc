// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"testing"
	"time"
)

const (
	// few is how many plugins the gates are about; as many are added to see that the cost of one stays the same.
	few = 100
	// byHand is how many EnvoyFilters are edited, and how many are deleted.
	byHand = 10
	// maxBytes is for one created plugin, watches included: what was measured, and a fifth more.
	maxBytes = 16500
	// maxChangeBytes is for one whose rules change.
	maxChangeBytes = 16000
	// noise is what a heap may differ by without a reason, in bytes.
	noise = 500_000
)

// gates hold an operator to the figures that don't depend on the machine: counts, bytes and memory.
type gates struct {
	*world
	o *operator
	// first is what the first plugins cost, second what as many more did.
	first, second cost
	// empty, one and two are heaps: without plugins, with few and with twice as many.
	empty, one, two int64
}

func TestGates(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	w, err := newWorld(ctx, t.TempDir(), t.Output())
	must(t, err)
	defer func() { must(t, w.Stop()) }()
	g := &gates{world: w}
	g.o, err = w.startOperator(ctx, "operator", w.ours)
	must(t, err)
	defer func() { must(t, g.o.Kill(context.WithoutCancel(ctx))) }()
	must(t, g.o.ready(ctx, 0))
	for _, gate := range []struct {
		name string
		try  func(context.Context, *testing.T)
	}{
		{"create", g.create},
		{"change", g.change},
		{"touch", g.touch},
		{"restart", g.restart},
		{"drift", g.drift},
		{"nothing happens", g.quiet},
		{"as many again", g.again},
		{"large rules", g.largeRules},
	} {
		if !t.Run(gate.name, func(t *testing.T) { gate.try(ctx, t) }) {
			t.Log(g.o.Log())
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// exact compares a count.
func exact(t *testing.T, what string, got, want int) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %d, want %d", what, got, want)
	}
}

// atMost compares what may vary.
func atMost(t *testing.T, what string, got, limit float64) {
	t.Helper()
	t.Logf("%s: %.0f of %.0f", what, got, limit)
	if got > limit {
		t.Errorf("%s: %.0f, at most %.0f", what, got, limit)
	}
}

// clean says that no write was refused.
func clean(t *testing.T, c cost) {
	t.Helper()
	if len(c.Failures) > 0 {
		t.Errorf("%d writes were refused, the first: %s", len(c.Failures), c.Failures[0])
	}
}

func (g *gates) create(ctx context.Context, t *testing.T) {
	var err error
	g.empty, err = g.o.heap(ctx)
	must(t, err)
	g.ours.record(true)
	g.first, err = g.world.create(ctx, g.o, fleet{n: few})
	must(t, err)
	g.ours.record(false)
	clean(t, g.first)
	exact(t, "writes", g.first.Writes, writesOf*few)
	exact(t, "reads of specs", g.first.SpecReads, few)
	exact(t, "requests", g.first.Total, (writesOf+1)*few)
	atMost(t, "bytes a plugin", wire(g.first)/few, maxBytes)
	g.one, err = g.o.heap(ctx)
	must(t, err)
	atMost(t, "bytes of heap", float64(g.one-g.empty), maxHeap*megabyte*few/1000+noise)
}

func (g *gates) change(ctx context.Context, t *testing.T) {
	c, err := g.world.change(ctx, g.o, fleet{n: few}, 2)
	must(t, err)
	clean(t, c)
	exact(t, "writes", c.Writes, 2*few)
	exact(t, "reads of specs", c.SpecReads, few)
	exact(t, "requests", c.Total, 3*few)
	atMost(t, "bytes a plugin", wire(c)/few, maxChangeBytes)
}

func (g *gates) touch(ctx context.Context, t *testing.T) {
	c, err := g.world.touch(ctx, g.o, fleet{n: few}, "a")
	must(t, err)
	exact(t, "requests", c.Total, 0)
}

func (g *gates) restart(ctx context.Context, t *testing.T) {
	c, err := g.world.restart(ctx, g.o, fleet{n: few})
	must(t, err)
	exact(t, "writes", c.Writes, 0)
	exact(t, "reads of specs", c.SpecReads, 0)
	atMost(t, "requests", total(c), maxRestartRequests)
	if t.Failed() {
		t.Log(c.Requests)
	}
}

func (g *gates) drift(ctx context.Context, t *testing.T) {
	edited, err := g.world.drift(ctx, g.o, fleet{n: few}, byHand, editByHand)
	must(t, err)
	exact(t, "writes to repair edits", int(edited.Writes*byHand), byHand)
	deleted, err := g.world.drift(ctx, g.o, fleet{n: few}, byHand, deleteByHand)
	must(t, err)
	exact(t, "writes to repair deletions", int(deleted.Writes*byHand), byHand)
}

func (g *gates) quiet(ctx context.Context, t *testing.T) {
	s := &session{world: g.world, o: g.o, plan: plan{quiet: 2 * time.Second}, found: &sized{}}
	must(t, s.wait(ctx))
	exact(t, "requests", int(s.found.Quiet), 0)
}

// again adds as many plugins. What stands must not make them dearer.
func (g *gates) again(ctx context.Context, t *testing.T) {
	var err error
	g.one, err = g.o.heap(ctx)
	must(t, err)
	g.second, err = g.measure(ctx, g.o.meter, g.o, func(ctx context.Context) (time.Time, error) {
		f := fleet{n: 2 * few}
		if err := each(ctx, few, func(ctx context.Context, i int) error {
			_, err := f.create(ctx, g.admin, few+i)
			return err
		}); err != nil {
			return time.Time{}, err
		}
		done, err := g.o.wait(ctx, writesOf*few)
		must(t, g.o.rest(ctx))
		return done, err
	})
	must(t, err)
	clean(t, g.second)
	exact(t, "requests", g.second.Total, g.first.Total)
	atMost(t, "bytes", wire(g.second), 1.1*wire(g.first))
	g.two, err = g.o.heap(ctx)
	must(t, err)
	atMost(t, "bytes of heap", float64(g.two-g.one), maxHeap*megabyte*few/1000+noise)

	c, err := g.world.restart(ctx, g.o, fleet{n: 2 * few})
	must(t, err)
	exact(t, "writes at a restart", c.Writes, 0)
	atMost(t, "requests at a restart", total(c), maxRestartRequests)
	must(t, g.o.Stop(ctx))
	must(t, g.remove(ctx))
}

// largeRules has plugins with rules of 64 KiB: they are not kept.
func (g *gates) largeRules(ctx context.Context, t *testing.T) {
	before, after, err := g.withBigRules(ctx, few)
	must(t, err)
	grown, small := after.Heap-before.Heap, g.one-g.empty
	atMost(t, "bytes of heap beyond small rules'", float64(grown-small), few*big/10)
}
