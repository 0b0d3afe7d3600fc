// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// Istio has a kind of the same name; its CRDs stand beside ours.
var _ = Describe("kubectl", func() {
	var plugin *wasmv1alpha1.WasmPlugin

	BeforeEach(func(ctx SpecContext) {
		plugin = newPlugin(newNamespace(ctx))
		createReady(ctx, plugin)
		istios := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"url": "oci://registry.example.com/istios:1.0"}}}
		istios.SetGroupVersionKind(schema.GroupVersionKind{Group: "extensions.istio.io", Version: "v1alpha1", Kind: "WasmPlugin"})
		istios.SetNamespace(plugin.Namespace)
		istios.SetName("istios")
		Expect(k8s.Create(ctx, istios)).To(Succeed())
	})

	// table is what kubectl prints, in words.
	table := func(ctx SpecContext, args ...string) [][]string {
		GinkgoHelper()
		var rows [][]string
		for line := range strings.Lines(kubectl(ctx, append(args, "--namespace", plugin.Namespace)...)) {
			rows = append(rows, strings.Fields(line))
		}
		return rows
	}

	DescribeTable("shows our plugins with their columns", func(ctx SpecContext, name string) {
		Expect(table(ctx, "get", name)).To(HaveExactElements(
			Equal([]string{"NAME", "READY", "REASON", "PROXIES", "DIGEST", "AGE"}),
			HaveExactElements("basic-auth", "True", "Applied", MatchRegexp(`^\d+s$`)),
		))
	},
		Entry("by the short name", "wasmp"),
		Entry("by the full name", "wasmplugins.wasm.solarmesh.io"),
		Entry("by the category", "istio-extensions"),
	)

	It("shows Istio's by their full name", func(ctx SpecContext) {
		Expect(table(ctx, "get", "wasmplugins.extensions.istio.io")).To(HaveExactElements(
			Equal([]string{"NAME", "AGE"}), ContainElement("istios")))
	})

	It("shows why a plugin isn't ready", func(ctx SpecContext) {
		Expect(patchSpec(ctx, plugin, notSupported)).To(Succeed())
		Eventually(ctx, func() [][]string { return table(ctx, "get", "wasmp", "basic-auth") }).Should(
			ContainElement(HaveExactElements("basic-auth", "False", "NotSupported", Not(BeEmpty()))))
	})

	It("waits for a plugin, explains its fields, and describes it", func(ctx SpecContext) {
		kubectl(ctx, "wait", "--for=condition=Ready", "wasmp/basic-auth", "--timeout=10s", "--namespace", plugin.Namespace)
		Expect(kubectl(ctx, "explain", "wasmp.spec.rules")).To(ContainSubstring("At most 256 KiB and 64 levels"))
		Expect(kubectl(ctx, "describe", "wasmp", "basic-auth", "--namespace", plugin.Namespace)).To(ContainSubstring("Both EnvoyFilters stand as rendered."))
	})
})
