// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
	"github.com/solarmesh/wasmplugin-operator/test/story"
)

// sidecar is a proxy beside a workload.
type sidecar struct {
	*chain.Proxy
	// inbound leads to the workload, outbound to what the workload calls.
	inbound, outbound chain.Probe
}

// sidecar starts one, whose proxy has more labels. The workload, and what it calls, are one server in this process.
func (s space) sidecar(ctx context.Context, more map[string]string) sidecar {
	GinkgoHelper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, story.Served) }))
	DeferCleanup(server.Close)
	ports, err := chain.FreePorts(2)
	Expect(err).NotTo(HaveOccurred())
	yaml, err := os.ReadFile("testdata/sidecar.yaml")
	Expect(err).NotTo(HaveOccurred())
	Expect(chain.Apply(ctx, world.Cluster.Config, strings.NewReplacer(
		"NAMESPACE", s.namespace,
		"INGRESS", strconv.Itoa(ports[0]), "EGRESS", strconv.Itoa(ports[1]),
		"SERVER", strconv.Itoa(server.Listener.Addr().(*net.TCPAddr).Port),
	).Replace(string(yaml)))).To(Succeed())
	// All proxies here have its address, and istiod gives its Services, which are none, to each that connects meanwhile.
	DeferCleanup(func(ctx SpecContext) {
		_, err := world.Shell(ctx, "kubectl delete workloadentry workload -n "+s.namespace)
		Expect(err).NotTo(HaveOccurred())
	})
	labels := map[string]string{"app": "workload"}
	maps.Copy(labels, more)
	proxy, err := world.StartProxy(ctx, chain.ProxyOptions{
		Name: "workload", Namespace: s.namespace, Role: chain.Sidecar, Labels: labels,
	})
	Expect(err).NotTo(HaveOccurred())
	stopAtEnd(proxy)
	result := sidecar{
		Proxy:    proxy,
		inbound:  chain.Probe{URL: fmt.Sprintf("http://127.0.0.1:%d%s", ports[0], protected)},
		outbound: chain.Probe{URL: fmt.Sprintf("http://127.0.0.1:%d%s", ports[1], protected), Host: "upstream.example.com"},
	}
	eventually(ctx, result.inbound, served)
	eventually(ctx, result.outbound, served)
	return result
}

var _ = Describe("A plugin in a sidecar", func() {
	It("filters the direction that it names, and only that", func(ctx SpecContext) {
		s := newSpace(ctx)
		workload := s.sidecar(ctx, nil)
		plugin := basicAuth(selector("app", "workload"))
		plugin.Match = []wasmv1alpha1.TrafficSelector{{Context: wasmv1alpha1.ContextAny}}
		s.create(ctx, "basic-auth", plugin)
		eventually(ctx, workload.inbound, unauthorized)
		eventually(ctx, workload.outbound, unauthorized)

		// With each step, one answer at least changes.
		for _, step := range []struct {
			direction         wasmv1alpha1.Context
			inbound, outbound []chain.Expect
		}{
			{wasmv1alpha1.ContextSidecarInbound, unauthorized, served},
			{wasmv1alpha1.ContextSidecarOutbound, served, unauthorized},
			{wasmv1alpha1.ContextSidecarInbound, unauthorized, served},
		} {
			By("filtering " + string(step.direction))
			s.edit(ctx, "basic-auth", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Match[0].Context = step.direction })
			eventually(ctx, workload.inbound, step.inbound)
			eventually(ctx, workload.outbound, step.outbound)
			now(ctx, workload.inbound, step.inbound)
		}
		workload.inbound.User = "ok:test"
		now(ctx, workload.inbound, served)
	})

	It("runs in a gateway as well, where one selector matches both", func(ctx SpecContext) {
		s := newSpace(ctx)
		gw := s.gateway(ctx, "gateway", 1)
		workload := s.sidecar(ctx, map[string]string{"istio": gw.Label})
		plugin := probe(gw.selector(), answering("base"))
		plugin.Match = []wasmv1alpha1.TrafficSelector{
			{Context: wasmv1alpha1.ContextGateway}, {Context: wasmv1alpha1.ContextSidecarInbound},
		}
		s.create(ctx, "both", plugin)
		eventually(ctx, gw.get(open, ""), answered("base"))
		eventually(ctx, workload.inbound, answered("base"))
		now(ctx, workload.outbound, served)

		By("giving a host that the workload calls rules of its own")
		s.edit(ctx, "both", func(spec *wasmv1alpha1.WasmPluginSpec) {
			spec.Match = []wasmv1alpha1.TrafficSelector{{Context: wasmv1alpha1.ContextAny}}
			spec.Overrides = []wasmv1alpha1.Override{override(answering("called"), hosts("upstream.example.com"))}
		})
		eventually(ctx, workload.outbound, answered("called"))
		now(ctx, workload.inbound, answered("base"))
		now(ctx, gw.get(open, ""), answered("base"))
	})
})
