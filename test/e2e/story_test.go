// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

var _ = Describe("A plugin's life", func() {
	It("comes into force, changes, and goes", func(ctx SpecContext) {
		s := newSpace(ctx)
		gw := s.gateway(ctx, "gateway", 1)
		now(ctx, gw.get(protected, ""), and(served, ungreeted))

		By("creating both plugins")
		auth := basicAuth(gw.selector())
		auth.Rules = rules("ok:test", "YWRtaW4zOmFkbWluMw==") // admin3:admin3
		auth.Phase = wasmv1alpha1.PhaseAuthn
		s.create(ctx, "basic-auth", auth)
		s.create(ctx, "hello-world", helloWorld(gw.selector()))
		eventually(ctx, gw.get(protected, ""), unauthorized)
		eventually(ctx, gw.get(open, ""), and(served, greeted))
		now(ctx, gw.get(protected, "ok:test"), and(served, greeted))
		now(ctx, gw.get(protected, "admin3:admin3"), and(served, greeted))
		now(ctx, gw.get(protected, "ok:wrong"), unauthorized)
		now(ctx, chain.Probe{URL: gw.URL(protected), Method: http.MethodPost}, unauthorized)
		now(ctx, chain.Probe{URL: gw.URL(protected), Method: http.MethodDelete}, served)
		for _, name := range []string{"basic-auth", "hello-world"} {
			Expect(condition(s.observed(ctx, name), wasmv1alpha1.ConditionReady).Status).To(Equal(metav1.ConditionTrue))
		}
		Expect(s.envoyFilters(ctx)).To(ConsistOf(
			"basic-auth-config", "basic-auth-filter", "hello-world-config", "hello-world-filter"))

		By("deleting one of them")
		s.delete(ctx, "basic-auth")
		eventually(ctx, gw.get(protected, ""), and(served, greeted))
		Eventually(ctx, s.envoyFilters).WithTimeout(patience).Should(ConsistOf("hello-world-config", "hello-world-filter"))

		By("deleting the other")
		s.delete(ctx, "hello-world")
		eventually(ctx, gw.get(protected, ""), and(served, ungreeted))
		Eventually(ctx, s.envoyFilters).WithTimeout(patience).Should(BeEmpty())
		Expect(filters(ctx, gw.Proxy, gw.Ports[0])).NotTo(ContainElement(ContainSubstring("wasm")))
	})

	It("takes new rules under load, without a restart and without a request that passes unfiltered", func(ctx SpecContext) {
		s := newSpace(ctx)
		gw := s.gateway(ctx, "gateway", 1)
		s.create(ctx, "basic-auth", basicAuth(gw.selector()))
		eventually(ctx, gw.get(protected, ""), unauthorized)
		listeners := stat(ctx, gw.Proxy, "listener_manager.listener_create_success")

		stranger := newStream(gw.URL(protected), "", false)
		oldUser := newStream(gw.URL(protected), "ok:test", false)
		newUser := newStream(gw.URL(protected), "new:secret", false)
		strangerConnected := newStream(gw.URL(protected), "", true)
		newUserConnected := newStream(gw.URL(protected), "new:secret", true)
		load := startTraffic(ctx, stranger, oldUser, newUser, strangerConnected, newUserConnected)
		defer load.stop()
		load.more(ctx)
		s.edit(ctx, "basic-auth", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Rules = rules("new:secret") })
		eventually(ctx, gw.get(protected, "new:secret"), served)
		load.more(ctx)
		load.stop()

		for _, s := range load.streams {
			answers, sent, connections := s.seen()
			want := []string{"401 Unauthorized"}
			switch s.user {
			case "ok:test":
				want = []string{"200 OK", "401 Unauthorized"}
			case "new:secret":
				want = []string{"401 Unauthorized", "200 OK"}
			}
			Expect(answers).To(Equal(want), "of user %q after %d requests", s.user, sent)
			if s == strangerConnected || s == newUserConnected {
				Expect(connections).To(Equal(1), "connections of user %q for %d requests", s.user, sent)
			}
		}
		Expect(stat(ctx, gw.Proxy, "listener_manager.listener_create_success")).To(Equal(listeners), "a listener was made anew")
	})

	It("goes with its namespace, of which the operator makes no trouble", func(ctx SpecContext) {
		s := newSpace(ctx)
		for _, name := range []string{"one", "two", "three", "four", "five"} {
			s.create(ctx, name, helloWorld(selector("istio", "nobody")))
		}
		Eventually(ctx, s.envoyFilters).WithTimeout(patience).Should(HaveLen(10))
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}}
		Expect(api.Delete(ctx, namespace)).To(Succeed())
		Eventually(ctx, func() error {
			return api.Get(ctx, client.ObjectKeyFromObject(namespace), namespace)
		}).WithTimeout(patience).Should(MatchError(apierrors.IsNotFound, "the namespace is gone"))
		Expect(operatorErrors()).NotTo(ContainElement(ContainSubstring(`"namespace":"` + s.namespace + `"`)))
	})
})
