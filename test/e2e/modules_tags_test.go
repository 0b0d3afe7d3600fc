// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
	"github.com/solarmesh/wasmplugin-operator/test/story"
)

// The tag leads to probe, which takes any rules, then to basic-auth, which refuses these, then to hello-world, which takes
// no notice of them.
var _ = Describe("A tag that moves", func() {
	It("rolls over to a good module, and never to one that refuses the rules", func(ctx SpecContext) {
		s := registrySpace(ctx, tagsSpace)
		gw := s.gateway(ctx, "gateway", 1)
		plugin := pulled(probe(gw.selector(), nil), "moving:stable")
		plugin.Rules = rulesJSON(fields{"probe": fields{"name": "first"}, "basic_auth_rules": "everybody"})
		plugin.ImagePullPolicy = wasmv1alpha1.PullAlways
		image := push(ctx, "moving:stable", chain.OCIImage, probePath)
		s.create(ctx, "moving", plugin)
		eventually(ctx, gw.get(protected, ""), and(served, named("first")))
		before := s.configOf(ctx, "moving")
		running := watch(ctx, gw.get(protected, ""))

		By("moving it to a module that refuses the rules")
		push(ctx, "moving:stable", chain.OCIImage, story.BasicAuthPath)
		refused := s.has(ctx, "moving", wasmv1alpha1.ConditionAccepted, metav1.ConditionFalse, wasmv1alpha1.ReasonRulesRejected,
			`basic-auth does not start: the configuration has the unknown field "probe"`)
		Expect(condition(refused, wasmv1alpha1.ConditionReady).Status).To(Equal(metav1.ConditionFalse))
		now(ctx, gw.get(protected, ""), and(served, named("first")))
		Expect(s.configOf(ctx, "moving")).To(Equal(before))

		By("moving it to a good one, and asking to look at once")
		moved := push(ctx, "moving:stable", chain.OCIImage, story.HelloWorldPath)
		Expect(moved).NotTo(Equal(image))
		s.refresh(ctx, "moving")
		eventually(ctx, gw.get(protected, ""), and(served, greeted, unnamed))
		ready := s.has(ctx, "moving", wasmv1alpha1.ConditionAccepted, metav1.ConditionTrue, wasmv1alpha1.ReasonAccepted)
		Expect(ready.Status.Module.Digest).To(Equal("sha256:" + hexDigest(story.HelloWorldPath)))
		Expect(ready.Status.Module.Source).To(Equal(imageURL(moved)))
		running.saw(http.StatusOK)
	}, SpecTimeout(3*patience))
})
