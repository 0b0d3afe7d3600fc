// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/explain"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// nativeTwin is a WasmPlugin of Istio's that loads the module of a plugin of ours.
const nativeTwin = `
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: twin, namespace: %s}
spec:
  url: %s
  selector: {matchLabels: {istio: %s}}
%s`

var _ = Describe("wasmctl explain", Ordered, func() {
	var (
		s       space
		gw      gateway
		wasmctl string
	)
	BeforeAll(func(ctx SpecContext) {
		s = newSpace(ctx)
		gw = s.gateway(ctx, "explained", 2)
		s.virtualHosts(ctx, gw)
		wasmctl = filepath.Join(GinkgoT().TempDir(), "wasmctl")
		buildWasmctl(ctx, wasmctl)
	})

	// run returns what explain says of a plugin, in a form.
	run := func(ctx context.Context, name, form string) (string, error) {
		out, err := exec.CommandContext(ctx, wasmctl, "explain", name, "-n", s.namespace, "-o", form,
			"--kubeconfig", world.Cluster.Kubeconfig, "--istiod-url", world.Istiod.URL).CombinedOutput()
		return string(out), err
	}
	report := func(ctx context.Context, g Gomega, name string) explain.Report {
		out, err := run(ctx, name, "json")
		g.Expect(err).NotTo(HaveOccurred(), out)
		var report explain.Report
		g.Expect(json.Unmarshal([]byte(out), &report)).To(Succeed(), out)
		return report
	}

	It("tells the chain, the hosts and what is delivered, from what istiod sends", func(ctx SpecContext) {
		plugin := basicAuth(gw.selector())
		plugin.Match = []wasmv1alpha1.TrafficSelector{{Ports: []wasmv1alpha1.PortSelector{{Number: int32(gw.Ports[0])}}}}
		plugin.Overrides = []wasmv1alpha1.Override{disable(hosts(status)), disable(hosts("nobody.example.com"))}
		s.create(ctx, "auth", plugin)
		eventually(ctx, gw.get(protected, ""), unauthorized)
		s.observed(ctx, "auth")
		var told explain.Report
		Eventually(ctx, func(g Gomega) {
			told = report(ctx, g, "auth")
			g.Expect(told.Proxies).To(ConsistOf(And(HaveField("ID", gw.ID),
				HaveField("Extensions.State", explain.StateAcknowledged), HaveField("Listeners.State", explain.StateAcknowledged))))
		}).WithTimeout(patience).Should(Succeed())
		Expect(told.Views).To(HaveLen(1))
		view := told.Views[0]

		// The chain is Envoy's own.
		Expect(view.Chains).To(HaveLen(1))
		var names []string
		for _, filter := range view.Chains[0].Filters {
			names = append(names, filter.Name)
		}
		inForce, err := filters(ctx, gw.Proxy, gw.Ports[0])
		Expect(err).NotTo(HaveOccurred())
		Expect(names).To(Equal(inForce))
		Expect(view.Without).To(ConsistOf(HaveField("Address", HaveSuffix(fmt.Sprintf(":%d", gw.Ports[1])))))
		digest := strings.TrimPrefix(s.read(ctx, "auth").Status.Module.Digest, "sha256:")
		Expect(digest).NotTo(BeEmpty())
		Expect(view.Delivered).To(ConsistOf(And(HaveField("Missing", false), HaveField("URL", ContainSubstring(digest)), HaveField("SHA256", digest),
			HaveField("FailStrategy", "FAIL_CLOSE"), HaveField("RulesBytes", BeNumerically(">", 0)), HaveField("Digest", Not(BeEmpty())))))
		Expect(view.Routes).To(ConsistOf(HaveField("VirtualHosts", ContainElement(
			And(HaveField("Domains", ContainElement(status)), HaveField("Runs", explain.RunsOff))))))
		Expect(told.Warnings).To(ConsistOf(And(HaveField("Reason", explain.WarnOverride), HaveField("Text", ContainSubstring("nobody.example.com")))))

		By("saying the same to people, without the rules")
		out, err := run(ctx, "auth", "text")
		Expect(err).NotTo(HaveOccurred(), out)
		Expect(out).To(And(ContainSubstring("1 of "), ContainSubstring("→ "), ContainSubstring(s.filterName("auth")), ContainSubstring(status)))
		Expect(out).NotTo(ContainSubstring("ok:test"))
	})

	It("finds a plugin of Istio's own that does the same, and says when istiod can't tell", func(ctx SpecContext) {
		twin := func(more string) {
			GinkgoHelper()
			Expect(chain.Apply(ctx, world.Cluster.Config, fmt.Sprintf(nativeTwin, s.namespace, world.Modules.URL("/basic-auth.wasm"), gw.Label, more))).To(Succeed())
		}
		twin("  pluginConfig: {basic_auth_rules: []}\n")
		Eventually(ctx, func(g Gomega) {
			g.Expect(report(ctx, g, "auth").Warnings).To(ContainElement(And(
				HaveField("Reason", explain.WarnDouble), HaveField("Text", ContainSubstring(s.namespace+"/twin")))))
		}).WithTimeout(patience).Should(Succeed())

		By("taking its pluginConfig away, which istiod can't print")
		_, err := world.Shell(ctx, "kubectl patch wasmplugins.extensions.istio.io -n "+s.namespace+
			` twin --type=json -p '[{"op":"remove","path":"/spec/pluginConfig"}]'`)
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, func(g Gomega) {
			told := report(ctx, g, "auth")
			g.Expect(told.Warnings).To(ContainElement(HaveField("Reason", explain.WarnNotDumped)))
			g.Expect(told.Views).To(ConsistOf(HaveField("Chains", Not(BeEmpty()))))
		}).WithTimeout(patience).Should(Succeed())
		_, err = world.Shell(ctx, "kubectl delete wasmplugins.extensions.istio.io -n "+s.namespace+" twin")
		Expect(err).NotTo(HaveOccurred())
	})

	It("says why nothing matches, and what isn't there", func(ctx SpecContext) {
		s.create(ctx, "nowhere", helloWorld(selector("istio", "nobody")))
		Eventually(ctx, func(g Gomega) {
			told := report(ctx, g, "nowhere")
			g.Expect(told.Warnings).To(ContainElement(HaveField("Reason", explain.WarnNoMatch)))
			g.Expect(told.Others).To(ContainElement(HaveField("Reasons", Equal([]string{"no label istio=nobody"}))))
		}).WithTimeout(patience).Should(Succeed())
		out, err := run(ctx, "absent", "text")
		Expect(err).To(HaveOccurred())
		Expect(strings.TrimSpace(out)).To(Equal("wasmctl: there is no WasmPlugin absent in namespace " + s.namespace + "; name another namespace with -n"))
	})
})
