// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

var _ = Describe("A plugin's life", func() {
	var plugin *wasmv1alpha1.WasmPlugin

	BeforeEach(func(ctx SpecContext) {
		plugin = newPlugin(newNamespace(ctx))
		createReady(ctx, plugin)
		refresh(ctx, plugin)
	})

	It("begins with a pair of EnvoyFilters that it owns", func(ctx SpecContext) {
		for _, role := range halves {
			envoyFilter := child(ctx, plugin, role)
			Expect(envoyFilter.GetOwnerReferences()).To(Equal([]metav1.OwnerReference{{
				APIVersion: "wasm.solarmesh.io/v1alpha1", Kind: "WasmPlugin", Name: plugin.Name, UID: plugin.UID,
				Controller: new(true), BlockOwnerDeletion: new(true),
			}}))
			Expect(envoyFilter.GetLabels()).To(Equal(map[string]string{
				"app.kubernetes.io/managed-by": "wasmplugin-operator",
				"wasm.solarmesh.io/plugin":     plugin.Name,
				"wasm.solarmesh.io/role":       role,
			}))
			Expect(envoyFilter.GetAnnotations()).To(And(
				HaveKeyWithValue("wasm.solarmesh.io/plugin-uid", string(plugin.UID)),
				HaveKeyWithValue("wasm.solarmesh.io/hash", MatchRegexp("^[a-f0-9]{16}$")),
				HaveKeyWithValue("wasm.solarmesh.io/renderer", MatchRegexp("^[a-f0-9]{16}$")),
				HaveKeyWithValue("wasm.solarmesh.io/generation", "1"),
			))
			selector, _, err := unstructured.NestedStringMap(envoyFilter.Object, "spec", "workloadSelector", "labels")
			Expect(err).NotTo(HaveOccurred())
			Expect(selector).To(Equal(map[string]string{"istio": "ingressgateway"}))
		}
	})

	It("writes the configuration before the filter that needs it", func(ctx SpecContext) {
		config, filter := child(ctx, plugin, wasmv1alpha1.RoleConfig), child(ctx, plugin, wasmv1alpha1.RoleFilter)
		order, err := resourceversion.CompareResourceVersion(config.GetResourceVersion(), filter.GetResourceVersion())
		Expect(err).NotTo(HaveOccurred())
		Expect(order).To(Equal(-1), "config %s, filter %s", config.GetResourceVersion(), filter.GetResourceVersion())
		Expect(config.GetAnnotations()).NotTo(HaveKey(wasmv1alpha1.AnnotationPluginGeneration),
			"only the half that is written last says that the whole pair stands")
		Expect(filter.GetAnnotations()).To(HaveKeyWithValue(wasmv1alpha1.AnnotationPluginGeneration, "1"))
	})

	It("has an EnvoyFilter with each kind of patch", func(ctx SpecContext) {
		for role, applyTo := range map[string]string{wasmv1alpha1.RoleConfig: "EXTENSION_CONFIG", wasmv1alpha1.RoleFilter: "HTTP_FILTER"} {
			patches, _, err := unstructured.NestedSlice(child(ctx, plugin, role).Object, "spec", "configPatches")
			Expect(err).NotTo(HaveOccurred())
			Expect(patches).To(HaveLen(1))
			Expect(patches[0]).To(HaveKeyWithValue("applyTo", applyTo))
		}
	})

	It("reports the pair and every condition", func() {
		Expect(plugin.Status.Conditions).To(HaveExactElements(
			HaveField("Type", "Accepted"), HaveField("Type", "ModuleResolved"), HaveField("Type", "Applied"),
			HaveField("Type", "Programmed"), HaveField("Type", "Ready"),
		), "and neither Reconciling nor Stalled")
		for _, unobserved := range []string{wasmv1alpha1.ConditionModuleResolved, wasmv1alpha1.ConditionProgrammed} {
			Expect(plugin).To(haveCondition(unobserved, metav1.ConditionUnknown, wasmv1alpha1.ReasonNotObserved))
		}
		Expect(plugin.Status.EnvoyFilters).To(ConsistOf(
			And(HaveField("Name", plugin.Name+"-config"), HaveField("Role", wasmv1alpha1.EnvoyFilterConfig)),
			And(HaveField("Name", plugin.Name+"-filter"), HaveField("Role", wasmv1alpha1.EnvoyFilterFilter)),
		))
	})

	It("changes only the configuration when the rules change", func(ctx SpecContext) {
		config, filter := child(ctx, plugin, wasmv1alpha1.RoleConfig), child(ctx, plugin, wasmv1alpha1.RoleFilter)
		change(ctx, plugin, func(p *wasmv1alpha1.WasmPlugin) { p.Spec.Rules = rulesOf(`{"basic_auth_rules": []}`) })
		Eventually(ctx, stateOf(plugin)).Should(beReady())
		Expect(child(ctx, plugin, wasmv1alpha1.RoleFilter).GetResourceVersion()).To(Equal(filter.GetResourceVersion()))
		changed := child(ctx, plugin, wasmv1alpha1.RoleConfig)
		Expect(changed.GetUID()).To(Equal(config.GetUID()), "it is changed in place, not made anew")
		Expect(changed.Object["spec"]).NotTo(Equal(config.Object["spec"]))
		Expect(changed.GetAnnotations()).To(HaveKeyWithValue(wasmv1alpha1.AnnotationPluginGeneration, "2"))
	})

	It("changes only the filter when the listeners change", func(ctx SpecContext) {
		config, filter := child(ctx, plugin, wasmv1alpha1.RoleConfig), child(ctx, plugin, wasmv1alpha1.RoleFilter)
		change(ctx, plugin, func(p *wasmv1alpha1.WasmPlugin) {
			p.Spec.Match = []wasmv1alpha1.TrafficSelector{{Ports: []wasmv1alpha1.PortSelector{{Number: 8080}}}}
		})
		Eventually(ctx, stateOf(plugin)).Should(beReady())
		Expect(child(ctx, plugin, wasmv1alpha1.RoleFilter).Object["spec"]).NotTo(Equal(filter.Object["spec"]))
		changed := child(ctx, plugin, wasmv1alpha1.RoleConfig)
		Expect(changed.GetResourceVersion()).To(Equal(config.GetResourceVersion()))
	})

	It("drops a field of the EnvoyFilters that the spec no longer asks for", func(ctx SpecContext) {
		change(ctx, plugin, func(p *wasmv1alpha1.WasmPlugin) {
			p.Spec.Selector = wasmv1alpha1.WorkloadSelector{}
			p.Spec.Scope = wasmv1alpha1.ScopeNamespace
		})
		Eventually(ctx, stateOf(plugin)).Should(beReady())
		for _, role := range halves {
			Expect(child(ctx, plugin, role).Object["spec"]).NotTo(HaveKey("workloadSelector"))
		}
	})

	It("ends with the garbage collector taking the pair", func(ctx SpecContext) {
		Expect(k8s.Delete(ctx, plugin)).To(Succeed())
		Eventually(ctx, func() map[string]string { return versions(ctx, plugin) }).Should(BeEmpty())
	})
})
