// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

type edit = func(*unstructured.Unstructured)

// otherPriority is a value that we never render.
var otherPriority = setField(int64(1), "spec", "priority")

func setField(value any, path ...string) edit {
	return func(envoyFilter *unstructured.Unstructured) {
		GinkgoHelper()
		Expect(unstructured.SetNestedField(envoyFilter.Object, value, path...)).To(Succeed())
	}
}

func removeField(path ...string) edit {
	return func(envoyFilter *unstructured.Unstructured) {
		unstructured.RemoveNestedField(envoyFilter.Object, path...)
	}
}

func addForeignMetadata(envoyFilter *unstructured.Unstructured) {
	setField("theirs", "metadata", "labels", "example.com/label")(envoyFilter)
	setField("theirs", "metadata", "annotations", "example.com/annotation")(envoyFilter)
}

func setFirstPatch(value any, path ...string) edit {
	return func(envoyFilter *unstructured.Unstructured) {
		GinkgoHelper()
		patches, _, err := unstructured.NestedSlice(envoyFilter.Object, "spec", "configPatches")
		Expect(err).NotTo(HaveOccurred())
		patch, _ := patches[0].(map[string]any)
		Expect(unstructured.SetNestedField(patch, value, path...)).To(Succeed())
		setField(patches, "spec", "configPatches")(envoyFilter)
	}
}

var _ = Describe("Drift", func() {
	var (
		plugin *wasmv1alpha1.WasmPlugin
		before map[string]applied
	)

	BeforeEach(func(ctx SpecContext) {
		plugin = newPlugin(newNamespace(ctx))
		createReady(ctx, plugin)
		refresh(ctx, plugin)
		before = map[string]applied{}
		for _, role := range halves {
			before[role] = appliedTo(child(ctx, plugin, role))
		}
	})

	// standsAgain waits for what the pair was, and for a status that says so.
	standsAgain := func(ctx context.Context) {
		GinkgoHelper()
		Eventually(ctx, func(g Gomega, ctx context.Context) {
			for _, role := range halves {
				standsAs(ctx, g, plugin, role, before[role])
			}
			reportsItsChildren(ctx, g, plugin)
		}).Should(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(beReady())
	}

	DescribeTable("of one half is repaired", func(ctx SpecContext, drift edit) {
		for _, role := range halves {
			edited := child(ctx, plugin, role)
			change(ctx, edited, drift)
			standsAgain(ctx)
			Expect(child(ctx, plugin, role).GetUID()).To(Equal(edited.GetUID()), "it is repaired in place")
		}
	},
		Entry("spec.priority", otherPriority),
		Entry("spec.priority removed", removeField("spec", "priority")),
		Entry("spec.workloadSelector", setField("other", "spec", "workloadSelector", "labels", "istio")),
		Entry("a label added to spec.workloadSelector", setField("other", "spec", "workloadSelector", "labels", "app")),
		Entry("spec.workloadSelector removed", removeField("spec", "workloadSelector")),
		Entry("spec.configPatches: operation", setFirstPatch("REMOVE", "patch", "operation")),
		Entry("spec.configPatches: a value", setFirstPatch("other", "patch", "value", "name")),
		Entry("spec.configPatches: a field added", setFirstPatch("ANY", "match", "context")),
		Entry("spec.configPatches emptied", setField([]any{}, "spec", "configPatches")),
		Entry("spec.configPatches removed", removeField("spec", "configPatches")),
		Entry("the whole spec removed", removeField("spec")),
		Entry("all labels removed", removeField("metadata", "labels")),
		Entry("all annotations removed", removeField("metadata", "annotations")),
		Entry("the owner reference removed", removeField("metadata", "ownerReferences")),
		Entry("the owner reference weakened", func(e *unstructured.Unstructured) {
			references := e.GetOwnerReferences()
			references[0].Controller, references[0].BlockOwnerDeletion = new(false), new(false)
			e.SetOwnerReferences(references)
		}),
		Entry("everything ours removed but the owner reference", func(e *unstructured.Unstructured) {
			removeField("spec")(e)
			removeField("metadata", "labels")(e)
			removeField("metadata", "annotations")(e)
		}),
	)

	for _, label := range []string{wasmv1alpha1.LabelManagedBy, wasmv1alpha1.LabelPlugin, wasmv1alpha1.LabelRole} {
		DescribeTable("of a label is repaired: "+label, func(ctx SpecContext, drift edit) {
			for _, role := range halves {
				change(ctx, child(ctx, plugin, role), drift)
				standsAgain(ctx)
			}
		},
			Entry("removed", removeField("metadata", "labels", label)),
			Entry("changed", setField("other", "metadata", "labels", label)),
		)
	}

	for _, annotation := range []string{
		wasmv1alpha1.AnnotationPluginUID, wasmv1alpha1.AnnotationRenderer, wasmv1alpha1.AnnotationHash, wasmv1alpha1.AnnotationGeneration,
	} {
		DescribeTable("of an annotation is repaired: "+annotation, func(ctx SpecContext, drift edit) {
			for _, role := range halves {
				change(ctx, child(ctx, plugin, role), drift)
				standsAgain(ctx)
			}
		},
			Entry("removed", removeField("metadata", "annotations", annotation)),
			Entry("changed", setField("12345", "metadata", "annotations", annotation)),
		)
	}

	DescribeTable("of the mark of the plugin's generation is repaired", func(ctx SpecContext, drift edit) {
		change(ctx, child(ctx, plugin, wasmv1alpha1.RoleFilter), drift)
		Eventually(ctx, func() map[string]string {
			return child(ctx, plugin, wasmv1alpha1.RoleFilter).GetAnnotations()
		}).Should(HaveKeyWithValue(wasmv1alpha1.AnnotationPluginGeneration, "1"))
		standsAgain(ctx)
	},
		Entry("removed", removeField("metadata", "annotations", wasmv1alpha1.AnnotationPluginGeneration)),
		Entry("from the past", setField("0", "metadata", "annotations", wasmv1alpha1.AnnotationPluginGeneration)),
		Entry("from the future", setField("99", "metadata", "annotations", wasmv1alpha1.AnnotationPluginGeneration)),
		Entry("no number", setField("x", "metadata", "annotations", wasmv1alpha1.AnnotationPluginGeneration)),
	)

	DescribeTable("by deletion is repaired", func(ctx SpecContext, deleted ...string) {
		for _, role := range deleted {
			Expect(k8s.Delete(ctx, child(ctx, plugin, role))).To(Succeed())
		}
		standsAgain(ctx)
	},
		Entry("the configuration", wasmv1alpha1.RoleConfig),
		Entry("the filter", wasmv1alpha1.RoleFilter),
		Entry("both", wasmv1alpha1.RoleConfig, wasmv1alpha1.RoleFilter),
		Entry("both, the filter first", wasmv1alpha1.RoleFilter, wasmv1alpha1.RoleConfig),
	)

	It("by deletion in the foreground is repaired", func(ctx SpecContext) {
		gone := child(ctx, plugin, wasmv1alpha1.RoleConfig)
		Expect(k8s.Delete(ctx, gone, client.PropagationPolicy(metav1.DeletePropagationForeground))).To(Succeed())
		again := newEnvoyFilter(plugin.Namespace, gone.GetName())
		Eventually(ctx, func(ctx context.Context) (types.UID, error) {
			err := k8s.Get(ctx, client.ObjectKeyFromObject(again), again)
			return again.GetUID(), client.IgnoreNotFound(err)
		}).ShouldNot(Or(BeEmpty(), Equal(gone.GetUID())))
		standsAgain(ctx)
	})

	It("that was put back by hand leaves a pair that counts as intact", func(ctx SpecContext) {
		for _, role := range halves {
			spec := child(ctx, plugin, role).Object["spec"]
			change(ctx, child(ctx, plugin, role), otherPriority)
			change(ctx, child(ctx, plugin, role), func(e *unstructured.Unstructured) { e.Object["spec"] = spec })
			standsAgain(ctx)
		}
	})

	It("leaves labels and annotations of others alone", func(ctx SpecContext) {
		for _, role := range halves {
			change(ctx, child(ctx, plugin, role), addForeignMetadata)
			change(ctx, child(ctx, plugin, role), otherPriority)
			Eventually(ctx, func() any { return child(ctx, plugin, role).Object["spec"] }).Should(Equal(before[role].Spec))
			repaired := child(ctx, plugin, role)
			Expect(repaired.GetLabels()).To(HaveKeyWithValue("example.com/label", "theirs"))
			Expect(repaired.GetAnnotations()).To(HaveKeyWithValue("example.com/annotation", "theirs"))
		}
	})

	It("while the operator is down is repaired when it is back", Serial, func(ctx SpecContext) {
		Expect(operator.Kill()).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { ensureRunning(ctx) })
		change(ctx, child(ctx, plugin, wasmv1alpha1.RoleConfig), otherPriority)
		Expect(k8s.Delete(ctx, child(ctx, plugin, wasmv1alpha1.RoleFilter))).To(Succeed())
		Expect(operator.Start(ctx)).To(Succeed())
		standsAgain(ctx)
	})
})
