// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

var _ = Describe("A plugin's target", func() {
	It("is one port of a gateway with two", func(ctx SpecContext) {
		s := newSpace(ctx)
		gw := s.gateway(ctx, "gateway", 2)
		s.create(ctx, "basic-auth", basicAuth(gw.selector()))
		eventually(ctx, gw.getPort(0), unauthorized)
		eventually(ctx, gw.getPort(1), unauthorized)
		for _, n := range []int{1, 0} {
			s.edit(ctx, "basic-auth", func(spec *wasmv1alpha1.WasmPluginSpec) {
				spec.Match = []wasmv1alpha1.TrafficSelector{{Ports: []wasmv1alpha1.PortSelector{{Number: int32(gw.Ports[n])}}}}
			})
			eventually(ctx, gw.getPort(1-n), served)
			eventually(ctx, gw.getPort(n), unauthorized)
		}
	})

	It("is every proxy of its namespace with scope Namespace, and none of another", func(ctx SpecContext) {
		s, other := newSpace(ctx), newSpace(ctx)
		one, two, stranger := s.gateway(ctx, "one", 1), s.gateway(ctx, "two", 1), other.gateway(ctx, "stranger", 1)
		plugin := basicAuth(wasmv1alpha1.WorkloadSelector{})
		plugin.Scope = wasmv1alpha1.ScopeNamespace
		s.create(ctx, "basic-auth", plugin)
		eventually(ctx, one.get(protected, ""), unauthorized)
		eventually(ctx, two.get(protected, ""), unauthorized)
		// What istiod sends for a later plugin holds all that was there before.
		other.create(ctx, "hello-world", helloWorld(stranger.selector()))
		eventually(ctx, stranger.get(protected, ""), and(served, greeted))
	})

	It("is the proxies with its labels, in all namespaces where its own is the mesh's root", func(ctx SpecContext) {
		s, root := newSpace(ctx), space{chain.IstioNamespace}
		chosen, other := s.gateway(ctx, "chosen", 1), s.gateway(ctx, "other", 1)
		root.create(ctx, s.namespace, basicAuth(chosen.selector()))
		DeferCleanup(func(ctx SpecContext) { root.delete(ctx, s.namespace) })
		eventually(ctx, chosen.get(protected, ""), unauthorized)
		root.edit(ctx, s.namespace, func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Selector = other.selector() })
		eventually(ctx, chosen.get(protected, ""), served)
		eventually(ctx, other.get(protected, ""), unauthorized)
		accepted := condition(root.observed(ctx, s.namespace), wasmv1alpha1.ConditionAccepted)
		Expect(accepted.Message).To(ContainSubstring("root namespace"))
	})

	It("is the proxies of a release of Istio, and of later ones", func(ctx SpecContext) {
		s := newSpace(ctx)
		gw := s.gateway(ctx, "gateway", 1)
		plugin := basicAuth(gw.selector())
		plugin.ProxyVersion.Minimum = "1.99"
		s.create(ctx, "basic-auth", plugin)
		// What istiod sends for a later plugin holds all that was there before.
		s.create(ctx, "hello-world", helloWorld(gw.selector()))
		eventually(ctx, gw.get(protected, ""), and(served, greeted))
		release := strings.Join(strings.Split(world.Bin.IstioRelease, ".")[:2], ".")
		s.edit(ctx, "basic-auth", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.ProxyVersion.Minimum = release })
		eventually(ctx, gw.get(protected, ""), unauthorized)
	})

	It("is never the whole mesh by accident", func(ctx SpecContext) {
		s, root := newSpace(ctx), space{chain.IstioNamespace}
		plugin := basicAuth(wasmv1alpha1.WorkloadSelector{})
		plugin.Scope = wasmv1alpha1.ScopeNamespace
		root.create(ctx, s.namespace, plugin)
		DeferCleanup(func(ctx SpecContext) { root.delete(ctx, s.namespace) })
		accepted := condition(root.observed(ctx, s.namespace), wasmv1alpha1.ConditionAccepted)
		Expect(accepted.Status).To(Equal(metav1.ConditionFalse))
		Expect(accepted.Reason).To(Equal(wasmv1alpha1.ReasonRootNamespace))
		Expect(root.envoyFilters(ctx)).NotTo(ContainElement(HavePrefix(s.namespace)))
	})
})
