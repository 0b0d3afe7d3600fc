// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// istiod of a revision leaves out what bears another one's label.
var _ = Describe("Istio's revision of a plugin", func() {
	const revision = "istio.io/rev"
	var plugin *wasmv1alpha1.WasmPlugin

	BeforeEach(func(ctx SpecContext) {
		plugin = newPlugin(newNamespace(ctx))
	})

	labeled := func(value string) func(*wasmv1alpha1.WasmPlugin) {
		return func(p *wasmv1alpha1.WasmPlugin) { p.Labels = map[string]string{revision: value, "team": "a"} }
	}
	// revisions are those of the pair, by role; halves without one are left out.
	revisions := func(ctx SpecContext) map[string]string {
		found := map[string]string{}
		for _, role := range halves {
			if value, ok := child(ctx, plugin, role).GetLabels()[revision]; ok {
				found[role] = value
			}
		}
		return found
	}
	both := func(value string) map[string]string {
		return map[string]string{wasmv1alpha1.RoleConfig: value, wasmv1alpha1.RoleFilter: value}
	}

	It("stands on its EnvoyFilters from the start, alone of its labels", func(ctx SpecContext) {
		labeled("stable")(plugin)
		createReady(ctx, plugin)
		Expect(revisions(ctx)).To(Equal(both("stable")))
		for _, role := range halves {
			Expect(child(ctx, plugin, role).GetLabels()).To(HaveLen(4), "ours, and the revision")
		}
	})

	It("moves to its EnvoyFilters, and nothing else does", Serial, func(ctx SpecContext) {
		createReady(ctx, plugin)
		specs := map[string]any{}
		for _, role := range halves {
			specs[role] = child(ctx, plugin, role).Object["spec"]
		}
		for _, step := range []struct {
			change func(*wasmv1alpha1.WasmPlugin)
			want   map[string]string
		}{
			{labeled("stable"), both("stable")},
			{labeled("canary"), both("canary")},
			{labeled(""), both("")},
			{func(p *wasmv1alpha1.WasmPlugin) { delete(p.Labels, revision) }, map[string]string{}},
		} {
			proxy.Reset()
			change(ctx, plugin, step.change)
			quiet(plugin.Namespace, "PATCH envoyfilters/basic-auth-config", "PATCH envoyfilters/basic-auth-filter")
			Expect(reads(plugin.Namespace)).To(Equal([]string{"GET wasmplugins/basic-auth"}), "what is written is rendered from it")
			Eventually(ctx, revisions).Should(Equal(step.want))
			for _, role := range halves {
				Expect(child(ctx, plugin, role).Object["spec"]).To(Equal(specs[role]))
			}
			Expect(stateOf(plugin)(Default, ctx)).To(beReady())
		}
	})

	It("costs nothing as long as it stays", Serial, func(ctx SpecContext) {
		labeled("stable")(plugin)
		createReady(ctx, plugin)
		proxy.Reset()
		looked := operator.reconciles(Default)
		change(ctx, plugin, func(p *wasmv1alpha1.WasmPlugin) { p.Labels["team"] = "b" })
		Eventually(operator.reconciles).Should(BeNumerically(">", looked))
		Consistently(func() []string { return append(writes(plugin.Namespace), reads(plugin.Namespace)...) }).Should(BeEmpty())
	})

	DescribeTable("is the only one that its EnvoyFilters may have", func(ctx SpecContext, ours map[string]string, drift edit) {
		plugin.Labels = ours
		createReady(ctx, plugin)
		before := revisions(ctx)
		for _, role := range halves {
			edited := child(ctx, plugin, role)
			change(ctx, edited, func(e *unstructured.Unstructured) {
				addForeignMetadata(e)
				drift(e)
			})
			Eventually(ctx, revisions).WithArguments(ctx).Should(Equal(before))
			repaired := child(ctx, plugin, role)
			Expect(repaired.Object["spec"]).To(Equal(edited.Object["spec"]))
			Expect(repaired.GetLabels()).To(HaveKeyWithValue("example.com/label", "theirs"))
			Expect(repaired.GetManagedFields()).To(ConsistOf(
				HaveField("Manager", "wasmplugin-operator"), HaveField("Manager", "somebody"),
			), "nobody got to own anything by the repair")
			Expect(stateOf(plugin)(Default, ctx)).To(beReady())
		}
	},
		Entry("added where the plugin has none", nil, setField("stable", "metadata", "labels", revision)),
		Entry("an empty one where the plugin has none", nil, setField("", "metadata", "labels", revision)),
		Entry("changed", map[string]string{revision: "canary"}, setField("stable", "metadata", "labels", revision)),
		Entry("emptied", map[string]string{revision: "canary"}, setField("", "metadata", "labels", revision)),
		Entry("removed", map[string]string{revision: "canary"}, removeField("metadata", "labels", revision)),
	)

	It("of somebody else is gone with 2 writes", Serial, func(ctx SpecContext) {
		createReady(ctx, plugin)
		proxy.Reset()
		change(ctx, child(ctx, plugin, wasmv1alpha1.RoleFilter), setField("stable", "metadata", "labels", revision))
		quiet(plugin.Namespace, "PATCH envoyfilters/basic-auth-filter", "PATCH envoyfilters/basic-auth-filter")
	})
})
