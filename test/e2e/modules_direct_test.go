// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/story"
)

var _ = Describe("A module without a store", Ordered, func() {
	var s space
	BeforeAll(func(ctx SpecContext) {
		Expect(world.RestartOperator(ctx, "--store-url=", "--store-upload-url=")).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { Expect(world.RestartOperator(ctx)).To(Succeed()) })
		s = newSpace(ctx)
	})

	It("comes from its URL, as it was when it was checked", func(ctx SpecContext) {
		gw := s.gateway(ctx, "gateway", 1)
		s.create(ctx, "direct", basicAuth(gw.selector()))
		eventually(ctx, gw.get(protected, ""), unauthorized)
		now(ctx, gw.get(protected, "ok:test"), served)
		plugin := s.has(ctx, "direct", wasmv1alpha1.ConditionModuleResolved, metav1.ConditionTrue, wasmv1alpha1.ReasonResolved)
		digest := hexDigest(story.BasicAuthPath)
		Expect(plugin.Status.Module.Digest).To(Equal("sha256:" + digest))
		Expect(s.configOf(ctx, "direct")).To(And(
			ContainSubstring(`"uri":"`+world.Modules.URL(story.BasicAuthPath)+`"`), ContainSubstring(`"sha256":"`+digest+`"`),
		))
		s.delete(ctx, "direct")
	})

	It("is started before a proxy meets it", func(ctx SpecContext) {
		plugin := basicAuth(selector("app", "nobody"))
		plugin.Rules = badRules()
		s.create(ctx, "bad", plugin)
		s.has(ctx, "bad", wasmv1alpha1.ConditionAccepted, metav1.ConditionFalse, wasmv1alpha1.ReasonRulesRejected,
			"basic-auth does not start: basic_auth_rules")
		Expect(s.envoyFilters(ctx)).To(BeEmpty())
	})
})
