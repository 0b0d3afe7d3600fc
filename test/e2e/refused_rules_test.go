// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// A plugin says at its start whether it takes its rules. Envoy then refuses the whole configuration. The operator does
// not look at proxies yet, so it cannot know; its status must not say otherwise.
//
// All this where the operator doesn't start plugins itself; otherwise no proxy meets such rules.
var _ = Describe("A plugin that refuses its rules", Ordered, ContinueOnFailure, func() {
	leftToProxies()
	var (
		s  space
		gw gateway
	)
	BeforeEach(func(ctx SpecContext) {
		s = newSpace(ctx)
		gw = s.gateway(ctx, "gateway", 1)
	})

	claimsNothing := func(ctx SpecContext, name string) {
		GinkgoHelper()
		plugin := s.observed(ctx, name)
		programmed := condition(plugin, wasmv1alpha1.ConditionProgrammed)
		Expect(programmed.Status).To(Equal(metav1.ConditionUnknown))
		Expect(programmed.Reason).To(Equal(wasmv1alpha1.ReasonNotObserved))
		Expect(programmed.ObservedGeneration).To(Equal(plugin.Generation))
		Expect(condition(plugin, wasmv1alpha1.ConditionReady).Message).To(ContainSubstring("isn't observed"))
		Expect(plugin.Status.Proxies).To(BeZero())
		Expect(plugin.Status.Module).To(BeZero())
	}

	// The listener is in force with a filter that has no configuration, and Envoy answers 500 whatever failStrategy says.
	DescribeTable("fails every request if it is new",
		func(ctx SpecContext, strategy wasmv1alpha1.FailStrategy) {
			plugin := basicAuth(gw.selector())
			plugin.Rules = badRules()
			plugin.FailStrategy = strategy
			s.create(ctx, "new", plugin)
			eventually(ctx, gw.get(protected, "ok:test"), broken)
			now(ctx, gw.get(open, ""), broken)
			refuses(ctx, gw.Proxy, "Unable to create Wasm plugin "+s.filterName("new"))
			Expect(gw.Log()).To(ContainSubstring("basic-auth does not start: basic_auth_rules"))
			claimsNothing(ctx, "new")

			s.edit(ctx, "new", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Rules = rules("ok:test") })
			eventually(ctx, gw.get(protected, ""), unauthorized)
			now(ctx, gw.get(protected, "ok:test"), served)
		},
		Entry("with FAIL_CLOSE", wasmv1alpha1.FailClose),
		Entry("with FAIL_OPEN", wasmv1alpha1.FailOpen),
	)

	It("stays in force with its old rules if it runs", func(ctx SpecContext) {
		s.create(ctx, "running", basicAuth(gw.selector()))
		eventually(ctx, gw.get(protected, ""), unauthorized)
		s.edit(ctx, "running", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Rules = badRules() })
		refuses(ctx, gw.Proxy, "Unable to create Wasm plugin "+s.filterName("running"))
		now(ctx, gw.get(protected, ""), unauthorized)
		now(ctx, gw.get(protected, "ok:test"), served)
		now(ctx, gw.get(open, ""), served)
		claimsNothing(ctx, "running")

		s.edit(ctx, "running", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Rules = rules("new:secret") })
		eventually(ctx, gw.get(protected, "new:secret"), served)
		now(ctx, gw.get(protected, "ok:test"), unauthorized)
	})

	It("does not touch a plugin that runs beside it, when it is withdrawn", func(ctx SpecContext) {
		s.create(ctx, "healthy", helloWorld(gw.selector()))
		eventually(ctx, gw.get(open, ""), and(served, greeted))
		bad := basicAuth(gw.selector())
		bad.Rules = badRules()
		s.create(ctx, "bad", bad)
		eventually(ctx, gw.get(open, ""), broken)
		s.delete(ctx, "bad")
		eventually(ctx, gw.get(open, ""), and(served, greeted))
	})
})
