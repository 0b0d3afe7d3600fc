// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	gomegatypes "github.com/onsi/gomega/types"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

var _ = Describe("Events", func() {
	var plugin *wasmv1alpha1.WasmPlugin

	BeforeEach(func(ctx SpecContext) { plugin = newPlugin(newNamespace(ctx)) })

	eventsOf := func(ctx context.Context) []eventsv1.Event {
		GinkgoHelper()
		list := &eventsv1.EventList{}
		Expect(k8s.List(ctx, list, client.InNamespace(plugin.Namespace))).To(Succeed())
		return list.Items
	}
	event := func(kind, reason string, note gomegatypes.GomegaMatcher) gomegatypes.GomegaMatcher {
		return And(
			HaveField("Type", kind), HaveField("Reason", reason), HaveField("Note", note),
			HaveField("ReportingController", "wasmplugin-operator"),
			HaveField("Regarding.Kind", "WasmPlugin"), HaveField("Regarding.Name", plugin.Name), HaveField("Regarding.UID", plugin.UID),
		)
	}

	It("tell of a plugin that falls ill and heals, and nothing of one that is well", func(ctx SpecContext) {
		createReady(ctx, plugin)
		Expect(patchSpec(ctx, plugin, `{"rules": {"basic_auth_rules": []}}`)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(beReady())
		refresh(ctx, plugin)

		Expect(patchSpec(ctx, plugin, notSupported)).To(Succeed())
		ill := event(corev1.EventTypeWarning, wasmv1alpha1.ReasonNotSupported, ContainSubstring("spec.delivery"))
		Eventually(ctx, eventsOf).Should(ConsistOf(ill), "the only event so far")

		Expect(patchSpec(ctx, plugin, `{"priority": 5}`)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(beRejected(wasmv1alpha1.ReasonNotSupported))
		Expect(patchSpec(ctx, plugin, supportedAgain)).To(Succeed())
		healed := event(corev1.EventTypeNormal, wasmv1alpha1.ReasonApplied, ContainSubstring("both EnvoyFilters stand"))
		Eventually(ctx, eventsOf).Should(ConsistOf(ill, healed), "being ill for another generation is no news")
		Expect(eventsOf(ctx)).To(HaveEach(HaveField("Series", BeNil())))
	})

	It("tell of a plugin that is ill from the start", func(ctx SpecContext) {
		plugin.Spec.Delivery = wasmv1alpha1.DeliveryStore
		Expect(k8s.Create(ctx, plugin)).To(Succeed())
		Eventually(ctx, eventsOf).Should(ConsistOf(
			event(corev1.EventTypeWarning, wasmv1alpha1.ReasonNotSupported, ContainSubstring("spec.delivery"))))
	})

	It("tell of another reason", func(ctx SpecContext) {
		plugin.Spec.Delivery = wasmv1alpha1.DeliveryStore
		Expect(k8s.Create(ctx, plugin)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(beRejected(wasmv1alpha1.ReasonNotSupported))
		Expect(patchSpec(ctx, plugin, `{"delivery": null, "url": "https://example.com:70000/plugin.wasm"}`)).To(Succeed())
		Eventually(ctx, eventsOf).Should(ConsistOf(
			event(corev1.EventTypeWarning, wasmv1alpha1.ReasonNotSupported, Not(BeEmpty())),
			event(corev1.EventTypeWarning, wasmv1alpha1.ReasonInvalidSpec, ContainSubstring("spec.url"))))
	})
})
