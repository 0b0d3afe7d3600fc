// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// Counted where they cost: in front of the API server.
var _ = Describe("Requests of the operator", Serial, func() {
	var (
		plugin *wasmv1alpha1.WasmPlugin
		ns     string
	)

	BeforeEach(func(ctx SpecContext) {
		ns = newNamespace(ctx)
		plugin = newPlugin(ns)
		proxy.Reset()
		createReady(ctx, plugin)
	})

	It("create a plugin with 3 writes and 1 read", func() {
		quiet(ns, "PATCH envoyfilters/basic-auth-config", "PATCH envoyfilters/basic-auth-filter", "PATCH wasmplugins/basic-auth/status")
		Expect(reads(ns)).To(Equal([]string{"GET wasmplugins/basic-auth"}))
	})

	It("change rules with 2 writes", func(ctx SpecContext) {
		proxy.Reset()
		Expect(patchSpec(ctx, plugin, `{"rules": {"basic_auth_rules": []}}`)).To(Succeed())
		quiet(ns, "PATCH envoyfilters/basic-auth-config", "PATCH wasmplugins/basic-auth/status")
		Eventually(ctx, stateOf(plugin)).Should(beReady())
	})

	It("change what both halves carry with 3 writes, the configuration first", func(ctx SpecContext) {
		proxy.Reset()
		Expect(patchSpec(ctx, plugin, `{"priority": 7}`)).To(Succeed())
		quiet(ns, "PATCH envoyfilters/basic-auth-config", "PATCH envoyfilters/basic-auth-filter", "PATCH wasmplugins/basic-auth/status")
		Eventually(ctx, stateOf(plugin)).Should(beReady())
	})

	It("move only the marks when a change of the spec renders the same pair", func(ctx SpecContext) {
		proxy.Reset()
		before := child(ctx, plugin, wasmv1alpha1.RoleFilter)
		Expect(patchSpec(ctx, plugin, `{"failStrategy": "FAIL_CLOSE"}`)).To(Succeed())
		quiet(ns, "PATCH envoyfilters/basic-auth-filter", "PATCH wasmplugins/basic-auth/status")
		Expect(child(ctx, plugin, wasmv1alpha1.RoleFilter).GetGeneration()).To(Equal(before.GetGeneration()), "istiod pushes nothing")
	})

	It("reject a spec with 1 write", func(ctx SpecContext) {
		proxy.Reset()
		Expect(patchSpec(ctx, plugin, notSupported)).To(Succeed())
		quiet(ns, "PATCH wasmplugins/basic-auth/status")
	})

	It("repair an edited child with 1 write", func(ctx SpecContext) {
		for _, role := range halves {
			proxy.Reset()
			change(ctx, child(ctx, plugin, role), otherPriority)
			quiet(ns, "PATCH envoyfilters/basic-auth-"+role)
		}
	})

	DescribeTable("don't follow a touch of metadata", func(ctx SpecContext, touch func(*wasmv1alpha1.WasmPlugin)) {
		proxy.Reset()
		looked := operator.reconciles(Default)
		change(ctx, plugin, touch)
		Eventually(operator.reconciles).Should(BeNumerically(">", looked), "the operator has looked at it")
		Consistently(func() []string { return append(writes(ns), reads(ns)...) }).Should(BeEmpty())
	},
		Entry("a label", func(p *wasmv1alpha1.WasmPlugin) { p.Labels = map[string]string{"team": "a"} }),
		Entry("an annotation", func(p *wasmv1alpha1.WasmPlugin) { p.Annotations = map[string]string{"note": "x"} }),
		Entry("a finalizer", func(p *wasmv1alpha1.WasmPlugin) {
			p.Finalizers = []string{"example.com/keep"}
			DeferCleanup(func(ctx SpecContext) {
				change(ctx, p, func(p *wasmv1alpha1.WasmPlugin) { p.Finalizers = nil })
			})
		}),
	)

	It("don't follow a touch of a child's metadata that isn't ours", func(ctx SpecContext) {
		proxy.Reset()
		looked := operator.reconciles(Default)
		change(ctx, child(ctx, plugin, wasmv1alpha1.RoleFilter), addForeignMetadata)
		Eventually(operator.reconciles).Should(BeNumerically(">", looked))
		Consistently(func() []string { return append(writes(ns), reads(ns)...) }).Should(BeEmpty())
	})

	It("are none to any object when the operator restarts", func(ctx SpecContext) {
		const plugins = 40
		for i := range plugins - 1 {
			more := newPlugin(ns)
			more.Name = fmt.Sprintf("more-%d", i)
			Expect(k8s.Create(ctx, more)).To(Succeed())
		}
		list := &wasmv1alpha1.WasmPluginList{}
		Eventually(ctx, func(g Gomega) {
			g.Expect(k8s.List(ctx, list, client.InNamespace(ns))).To(Succeed())
			for i := range list.Items {
				g.Expect(&list.Items[i]).To(beReady())
			}
		}).Should(Succeed())
		Expect(operator.Stop()).To(Succeed())
		proxy.Reset()
		Expect(operator.Start(ctx)).To(Succeed())
		Eventually(operator.reconciles).Should(BeNumerically(">=", plugins))
		Consistently(func() []string { return append(writes(ns), reads(ns)...) }).Should(BeEmpty())

		all := proxy.Requests()
		Expect(len(all)).To(BeNumerically("<=", 10), "%v", all)
		for _, request := range all {
			Expect(request.Method).To(Equal("GET"))
			if request.Path == "/apis/wasm.solarmesh.io/v1alpha1/wasmplugins" || request.Path == "/apis/networking.istio.io/v1alpha3/envoyfilters" {
				Expect(request.Accept).To(ContainSubstring("as=PartialObjectMetadata"), "specs must not be read: %v", request)
			}
		}
	})
})
