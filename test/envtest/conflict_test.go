// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// seenByTheOperator waits until the operator has seen every EnvoyFilter that was written before: events of a kind come
// in their order, and it repairs what was written after them.
func seenByTheOperator(ctx context.Context, namespace string) {
	GinkgoHelper()
	fence := newPlugin(namespace)
	fence.Name = "fence"
	createReady(ctx, fence)
	change(ctx, child(ctx, fence, wasmv1alpha1.RoleConfig), removeField("metadata", "labels"))
	Eventually(ctx, func() map[string]string { return child(ctx, fence, wasmv1alpha1.RoleConfig).GetLabels() }).ShouldNot(BeEmpty())
	Expect(k8s.Delete(ctx, fence)).To(Succeed())
	Eventually(ctx, func() map[string]string { return versions(ctx, fence) }).ShouldNot(HaveKey(HavePrefix("fence-")))
}

// aPriority is an EnvoyFilter's spec that somebody wrote.
var aPriority = map[string]any{"priority": int64(3)}

var _ = Describe("An EnvoyFilter of somebody else", func() {
	var plugin *wasmv1alpha1.WasmPlugin

	BeforeEach(func(ctx SpecContext) { plugin = newPlugin(newNamespace(ctx)) })

	// controlledBy gives it a controller of its own.
	controlledBy := func(ctx context.Context, owner metav1.OwnerReference) edit {
		GinkgoHelper()
		configMap := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: plugin.Namespace, Name: "owner"}}
		Expect(k8s.Create(ctx, configMap)).To(Succeed())
		if owner.UID == "" {
			owner = metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "owner", UID: configMap.UID}
		}
		owner.Controller = new(true)
		return func(e *unstructured.Unstructured) { e.SetOwnerReferences([]metav1.OwnerReference{owner}) }
	}
	withOurMarks := func(e *unstructured.Unstructured) {
		e.SetLabels(map[string]string{
			wasmv1alpha1.LabelManagedBy: wasmv1alpha1.FieldManager, wasmv1alpha1.LabelPlugin: plugin.Name,
			wasmv1alpha1.LabelRole: wasmv1alpha1.RoleConfig,
		})
		e.SetAnnotations(map[string]string{wasmv1alpha1.AnnotationPluginUID: "123", wasmv1alpha1.AnnotationHash: "123"})
	}

	DescribeTable("row 23: is never touched, and the plugin waits for its going", func(ctx SpecContext, foreignness func(context.Context) edit) {
		for _, role := range halves {
			foreign := newEnvoyFilter(plugin.Namespace, plugin.Name+"-"+role)
			foreignness(ctx)(foreign)
			Expect(k8s.Create(ctx, foreign)).To(Succeed())
			seenByTheOperator(ctx, plugin.Namespace)
			before := versions(ctx, plugin)

			Expect(k8s.Create(ctx, plugin)).To(Succeed())
			Eventually(ctx, stateOf(plugin)).Should(And(
				haveCondition(wasmv1alpha1.ConditionAccepted, metav1.ConditionTrue, wasmv1alpha1.ReasonAccepted),
				haveCondition(wasmv1alpha1.ConditionApplied, metav1.ConditionFalse, wasmv1alpha1.ReasonConflict),
				haveCondition(wasmv1alpha1.ConditionReady, metav1.ConditionFalse, wasmv1alpha1.ReasonConflict),
				haveCondition(wasmv1alpha1.ConditionStalled, metav1.ConditionTrue, wasmv1alpha1.ReasonConflict),
				HaveField("Status.EnvoyFilters", BeEmpty()),
			))
			message := conditionOf(refresh(ctx, plugin), wasmv1alpha1.ConditionApplied).Message
			Expect(message).To(ContainSubstring("EnvoyFilter %s/%s exists and doesn't belong to this plugin", plugin.Namespace, foreign.GetName()))
			Consistently(ctx, func() map[string]string { return versions(ctx, plugin) }).Should(Equal(before), "nothing is written")

			Expect(k8s.Delete(ctx, foreign)).To(Succeed())
			Eventually(ctx, stateOf(plugin)).Should(beReady())
			Expect(versions(ctx, plugin)).To(HaveLen(2))
			Expect(k8s.Delete(ctx, plugin)).To(Succeed())
			Eventually(ctx, func() map[string]string { return versions(ctx, plugin) }).Should(BeEmpty())
			plugin.ResourceVersion = ""
			Expect(k8s.DeleteAllOf(ctx, &corev1.ConfigMap{}, client.InNamespace(plugin.Namespace))).To(Succeed())
		}
	},
		Entry("with a spec", func(context.Context) edit { return setField(aPriority, "spec") }),
		Entry("with an empty spec", func(context.Context) edit { return setField(map[string]any{}, "spec") }),
		Entry("without a spec", func(context.Context) edit { return func(*unstructured.Unstructured) {} }),
		Entry("with labels of another plugin", func(context.Context) edit {
			return func(e *unstructured.Unstructured) {
				withOurMarks(e)
				setField("another", "metadata", "labels", wasmv1alpha1.LabelPlugin)(e)
			}
		}),
		Entry("with our labels, but never written by us", func(context.Context) edit {
			return func(e *unstructured.Unstructured) {
				withOurMarks(e)
				e.SetAnnotations(nil)
			}
		}),
		Entry("that somebody else controls", func(ctx context.Context) edit {
			return controlledBy(ctx, metav1.OwnerReference{})
		}),
		Entry("that somebody else controls, with our marks", func(ctx context.Context) edit {
			byAnother := controlledBy(ctx, metav1.OwnerReference{})
			return func(e *unstructured.Unstructured) {
				withOurMarks(e)
				byAnother(e)
			}
		}),
	)

	It("that appears under a name in use is a conflict of the update only", func(ctx SpecContext) {
		createReady(ctx, plugin)
		foreign := child(ctx, plugin, wasmv1alpha1.RoleFilter)
		change(ctx, foreign, func(e *unstructured.Unstructured) {
			controlledBy(ctx, metav1.OwnerReference{})(e)
			e.SetLabels(nil)
		})
		Eventually(ctx, stateOf(plugin)).Should(
			haveCondition(wasmv1alpha1.ConditionApplied, metav1.ConditionFalse, wasmv1alpha1.ReasonConflict))
		Expect(refresh(ctx, plugin).Status.EnvoyFilters).To(ConsistOf(HaveField("Name", plugin.Name+"-config")))
		Expect(child(ctx, plugin, wasmv1alpha1.RoleFilter).GetResourceVersion()).To(Equal(foreign.GetResourceVersion()))
		Expect(k8s.Delete(ctx, foreign)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(beReady())
	})

	It("that is made at the very moment isn't taken either", Serial, func(ctx SpecContext) {
		foreign := newEnvoyFilter(plugin.Namespace, plugin.Name+"-config")
		setField(aPriority, "spec")(foreign)
		beforeFirst(ctx, "PATCH", foreign.GetName(), func(ctx context.Context) error { return k8s.Create(ctx, foreign) })
		Expect(k8s.Create(ctx, plugin)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(
			haveCondition(wasmv1alpha1.ConditionApplied, metav1.ConditionFalse, wasmv1alpha1.ReasonConflict))
		Expect(child(ctx, plugin, wasmv1alpha1.RoleConfig).GetResourceVersion()).To(Equal(foreign.GetResourceVersion()))
	})
})
