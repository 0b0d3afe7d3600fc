// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// What has no effect here is refused, never ignored.
var _ = Describe("A field without an effect", func() {
	DescribeTable("is refused where only an operator that looks at modules could do it", func(ctx SpecContext, field, spec string) {
		operatorRefuses(ctx, wasmv1alpha1.ReasonNotSupported, field+": this installation's operator doesn't look at modules", spec)
	},
		Entry(nil, "spec.url: store://", `{"url": "store://basic-auth:1.4"}`),
		Entry(nil, "spec.imagePullSecret", `{"imagePullSecret": "regcred"}`),
		Entry(nil, "spec.verification", `{"verification": {"keys": [{"inline": "-----BEGIN PUBLIC KEY-----"}]}}`),
		Entry(nil, "spec.delivery: Store", `{"delivery": "Store"}`),
	)

	DescribeTable("is accepted where it says what is done anyway", func(ctx SpecContext, spec string) {
		plugin := newPlugin(newNamespace(ctx))
		createReady(ctx, plugin)
		Expect(patchSpec(ctx, plugin, spec)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(beReady())
	},
		Entry(nil, `{"delivery": "Direct"}`),
		Entry(nil, `{"activation": {"mode": "Immediate"}}`),
		Entry(nil, `{"activation": {"mode": "Safe", "deadlineSeconds": 60, "onDeadline": "Proceed"}}`),
		Entry(nil, `{"rollout": {"canary": {"selector": {"matchLabels": {"track": "canary"}}}}}`),
	)

	It("is said where the installation can't do what it asks for", func(ctx SpecContext) {
		plugin := newPlugin(newNamespace(ctx))
		plugin.Spec.Activation.Mode = wasmv1alpha1.ActivationSafe
		createReady(ctx, plugin)
		refresh(ctx, plugin)
		Expect(conditionOf(plugin, wasmv1alpha1.ConditionAccepted).Message).To(ContainSubstring("without a trial"))
		Expect(plugin.Status.Activation.Mode).To(Equal(wasmv1alpha1.ActivationImmediate))
	})

	It("is no obstacle to switching a plugin off", func(ctx SpecContext) {
		plugin := newPlugin(newNamespace(ctx))
		createReady(ctx, plugin)
		Expect(patchSpec(ctx, plugin, `{"activation": {"mode": "Off"}}`)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(haveCondition(wasmv1alpha1.ConditionReady, metav1.ConditionFalse, wasmv1alpha1.ReasonOff))
		Expect(patchSpec(ctx, plugin, `{"activation": null}`)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(beReady())
	})
})
