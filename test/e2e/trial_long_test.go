// SPDX-License-Identifier: Apache-2.0

//go:build long

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
	"github.com/solarmesh/wasmplugin-operator/test/story"
)

var _ = Describe("A change on trial elsewhere, at length", Ordered, ContinueOnFailure, func() {
	observing()
	var s space
	BeforeEach(func(ctx SpecContext) { s = newSpace(ctx) })

	It("is tried in a Gateway of the Gateway API", func(ctx SpecContext) {
		ports, err := chain.FreePorts(1)
		Expect(err).NotTo(HaveOccurred())
		// The Service is the one that istiod's deployment controller would make.
		Expect(chain.Apply(ctx, world.Cluster.Config, fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: door-istio, namespace: %[1]s}
spec:
  selector: {gateway.networking.k8s.io/gateway-name: door}
  ports: [{name: http, port: %[2]d, targetPort: %[2]d}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: door, namespace: %[1]s}
spec:
  gatewayClassName: istio
  listeners: [{name: http, port: %[2]d, protocol: HTTP}]
`, s.namespace, ports[0]))).To(Succeed())
		proxy, err := world.StartProxy(ctx, chain.ProxyOptions{
			Name: "door-istio-0", Namespace: s.namespace, Labels: map[string]string{"gateway.networking.k8s.io/gateway-name": "door"},
		})
		Expect(err).NotTo(HaveOccurred())
		stopAtEnd(proxy)
		ask := chain.Probe{URL: fmt.Sprintf("http://127.0.0.1:%d%s", ports[0], protected)}
		behind := []chain.Expect{chain.Status(http.StatusNotFound)} // it has no route
		eventually(ctx, ask, behind)
		spec := basicAuth(wasmv1alpha1.WorkloadSelector{})
		spec.TargetRefs = []wasmv1alpha1.TargetReference{{
			Group: new("gateway.networking.k8s.io"), Kind: "Gateway", Name: "door",
		}}
		spec.Rules = badRules()
		s.create(ctx, "auth", spec)
		s.becomes(ctx, "auth", wasmv1alpha1.ReasonRejected)
		now(ctx, ask, behind)
		s.edit(ctx, "auth", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Rules = rules("ok:test") })
		s.runs(ctx, "auth", 1)
		now(ctx, ask, unauthorized)
		ask.User = "ok:test"
		now(ctx, ask, behind)
	})

	It("is not blamed for a plugin of Istio's own kind, and goes on when that is mended", func(ctx SpecContext) {
		gw := s.gateway(ctx, "gateway", 1)
		native := func(rules string) error {
			return chain.Apply(ctx, world.Cluster.Config, fmt.Sprintf(`
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: native, namespace: %s}
spec:
  url: %s
  selector: {matchLabels: {istio: %s}}
  pluginConfig: {basic_auth_rules: %s}
`, s.namespace, world.Modules.URL(story.BasicAuthPath), gw.Label, rules))
		}
		Expect(native("everybody")).To(Succeed())
		eventually(ctx, gw.get(open, ""), broken)
		s.create(ctx, "hello", helloWorld(gw.selector()))
		plugin := s.becomes(ctx, "hello", wasmv1alpha1.ReasonBlockedByOther)
		Expect(condition(plugin, wasmv1alpha1.ConditionReady).Message).To(ContainSubstring("native"))
		Expect(native("[]")).To(Succeed())
		s.runs(ctx, "hello", 1)
		now(ctx, gw.get(open, ""), and(served, greeted))
	})

	It("waits while istiod is away, and what is in force stays", func(ctx SpecContext) {
		gw := s.gateway(ctx, "gateway", 1)
		s.create(ctx, "auth", basicAuth(gw.selector()))
		s.runs(ctx, "auth", 1)
		freeze(world.Istiod.Process)
		s.edit(ctx, "auth", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Rules = badRules() })
		Eventually(ctx, func(g Gomega) {
			g.Expect(condition(s.read(ctx, "auth"), wasmv1alpha1.ConditionProgrammed).Message).To(ContainSubstring("doesn't answer"))
		}).WithTimeout(2 * patience).Should(Succeed())
		now(ctx, gw.get(protected, "ok:test"), served)
		thaw(world.Istiod.Process)
		s.becomes(ctx, "auth", wasmv1alpha1.ReasonRejected)
		now(ctx, gw.get(protected, "ok:test"), served)
		now(ctx, gw.get(protected, ""), unauthorized)
	})
})

// takes is how long it takes from a change until the status, which knows of it, is as asked for.
func (s space) takes(ctx context.Context, name string, longest time.Duration, change func(), as func(g Gomega, plugin *wasmv1alpha1.WasmPlugin)) time.Duration {
	GinkgoHelper()
	start := time.Now()
	change()
	Eventually(ctx, func(g Gomega) {
		plugin := s.read(ctx, name)
		g.Expect(plugin.Status.ObservedGeneration).To(Equal(plugin.Generation))
		as(g, plugin)
	}).WithTimeout(longest).Should(Succeed())
	return time.Since(start)
}

// timed tells how long a new plugin and new rules take, each so many times.
func timed(ctx context.Context, times int) {
	GinkgoHelper()
	s := newSpace(ctx)
	gw := s.gateway(ctx, "gateway", 1)
	took := map[string][]time.Duration{}
	measure := func(what string, change func()) {
		took[what] = append(took[what], s.takes(ctx, "auth", patience, change, func(g Gomega, plugin *wasmv1alpha1.WasmPlugin) {
			g.Expect(condition(plugin, wasmv1alpha1.ConditionProgrammed).Status).To(Equal(metav1.ConditionTrue))
		}))
	}
	for range times {
		measure("new", func() { s.create(ctx, "auth", basicAuth(gw.selector())) })
		measure("new rules", func() {
			s.edit(ctx, "auth", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Rules = rules("new:secret") })
		})
		s.delete(ctx, "auth")
		Eventually(ctx, func() ([]string, error) { return s.envoyFilters(ctx) }).WithTimeout(patience).Should(BeEmpty())
	}
	for what, all := range took {
		slices.Sort(all)
		AddReportEntry(fmt.Sprintf("from kubectl apply to PROXIES 1/1, %s: median %s, longest %s, of %d",
			what, all[len(all)/2].Round(time.Millisecond), all[len(all)-1].Round(time.Millisecond), len(all)))
	}
}
