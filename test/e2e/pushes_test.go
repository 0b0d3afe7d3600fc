// SPDX-License-Identifier: Apache-2.0

//go:build long

package e2e

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// debounced counts istiod's pushes: each ends one time of gathering changes (debounce in pilot/pkg/xds/discovery.go).
var debounced = regexp.MustCompile(`(?m)^pilot_debounce_time_count(?:\{.*\})? (\d+)`)

func pushes(ctx context.Context) (int, error) {
	answer, err := chain.Probe{URL: world.Istiod.MetricsURL}.Do(ctx)
	if err != nil {
		return 0, err
	}
	found := debounced.FindStringSubmatch(answer.Body)
	if found == nil {
		return 0, fmt.Errorf("istiod doesn't count its pushes in %.200s", answer.Body)
	}
	return strconv.Atoi(found[1])
}

// settledPushes waits until istiod pushes no more, and counts.
func settledPushes(ctx context.Context) int {
	GinkgoHelper()
	before := -1
	Eventually(ctx, func(g Gomega) {
		now, err := pushes(ctx)
		g.Expect(err).NotTo(HaveOccurred())
		last := before
		before = now
		g.Expect(now).To(Equal(last))
	}).WithPolling(time.Second).WithTimeout(patience).Should(Succeed())
	return before
}

// What the writes of the operator cost istiod. It gathers for 100 ms what comes, so that what is written at once is one push.
var _ = Describe("What istiod pushes", Ordered, func() {
	var (
		s  space
		gw gateway
	)
	pushed := func(ctx context.Context, change func()) int {
		GinkgoHelper()
		before := settledPushes(ctx)
		change()
		return settledPushes(ctx) - before
	}
	costs := func(ctx context.Context, mode wasmv1alpha1.ActivationMode, settle func()) map[string]int {
		GinkgoHelper()
		calm(ctx)
		s = newSpace(ctx)
		gw = s.gateway(ctx, "gateway", 1)
		spec := basicAuth(gw.selector())
		spec.Activation.Mode = mode
		cost := map[string]int{}
		cost["a new plugin"] = pushed(ctx, func() {
			s.create(ctx, "auth", spec)
			settle()
		})
		cost["other rules"] = pushed(ctx, func() {
			s.edit(ctx, "auth", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Rules = rules("new:secret") })
			settle()
		})
		cost["other rules and another priority"] = pushed(ctx, func() {
			s.edit(ctx, "auth", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Rules, spec.Priority = rules("ok:test"), new(int32(7)) })
			settle()
		})
		eventually(ctx, gw.get(protected, "ok:test"), served)
		cost["a label"] = pushed(ctx, func() {
			s.change(ctx, "auth", func(plugin *wasmv1alpha1.WasmPlugin) { plugin.Labels = map[string]string{"team": "a"} })
		})
		cost["its deletion"] = pushed(ctx, func() {
			Expect(api.Delete(ctx, s.read(ctx, "auth"), client.PropagationPolicy("Foreground"))).To(Succeed())
			Eventually(ctx, func() error {
				return api.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: "auth"}, &wasmv1alpha1.WasmPlugin{})
			}).WithTimeout(patience).ShouldNot(Succeed())
		})
		AddReportEntry("pushes of istiod, "+string(mode), fmt.Sprint(cost))
		return cost
	}

	It("is one push for each change of a plugin", func(ctx SpecContext) {
		cost := costs(ctx, wasmv1alpha1.ActivationImmediate, func() { s.becomes(ctx, "auth", wasmv1alpha1.ReasonApplied) })
		Expect(cost).To(HaveKeyWithValue("other rules", 1))
		Expect(cost).To(HaveKeyWithValue("a label", 0))
		// Two writes are one push, unless the machine stalls for 100 ms between them.
		for _, change := range []string{"a new plugin", "other rules and another priority", "its deletion"} {
			Expect(cost).To(HaveKeyWithValue(change, BeNumerically("<=", 2)))
		}
	})

	Context("with a trial", Ordered, func() {
		observing()
		It("is a few more", func(ctx SpecContext) {
			cost := costs(ctx, wasmv1alpha1.ActivationSafe, func() { s.runs(ctx, "auth", 1) })
			// The trial begins, the change comes into force, the trial ends.
			for _, change := range []string{"a new plugin", "other rules", "other rules and another priority"} {
				Expect(cost).To(HaveKeyWithValue(change, BeNumerically("<=", 4)))
			}
			Expect(cost).To(HaveKeyWithValue("a label", 0))
		})
	})
})
