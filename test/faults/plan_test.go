// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
	"github.com/solarmesh/wasmplugin-operator/test/faults/inject"
)

// disturbance is something that goes wrong for a while.
type disturbance struct {
	what        string
	from, lasts time.Duration
	// begin makes it so, and returns what ends it.
	begin func(ctx context.Context) (end func())
}

// dice are thrown by many requests at a time. What they show follows from the seed, to whom doesn't.
type dice struct {
	mu sync.Mutex
	*rand.Rand
}

func newDice(seed uint64) *dice { return &dice{Rand: rand.New(rand.NewPCG(seed, 2))} }

// below is a number from 0 to n-1.
func (d *dice) below(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.IntN(n)
}

// sometimes matches some of the requests that are no watches.
func (d *dice) sometimes(percent int) inject.Match {
	return func(r *http.Request) bool {
		resource := inject.TargetOf(r).Resource
		ours := resource == inject.EnvoyFilters || resource == inject.WasmPlugins
		return ours && !inject.IsWatch("")(r) && d.below(100) < percent
	}
}

// plan is what goes wrong for some time, in its order.
func plan(o *operator, d *dice, length time.Duration, servers bool) []disturbance {
	var all []disturbance
	for from := time.Duration(0); from < length; from += time.Duration(100+d.below(500)) * time.Millisecond {
		one := pick(o, d, servers)
		one.from, one.lasts = from, time.Duration(200+d.below(1500))*time.Millisecond
		all = append(all, one)
	}
	return all
}

func pick(o *operator, d *dice, servers bool) disturbance {
	refused := wrongs(o)[d.below(len(wrongs(o)))]
	percent := 20 + d.below(80)
	resource := []string{inject.EnvoyFilters, inject.WasmPlugins, ""}[d.below(3)]
	during := func(what string, fault chain.Intercept) disturbance {
		return disturbance{what: what, begin: func(context.Context) func() { return o.layer.Add(fault) }}
	}
	next := func(what string, fault chain.Intercept) disturbance {
		one := during(what+" of "+resource, inject.First(3, inject.IsWatch(resource), fault))
		begin := one.begin
		one.begin = func(ctx context.Context) func() { end := begin(ctx); o.proxy.Cut(); return end }
		return one
	}
	choices := []func() disturbance{
		func() disturbance {
			return during(fmt.Sprintf("%d%% %s", percent, refused.Name), inject.Where(d.sometimes(percent), refused.Answer))
		},
		func() disturbance {
			return during(fmt.Sprintf("%d%% lost", percent), inject.Where(d.sometimes(percent), o.layer.Lose))
		},
		func() disturbance { return next("watches that are gone", o.layer.Gone) },
		func() disturbance { return next("watches that fail", inject.Fail) },
		func() disturbance { return next("watches that end", o.layer.EndAfter(1+percent%5)) },
		func() disturbance { return stalled(o, resource) },
		func() disturbance {
			return disturbance{what: "cut", begin: func(context.Context) func() { o.proxy.Cut(); return func() {} }}
		},
		func() disturbance {
			return disturbance{what: "killed", begin: func(context.Context) func() { o.kill(); return func() {} }}
		},
	}
	if servers && d.below(6) == 0 {
		return disturbance{what: "API server killed", begin: down}
	}
	// Answers are most of it.
	if d.below(2) == 0 {
		return choices[0]()
	}
	return choices[d.below(len(choices))]()
}

// outages is how many disturbances have the API server down.
var outages int

// down kills the API server, and starts it again when it is to be up for all.
func down(ctx context.Context) func() {
	if outages++; outages == 1 {
		Expect(cluster.APIServer.Kill()).To(Succeed())
	}
	return func() {
		if outages--; outages == 0 {
			Expect(cluster.APIServer.Start(ctx)).To(Succeed())
		}
	}
}

func stalled(o *operator, resource string) disturbance {
	return disturbance{what: "watches that say nothing of " + resource, begin: func(context.Context) func() {
		release := make(chan struct{})
		end := o.layer.Add(inject.First(2, inject.IsWatch(resource), o.layer.Stall(release)))
		o.proxy.Cut()
		return func() { end(); close(release) }
	}}
}

// endure goes through a plan, and starts the operator again whenever it was killed. In the end nothing is disturbed.
func (s *scene) endure(ctx context.Context, all []disturbance) {
	GinkgoHelper()
	type change struct {
		at time.Duration
		do func()
	}
	var changes []change
	for _, one := range all {
		end := func() {}
		changes = append(changes,
			change{one.from, func() {
				AddReportEntry(fmt.Sprintf("%s: %s for %s", one.from, one.what, one.lasts), ReportEntryVisibilityFailureOrVerbose)
				end = one.begin(ctx)
			}},
			change{one.from + one.lasts, func() { end() }})
	}
	slices.SortStableFunc(changes, func(a, b change) int { return int(a.at - b.at) })
	start := time.Now()
	for _, next := range changes {
		select {
		case <-ctx.Done():
		case <-time.After(next.at - time.Since(start)):
		}
		next.do()
		if outages == 0 {
			s.revive(ctx)
		}
	}
}
