// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

var _ = Describe("An EnvoyFilter that is deleted and held by a finalizer", Serial, func() {
	for _, role := range halves {
		It("is kept up, reported, and made again: the "+role+" half", func(ctx SpecContext) {
			plugin := newPlugin(newNamespace(ctx))
			createReady(ctx, plugin)
			refresh(ctx, plugin)
			held := child(ctx, plugin, role)
			change(ctx, held, func(e *unstructured.Unstructured) { e.SetFinalizers([]string{"example.com/keep"}) })
			DeferCleanup(func(ctx SpecContext) {
				change(ctx, child(ctx, plugin, role), func(e *unstructured.Unstructured) { e.SetFinalizers(nil) })
			})
			proxy.Reset()
			Expect(k8s.Delete(ctx, held)).To(Succeed())
			Eventually(ctx, stateOf(plugin)).Should(And(
				haveCondition(wasmv1alpha1.ConditionApplied, metav1.ConditionFalse, wasmv1alpha1.ReasonDeleting),
				haveCondition(wasmv1alpha1.ConditionReconciling, metav1.ConditionTrue, wasmv1alpha1.ReasonDeleting),
				HaveField("Status.EnvoyFilters", And(HaveLen(1), Not(ContainElement(HaveField("Name", held.GetName()))))),
			))
			Expect(conditionOf(refresh(ctx, plugin), wasmv1alpha1.ConditionApplied).Message).To(Equal(fmt.Sprintf(
				"EnvoyFilter %s/%s is being deleted and waits for its finalizers (example.com/keep); it is made again when it is gone.",
				plugin.Namespace, held.GetName())))
			quiet(plugin.Namespace, "PATCH wasmplugins/basic-auth/status")

			// It still stands, and so do the proxies run it.
			Expect(patchSpec(ctx, plugin, `{"priority": 7}`)).To(Succeed())
			Eventually(ctx, stateOf(plugin)).Should(haveCondition(wasmv1alpha1.ConditionApplied, metav1.ConditionFalse, wasmv1alpha1.ReasonDeleting))
			Expect(child(ctx, plugin, role).Object["spec"]).NotTo(Equal(held.Object["spec"]))

			change(ctx, held, func(e *unstructured.Unstructured) { e.SetFinalizers(nil) })
			Eventually(ctx, stateOf(plugin)).Should(beReady())
			Expect(child(ctx, plugin, role).GetUID()).NotTo(Equal(held.GetUID()))
		})
	}
})
