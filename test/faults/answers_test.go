// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
	"github.com/solarmesh/wasmplugin-operator/test/faults/inject"
)

// wrongs is all that can go wrong with a request.
func wrongs(o *operator) []inject.Refusal {
	delay := func() time.Duration { return time.Duration(rand.N(800)) * time.Millisecond }
	return append(inject.Refusals(),
		inject.Refusal{Name: "reset", Answer: o.layer.Reset},
		inject.Refusal{Name: "lost", Answer: o.layer.Lose},
		inject.Refusal{Name: "slow", Answer: o.layer.Slow(delay)},
	)
}

// kinds are the requests of an operator in Immediate mode.
var kinds = map[string]inject.Match{"read": inject.IsRead, "half": inject.IsChildWrite, "status": inject.IsStatusWrite}

// trouble is a plugin whose requests meet a fault.
type trouble struct {
	plugin string
	fault  chain.Intercept
	// over ends what goes on until somebody has seen it; nil for what happens twice.
	over *atomic.Bool
}

// troubles are all faults of all requests, each twice in a row, but for those that nobody asks again after: they go on.
func troubles(o *operator, s *scene) []*trouble {
	var all []*trouble
	for _, wrong := range wrongs(o) {
		for kind, match := range kinds {
			t := &trouble{plugin: "p" + wrong.Name + "-" + kind}
			about := inject.About(match, s.namespace, t.plugin)
			if wrong.Terminal && kind == "half" {
				t.over = &atomic.Bool{}
				t.fault = inject.Where(func(r *http.Request) bool { return !t.over.Load() && about(r) }, wrong.Answer)
			} else {
				t.fault = inject.First(2, about, wrong.Answer)
			}
			all = append(all, t)
		}
	}
	return all
}

// meet puts the faults in place.
func meet(o *operator, all []*trouble) {
	var faults []chain.Intercept
	for _, t := range all {
		faults = append(faults, t.fault)
	}
	o.layer.Set(faults...)
}

// touchRefused waits until what was refused for good is said to be, and then has it offered again, as a change of the plugin would.
func (s *scene) touchRefused(ctx context.Context, all []*trouble) {
	GinkgoHelper()
	for _, t := range all {
		if t.over == nil {
			continue
		}
		Eventually(ctx, func(g Gomega) {
			plugin := &wasmv1alpha1.WasmPlugin{}
			g.Expect(api.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: t.plugin}, plugin)).To(Succeed())
			condition := apimeta.FindStatusCondition(plugin.Status.Conditions, wasmv1alpha1.ConditionApplied)
			g.Expect(condition).NotTo(BeNil(), t.plugin)
			g.Expect(condition.Reason).To(Equal(wasmv1alpha1.ReasonRefused), t.plugin)
			g.Expect(apimeta.IsStatusConditionTrue(plugin.Status.Conditions, wasmv1alpha1.ConditionStalled)).To(BeTrue(), t.plugin)
		}).Should(Succeed())
		t.over.Store(true)
		s.patch(ctx, t.plugin, `{"metadata": {"labels": {"touched": "`+time.Now().Format("150405")+`"}}}`)
	}
}

var _ = Describe("An operator whose requests go wrong", Ordered, ContinueOnFailure, func() {
	var o *operator
	BeforeAll(func(ctx SpecContext) { o = newOperator(ctx) })

	It("brings every plugin about, whatever it was answered", func(ctx SpecContext) {
		s := newScene(ctx, o)
		s.create(ctx, s.newPlugin(bystander))
		s.settle(ctx, func(g Gomega) { s.asWished(ctx, g, asSpec) })
		s.mayNotTouch(ctx)
		before, err := o.metric(ctx, "go_goroutines")
		Expect(err).NotTo(HaveOccurred())
		all := troubles(o, s)
		By("creating them")
		meet(o, all)
		for _, t := range all {
			s.create(ctx, s.newPlugin(t.plugin))
		}
		s.touchRefused(ctx, all)
		s.settle(ctx, func(g Gomega) { s.asWished(ctx, g, asSpec) })
		By("changing them")
		injected := o.layer.Injected()
		Expect(injected).To(BeNumerically(">=", len(all)))
		all = troubles(o, s)
		meet(o, all)
		for _, t := range all {
			s.patch(ctx, t.plugin, `{"spec": {"priority": 7}}`)
		}
		s.touchRefused(ctx, all)
		s.settle(ctx, func(g Gomega) { s.asWished(ctx, g, asSpec) })
		Expect(o.layer.Injected() - injected).To(BeNumerically(">=", len(all)))
		o.layer.Set()
		tally.add(count{cases: 2*len(all) - 1}) // judge counts one
		Eventually(ctx, func() (float64, error) { return o.metric(ctx, "go_goroutines") }).Should(BeNumerically("<=", before+10))
		s.judge(ctx, "requests that go wrong")
	})

	It("lets no plugin wait for one that fails for ever", func(ctx SpecContext) {
		s := newScene(ctx, o)
		var faults []chain.Intercept
		var names []string
		for _, wrong := range inject.Refusals() {
			name := "p" + wrong.Name
			names = append(names, name)
			faults = append(faults, inject.Where(inject.About(inject.IsChildWrite, s.namespace, name), wrong.Answer))
		}
		before := o.layer.Injected()
		o.layer.Set(faults...)
		for _, name := range names {
			s.create(ctx, s.newPlugin(name))
		}
		Eventually(ctx, o.layer.Injected).Should(BeNumerically(">", before+len(faults)))
		s.create(ctx, s.newPlugin(bystander))
		Eventually(ctx, func(g Gomega) {
			plugin := &wasmv1alpha1.WasmPlugin{}
			g.Expect(api.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: bystander}, plugin)).To(Succeed())
			g.Expect(apimeta.IsStatusConditionTrue(plugin.Status.Conditions, wasmv1alpha1.ConditionReady)).To(BeTrue())
		}).WithTimeout(5 * time.Second).Should(Succeed())
		plugins, _ := s.standing(ctx, Default)
		for _, plugin := range plugins {
			if plugin.Name != bystander {
				s.remove(ctx, plugin.Name)
			}
		}
		o.layer.Set()
		s.settle(ctx, func(g Gomega) { s.asWished(ctx, g, asSpec) })
		s.judge(ctx, "plugins that fail for ever")
	})

	It("starts, whatever its first watches are answered", func(ctx SpecContext) {
		s := newScene(ctx, o)
		s.create(ctx, s.newPlugin(subject))
		s.settle(ctx, func(g Gomega) { s.asWished(ctx, g, asSpec) })
		all := wrongs(o)
		if !long {
			random := rand.New(rand.NewPCG(seed, 1))
			random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			all = all[:3]
		}
		for i, wrong := range all {
			o.kill()
			first := func(r *http.Request) bool {
				t := inject.TargetOf(r)
				return r.Method == http.MethodGet && t.Name == "" && slices.Contains([]string{inject.EnvoyFilters, inject.WasmPlugins}, t.Resource)
			}
			o.layer.Set(inject.First(2, first, wrong.Answer))
			s.patch(ctx, subject, `{"spec": {"rules": {"text": "`+wrong.Name+`"}}}`)
			By(wrong.Name)
			s.settle(ctx, func(g Gomega) { s.asWished(ctx, g, asSpec) })
			if i < len(all)-1 {
				tally.add(count{cases: 1}) // judge counts one
			}
		}
		s.judge(ctx, "watches that go wrong at the start")
	})
})
