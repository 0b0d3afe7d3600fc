// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

var _ = Describe("A plugin that is made again", func() {
	var plugin *wasmv1alpha1.WasmPlugin

	BeforeEach(func(ctx SpecContext) {
		plugin = newPlugin(newNamespace(ctx))
		createReady(ctx, plugin)
		refresh(ctx, plugin)
	})

	gone := func(ctx context.Context) bool {
		return apierrors.IsNotFound(k8s.Get(ctx, client.ObjectKeyFromObject(plugin), &wasmv1alpha1.WasmPlugin{}))
	}

	It("takes over the children that an orphan deletion left", func(ctx SpecContext) {
		config, filter := child(ctx, plugin, wasmv1alpha1.RoleConfig), child(ctx, plugin, wasmv1alpha1.RoleFilter)
		Expect(k8s.Delete(ctx, plugin, client.PropagationPolicy(metav1.DeletePropagationOrphan))).To(Succeed())
		Eventually(ctx, gone).Should(BeTrue())
		for _, role := range halves {
			Expect(child(ctx, plugin, role).GetOwnerReferences()).To(BeEmpty())
		}

		again := newPlugin(plugin.Namespace)
		again.Spec.Rules = rulesOf(`{"basic_auth_rules": []}`)
		createReady(ctx, again)
		refresh(ctx, again)
		Expect(again.UID).NotTo(Equal(plugin.UID))
		for _, before := range []client.Object{config, filter} {
			taken := newEnvoyFilter(plugin.Namespace, before.GetName())
			Expect(k8s.Get(ctx, client.ObjectKeyFromObject(taken), taken)).To(Succeed())
			Expect(taken.GetUID()).To(Equal(before.GetUID()), "the proxies never miss it")
			Expect(taken.GetOwnerReferences()).To(ConsistOf(HaveField("UID", again.UID)))
			Expect(taken.GetAnnotations()).To(HaveKeyWithValue(wasmv1alpha1.AnnotationPluginUID, string(again.UID)))
		}
		Expect(child(ctx, again, wasmv1alpha1.RoleFilter).Object["spec"]).To(Equal(filter.Object["spec"]))
		Expect(child(ctx, again, wasmv1alpha1.RoleConfig).Object["spec"]).NotTo(Equal(config.Object["spec"]))
	})

	It("at once has a pair of its own, whatever the garbage collector takes meanwhile", func(ctx SpecContext) {
		Expect(k8s.Delete(ctx, plugin)).To(Succeed())
		again := newPlugin(plugin.Namespace)
		createReady(ctx, again)
		refresh(ctx, again)
		ownPair := func(g Gomega) {
			for _, role := range halves {
				envoyFilter := newEnvoyFilter(again.Namespace, again.Name+"-"+role)
				g.Expect(k8s.Get(ctx, client.ObjectKeyFromObject(envoyFilter), envoyFilter)).To(Succeed())
				g.Expect(envoyFilter.GetOwnerReferences()).To(ConsistOf(HaveField("UID", again.UID)))
			}
		}
		Eventually(ownPair).Should(Succeed())
		Consistently(ownPair).WithTimeout(collected).Should(Succeed())
	})
})
