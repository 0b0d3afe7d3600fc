// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// An EnvoyFilter of the mesh's root namespace reaches all namespaces.
var _ = Describe("The mesh's root namespace", func() {
	const note = "so the plugin reaches matching proxies of all namespaces"
	var plugin *wasmv1alpha1.WasmPlugin

	inRootNamespace := func(scope wasmv1alpha1.Scope) *wasmv1alpha1.WasmPlugin {
		plugin := newPlugin(rootNamespace)
		plugin.Name, plugin.GenerateName = "", "spec-"
		if scope != "" {
			plugin.Spec.Scope, plugin.Spec.Selector = scope, wasmv1alpha1.WorkloadSelector{}
		}
		return plugin
	}
	create := func(ctx SpecContext, plugin *wasmv1alpha1.WasmPlugin) {
		GinkgoHelper()
		Expect(k8s.Create(ctx, plugin)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { Expect(k8s.Delete(ctx, plugin)).To(Succeed()) })
	}

	It("row 19: refuses scope Namespace, whoever asks for it", func(ctx SpecContext) {
		plugin = inRootNamespace(wasmv1alpha1.ScopeNamespace)
		create(ctx, plugin)
		Eventually(ctx, stateOf(plugin)).Should(beRejected(wasmv1alpha1.ReasonRootNamespace,
			"spec.scope: Namespace would reach every proxy of the mesh, since istio-system is its root namespace", "selector",
			"--allow-root-namespace-scope"))
		Expect(versions(ctx, plugin)).NotTo(HaveKey(HavePrefix(plugin.Name)))
	})

	It("takes a selector, with a note", func(ctx SpecContext) {
		plugin = inRootNamespace("")
		create(ctx, plugin)
		Eventually(ctx, stateOf(plugin)).Should(beReady())
		Expect(conditionOf(refresh(ctx, plugin), wasmv1alpha1.ConditionAccepted).Message).To(ContainSubstring(note))
	})

	It("takes scope Namespace where a flag allows it, also of plugins that were refused, with a note", Serial, func(ctx SpecContext) {
		plugin = inRootNamespace(wasmv1alpha1.ScopeNamespace)
		create(ctx, plugin)
		Eventually(ctx, stateOf(plugin)).Should(beRejected(wasmv1alpha1.ReasonRootNamespace))
		restartOperator(ctx, "--allow-root-namespace-scope")
		Eventually(ctx, stateOf(plugin)).Should(beReady())
		Expect(conditionOf(refresh(ctx, plugin), wasmv1alpha1.ConditionAccepted).Message).To(ContainSubstring(note))
		for _, role := range halves {
			Expect(child(ctx, plugin, role).Object["spec"]).NotTo(HaveKey("workloadSelector"))
		}
	})

	It("is the one that the mesh config names", Serial, func(ctx SpecContext) {
		root := newNamespace(ctx)
		mesh := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: rootNamespace, Name: "istio"}}
		setRoot := func(ctx context.Context, namespace string) {
			change(ctx, mesh, func(c *corev1.ConfigMap) { c.Data = map[string]string{"mesh": "rootNamespace: " + namespace} })
		}
		// Cleanups come in the reverse order: the operator reads what is there when it starts.
		DeferCleanup(func(ctx SpecContext) { relaunch(ctx) })
		DeferCleanup(func(ctx SpecContext) { setRoot(ctx, rootNamespace) })
		setRoot(ctx, root)
		relaunch(ctx)
		plugin = newPlugin(root)
		plugin.Spec.Scope, plugin.Spec.Selector = wasmv1alpha1.ScopeNamespace, wasmv1alpha1.WorkloadSelector{}
		Expect(k8s.Create(ctx, plugin)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(beRejected(wasmv1alpha1.ReasonRootNamespace, root))

		elsewhere := inRootNamespace(wasmv1alpha1.ScopeNamespace)
		create(ctx, elsewhere)
		Eventually(ctx, stateOf(elsewhere)).Should(beReady())
	})
})

var _ = Describe("Scope Namespace", func() {
	It("is accepted in other namespaces, without a note", func(ctx SpecContext) {
		plugin := newPlugin(newNamespace(ctx))
		plugin.Spec.Scope, plugin.Spec.Selector = wasmv1alpha1.ScopeNamespace, wasmv1alpha1.WorkloadSelector{}
		createReady(ctx, plugin)
		Expect(conditionOf(refresh(ctx, plugin), wasmv1alpha1.ConditionAccepted).Message).To(Equal("The spec is accepted."))
	})
})

var _ = Describe("An operator with --watch-namespaces", Serial, func() {
	It("leaves plugins elsewhere alone", func(ctx SpecContext) {
		first, second, elsewhere := newNamespace(ctx), newNamespace(ctx), newNamespace(ctx)
		restartOperator(ctx, "--watch-namespaces="+first+","+second)
		stranger := newPlugin(elsewhere)
		Expect(k8s.Create(ctx, stranger)).To(Succeed())
		for _, namespace := range []string{first, second} {
			plugin := newPlugin(namespace)
			createReady(ctx, plugin)
			Expect(k8s.Delete(ctx, child(ctx, plugin, wasmv1alpha1.RoleFilter))).To(Succeed())
			Eventually(ctx, func() map[string]string { return versions(ctx, plugin) }).Should(HaveKey("basic-auth-filter"))
		}
		Consistently(ctx, func(g Gomega) {
			g.Expect(versions(ctx, stranger)).To(BeEmpty())
			g.Expect(stateOf(stranger)(g, ctx).Status.Conditions).To(BeEmpty())
		}).Should(Succeed())
		for _, request := range proxy.Requests() {
			Expect(request.Path).NotTo(ContainSubstring("/namespaces/" + elsewhere + "/"))
		}
	})
})
