// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/solarmesh/wasmplugin-operator/test/faults/inject"
)

var _ = Describe("An operator whose watches go wrong", func() {
	var (
		o       *operator
		s       *scene
		changes int
	)
	BeforeEach(func(ctx SpecContext) {
		// One each: client-go waits ever longer, up to a minute, between watches of which many failed in a row.
		o = newOperator(ctx)
		s = newScene(ctx, o)
		s.create(ctx, s.newPlugin(bystander))
		s.create(ctx, s.newPlugin(subject))
		s.settle(ctx, func(g Gomega) { s.asWished(ctx, g, asSpec) })
		s.mayNotTouch(ctx)
	})

	// change changes the subject, so that both of its halves do.
	change := func(ctx context.Context) {
		changes++
		s.patch(ctx, subject, fmt.Sprintf(`{"spec": {"priority": %d, "rules": {"text": "change %d"}}}`, changes%100, changes))
	}
	// recovered waits until all is well again, also of what changes then.
	recovered := func(ctx context.Context, what string) {
		GinkgoHelper()
		s.settle(ctx, func(g Gomega) { s.asWished(ctx, g, asSpec) })
		o.layer.Set()
		change(ctx)
		s.settle(ctx, func(g Gomega) { s.asWished(ctx, g, asSpec) })
		s.judge(ctx, what)
	}

	It("catches up when both were cut, and the API server has forgotten where they were", func(ctx SpecContext) {
		before := o.layer.Injected()
		o.layer.Set(inject.First(6, inject.IsWatch(""), o.layer.Gone))
		o.proxy.Cut()
		change(ctx)
		Eventually(ctx, func() int { return o.layer.Injected() - before }).Should(BeNumerically(">=", 2))
		recovered(ctx, "410")
	})

	It("catches up when they end after a few events, again and again", func(ctx SpecContext) {
		o.layer.Set(inject.First(6, inject.IsWatch(""), o.layer.EndAfter(2)))
		o.proxy.Cut()
		for range 3 {
			change(ctx)
		}
		recovered(ctx, "EOF")
	})

	It("catches up when they end with an error", func(ctx SpecContext) {
		o.layer.Set(inject.First(4, inject.IsWatch(""), inject.Fail))
		o.proxy.Cut()
		change(ctx)
		recovered(ctx, "ERROR")
	})

	for _, resource := range []string{inject.EnvoyFilters, inject.WasmPlugins} {
		It("does no harm while that of "+resource+" says nothing, and catches up", func(ctx SpecContext) {
			release, stalled := make(chan struct{}), make(chan struct{})
			o.layer.Set(inject.First(1, inject.IsWatch(resource), func(w http.ResponseWriter, r *http.Request) bool {
				close(stalled)
				return o.layer.Stall(release)(w, r)
			}))
			o.proxy.Cut()
			Eventually(ctx, stalled).Should(BeClosed())
			for range 3 {
				change(ctx)
			}
			s.remove(ctx, subject)
			s.create(ctx, s.newPlugin(subject))
			s.writtenIn(ctx, 2*window)
			close(release)
			s.late = 3 // what it doesn't see it can't follow
			recovered(ctx, "a watch of "+resource+" that says nothing")
		})

		It("does no harm when it starts with a "+resource+" of old, and catches up", func(ctx SpecContext) {
			tape := &inject.Tape{}
			o.layer.Set(inject.First(1, inject.IsWatch(resource), o.layer.Record(tape)))
			o.kill()
			s.settle(ctx, func(g Gomega) { s.asWished(ctx, g, asSpec) })
			for range 2 {
				change(ctx)
				s.settle(ctx, func(g Gomega) { s.asWished(ctx, g, asSpec) })
			}
			release := make(chan struct{})
			o.layer.Set(inject.First(1, inject.IsWatch(resource), tape.Replay(release)))
			o.kill()
			s.revive(ctx)
			Eventually(ctx, func() int { _, replayed := tape.Told(); return replayed }).Should(Equal(1))
			change(ctx)
			s.writtenIn(ctx, 4*window)
			close(release)
			recovered(ctx, resource+" of old")
			events, _ := tape.Told()
			Expect(events).To(BeNumerically(">", 2), "the tape has a beginning")
		})
	}
})
