// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/solarmesh/wasmplugin-operator/test/faults/inject"
)

// step is something that a user does, and what it leads to.
type step struct {
	do func(ctx context.Context, s *scene)
	// to is where it leads; to what the specs say, if nil.
	to wish
	// ready are the reasons of Ready of the plugins that to knows of.
	ready []string
}

// scenario is what an operator is killed in. Before it, all is well.
type scenario struct {
	before, steps []step
	// fewest is how many writes it takes at least.
	fewest int
	// always says that a sample of it runs where there is little time, too.
	always bool
	// back says that the end is the beginning.
	back bool
	// again is how often a trial, or a canary, may be made once more: where the operator dies between taking a refused one
	// away and remembering why, it can but try again.
	again int
}

func (t step) reached(ctx context.Context, s *scene) func(g Gomega) {
	return func(g Gomega) {
		to := t.to
		if to == nil {
			to = asSpec
		}
		s.asWished(ctx, g, to, t.ready...)
	}
}

func (s *scene) take(ctx context.Context, steps []step) {
	GinkgoHelper()
	for _, t := range steps {
		t.do(ctx, s)
		s.settle(ctx, t.reached(ctx, s))
	}
}

// killedAfter has the operator killed after k writes of a scenario, and says whether it came to that.
func (c scenario) killedAfter(ctx context.Context, s *scene, what string, k int) bool {
	GinkgoHelper()
	defer s.leave(ctx)
	o := s.operators[0]
	s.create(ctx, s.newPlugin(bystander))
	s.take(ctx, append([]step{{do: func(context.Context, *scene) {}}}, c.before...))
	s.mayNotTouch(ctx)
	s.again = c.again
	if c.back {
		_, s.stood = s.standing(ctx, Default)
	}
	deaths := o.died.Load()
	o.layer.Set(o.layer.Kill(k, inject.WritesOf(s.namespace), o.kill))
	s.take(ctx, c.steps)
	s.judge(ctx, fmt.Sprintf("%s, killed after %d writes", what, k))
	return o.died.Load() > deaths
}

// atEach kills in a scenario after every number of writes, or after some where there is little time.
func (c scenario) atEach(ctx context.Context, what string, stage func() *scene) {
	GinkgoHelper()
	if !long {
		points := rand.New(rand.NewPCG(seed, 0)).Perm(c.fewest + 1)
		for _, k := range points[:min(len(points), 2)] {
			Expect(c.killedAfter(ctx, stage(), what, k)).To(BeTrue(), "it takes %d writes", c.fewest)
		}
		return
	}
	k := 0
	for c.killedAfter(ctx, stage(), what, k) {
		k++
	}
	Expect(k).To(BeNumerically(">=", c.fewest), "so many writes it takes")
}

// killed are the specs of scenarios.
func killed(scenarios map[string]scenario, stage func(ctx context.Context) *scene) {
	for _, name := range slices.Sorted(maps.Keys(scenarios)) {
		c := scenarios[name]
		if !c.always && !long {
			continue
		}
		It("goes on where it was: "+name, func(ctx SpecContext) {
			c.atEach(ctx, name, func() *scene { return stage(ctx) })
		})
	}
}
