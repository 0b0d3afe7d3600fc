// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// What failStrategy says is put to the test by a plugin that starts well and traps at a request: only then does Envoy
// look at it (a plugin that doesn't start is another story, see refused_rules_test.go).
var _ = Describe("A plugin that traps", Ordered, ContinueOnFailure, func() {
	var (
		s       space
		gateway hall
	)
	BeforeAll(func(ctx SpecContext) {
		s = newSpace(ctx)
		gateway.gateway = s.gateway(ctx, "gateway", 4)
	})

	runs := func(ctx context.Context, d door, name string) {
		GinkgoHelper()
		eventually(ctx, d.get("", "/"), and(served, named(name)))
	}

	start := func(ctx context.Context, name string, strategy wasmv1alpha1.FailStrategy, reload wasmv1alpha1.ReloadConfig) door {
		GinkgoHelper()
		d := gateway.door()
		plugin := d.probe(fields{"name": name})
		plugin.FailStrategy, plugin.Envoy.ReloadConfig = strategy, reload
		s.create(ctx, name, plugin)
		runs(ctx, d, name)
		return d
	}

	It("fails every request from then on with FAIL_CLOSE, until it is changed", func(ctx SpecContext) {
		d := start(ctx, "closed", wasmv1alpha1.FailClose, wasmv1alpha1.ReloadConfig{})
		now(ctx, d.get("", "/probe/trap"), failed)
		for range 20 {
			now(ctx, d.get("", "/"), failed)
		}
		s.edit(ctx, "closed", func(spec *wasmv1alpha1.WasmPluginSpec) {
			spec.Rules = rulesJSON(fields{"probe": fields{"name": "revived"}})
		})
		runs(ctx, d, "revived")

		By("opening while it runs")
		s.edit(ctx, "closed", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.FailStrategy = wasmv1alpha1.FailOpen })
		d.hasRules(ctx, s.filterName("closed"), `"fail_open": true`)
		now(ctx, d.get("", "/"), and(served, named("revived")))
		_, err := d.get("", "/probe/trap").Do(ctx)
		Expect(err).NotTo(HaveOccurred())
		now(ctx, d.get("", "/"), and(served, unnamed))
	})

	It("is left out from then on with FAIL_OPEN, until it is changed", func(ctx SpecContext) {
		d := start(ctx, "open", wasmv1alpha1.FailOpen, wasmv1alpha1.ReloadConfig{})
		_, err := d.get("", "/probe/trap").Do(ctx)
		Expect(err).NotTo(HaveOccurred())
		for range 20 {
			now(ctx, d.get("", "/"), and(served, unnamed))
		}
		s.edit(ctx, "open", func(spec *wasmv1alpha1.WasmPluginSpec) {
			spec.Rules = rulesJSON(fields{"probe": fields{"name": "revived"}})
		})
		runs(ctx, d, "revived")
	})

	It("is started anew with FAIL_RELOAD, after the interval of envoy.reloadConfig", func(ctx SpecContext) {
		slow := start(ctx, "slow", wasmv1alpha1.FailReload, wasmv1alpha1.ReloadConfig{BaseIntervalSeconds: 3600, MaxIntervalSeconds: 3600})
		quick := start(ctx, "quick", wasmv1alpha1.FailReload, wasmv1alpha1.ReloadConfig{BaseIntervalSeconds: 1, MaxIntervalSeconds: 1})
		now(ctx, slow.get("", "/probe/trap"), failed)
		now(ctx, slow.get("", "/"), failed)
		// More than once: a VM that was started anew is no different.
		for range 3 {
			now(ctx, quick.get("", "/probe/trap"), failed)
			runs(ctx, quick, "quick")
		}
		now(ctx, slow.get("", "/"), failed)
	})
})
