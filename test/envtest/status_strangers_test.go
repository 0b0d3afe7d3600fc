// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

var _ = Describe("A status that others write to", func() {
	var plugin *wasmv1alpha1.WasmPlugin

	BeforeEach(func(ctx SpecContext) {
		plugin = newPlugin(newNamespace(ctx))
		createReady(ctx, plugin)
		refresh(ctx, plugin)
	})

	It("is again as it was when somebody applied beside it", func(ctx SpecContext) {
		const other = `{"delivery": "Direct", "module": {"abi": "0.2.1"}}`
		applyStatus(ctx, plugin, other)
		Eventually(ctx, stateOf(plugin)).Should(And(beReady(), WithTransform(said, Equal(said(plugin)))))
	})

	It("may have another owner who says the same", Serial, func(ctx SpecContext) {
		proxy.Reset()
		looked := operator.reconciles(Default)
		const same = `{"delivery": "Direct"}`
		applyStatus(ctx, plugin, same)
		Eventually(operator.reconciles).Should(BeNumerically(">", looked))
		Consistently(func() []string { return append(writes(plugin.Namespace), reads(plugin.Namespace)...) }).Should(BeEmpty())
		Expect(refresh(ctx, plugin)).To(WithTransform(strangers, ConsistOf("somebody")))

		Expect(patchSpec(ctx, plugin, `{"priority": 7}`)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(beReady())
	})

	It("loses an addition in 2 writes and 1 read", Serial, func(ctx SpecContext) {
		proxy.Reset()
		edited := plugin.DeepCopy()
		edited.Status.Conditions = append(edited.Status.Conditions, theirCondition)
		Expect(k8s.Status().Update(ctx, edited, client.FieldOwner("somebody"))).To(Succeed())
		quiet(plugin.Namespace, "PATCH wasmplugins/basic-auth/status", "PATCH wasmplugins/basic-auth/status")
		Expect(reads(plugin.Namespace)).To(Equal([]string{"GET wasmplugins/basic-auth"}))
		Eventually(ctx, stateOf(plugin)).Should(WithTransform(said, Equal(said(plugin))))
	})

	It("isn't fought over without end", Serial, func(ctx SpecContext) {
		proxy.Reset()
		added := 0
		insist := func(ctx context.Context) int {
			current := refresh(ctx, plugin).DeepCopy()
			if conditionOf(current, theirCondition.Type).Type == "" {
				current.Status.Conditions = append(current.Status.Conditions, theirCondition)
				if k8s.Status().Update(ctx, current, client.FieldOwner("somebody")) == nil {
					added++
				}
			}
			return added
		}
		Eventually(ctx, insist).WithPolling(time.Millisecond).Should(Equal(6), "it is taken out, again and again")
		// Each pause is twice as long as the one before: 2 s have room for 9 at most.
		Consistently(ctx, insist).WithTimeout(2 * time.Second).WithPolling(time.Millisecond).Should(BeNumerically("<=", 6+9))
		Expect(len(writes(plugin.Namespace))).To(BeNumerically("<=", 4*15))
	})
})

var theirCondition = metav1.Condition{
	Type: "Theirs", Status: metav1.ConditionTrue, Reason: "Theirs", Message: "Theirs.", LastTransitionTime: metav1.Unix(1700000000, 0),
}

// said is what a status says, without the times, which have whole seconds.
func said(plugin *wasmv1alpha1.WasmPlugin) wasmv1alpha1.WasmPluginStatus {
	status := *plugin.Status.DeepCopy()
	for i := range status.Conditions {
		status.Conditions[i].LastTransitionTime = metav1.Time{}
	}
	return status
}

// strangers own fields of the status, besides the operator's one entry.
func strangers(plugin *wasmv1alpha1.WasmPlugin) []string {
	var managers []string
	for _, entry := range plugin.ManagedFields {
		ours := entry.Manager == wasmv1alpha1.FieldManager && entry.Operation == metav1.ManagedFieldsOperationApply
		if entry.Subresource == "status" && !ours {
			managers = append(managers, entry.Manager)
		}
	}
	return managers
}

// applyStatus is server-side apply by somebody else.
func applyStatus(ctx context.Context, plugin *wasmv1alpha1.WasmPlugin, status string) {
	GinkgoHelper()
	body := fmt.Appendf(nil, `{"apiVersion": "wasm.solarmesh.io/v1alpha1", "kind": "WasmPlugin", "metadata": {"namespace": %q, "name": %q}, "status": %s}`,
		plugin.Namespace, plugin.Name, status)
	patch := client.RawPatch(types.ApplyPatchType, body)
	Expect(k8s.Status().Patch(ctx, plugin.DeepCopy(), patch, client.FieldOwner("somebody"), client.ForceOwnership)).To(Succeed())
}
