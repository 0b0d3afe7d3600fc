// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/story"
)

// leftToProxies makes the specs of an ordered container those of an installation that leaves modules to the proxies.
func leftToProxies() {
	BeforeAll(func(ctx SpecContext) {
		Expect(world.RestartOperator(ctx, "--resolve-modules=false", "--store-url=")).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { Expect(world.RestartOperator(ctx)).To(Succeed()) })
	})
}

// What these do to proxies that meet them is in missing_module_test.go and refused_rules_test.go.
var _ = Describe("A module or rules that would break a gateway", func() {
	var (
		s    space
		gw   gateway
		path string
	)
	BeforeEach(func(ctx SpecContext) {
		s = newSpace(ctx)
		gw = s.gateway(ctx, "gateway", 1)
		path = "/" + s.namespace + "/basic-auth.wasm"
		Expect(world.Modules.ServeFile(path, world.Plugin(story.BasicAuthPath))).To(Succeed())
	})

	It("never reach it, if the server of the module is down, until it is up again", func(ctx SpecContext) {
		world.Modules.Answer(path, http.StatusServiceUnavailable)
		plugin := basicAuth(gw.selector())
		plugin.URL = world.Modules.URL(path)
		s.create(ctx, "late", plugin)
		s.has(ctx, "late", wasmv1alpha1.ConditionModuleResolved, metav1.ConditionFalse, "Unreachable", "503")
		Expect(s.envoyFilters(ctx)).To(BeEmpty())
		now(ctx, gw.get(protected, ""), served)
		world.Modules.Answer(path, 0)
		eventually(ctx, gw.get(protected, ""), unauthorized)

		By("giving the running plugin another module that is not there")
		s.edit(ctx, "late", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.URL += ".none" })
		s.has(ctx, "late", wasmv1alpha1.ConditionModuleResolved, metav1.ConditionFalse, "NotFound")
		now(ctx, gw.get(protected, ""), unauthorized)
		now(ctx, gw.get(protected, "ok:test"), served)
	}, SpecTimeout(3*patience))

	It("never reach it, if the plugin refuses the rules", func(ctx SpecContext) {
		plugin := basicAuth(gw.selector())
		plugin.Rules = badRules()
		s.create(ctx, "bad", plugin)
		refused := func() {
			GinkgoHelper()
			s.has(ctx, "bad", wasmv1alpha1.ConditionAccepted, metav1.ConditionFalse, wasmv1alpha1.ReasonRulesRejected,
				"basic-auth does not start: basic_auth_rules")
		}
		refused()
		Expect(s.envoyFilters(ctx)).To(BeEmpty())
		now(ctx, gw.get(protected, ""), served)

		s.edit(ctx, "bad", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Rules = rules("ok:test") })
		eventually(ctx, gw.get(protected, ""), unauthorized)
		s.edit(ctx, "bad", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Rules = badRules() })
		refused()
		now(ctx, gw.get(protected, ""), unauthorized)
		now(ctx, gw.get(protected, "ok:test"), served)
	}, SpecTimeout(3*patience))
})
