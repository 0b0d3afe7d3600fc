// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
	"github.com/solarmesh/wasmplugin-operator/test/story"
)

var _ = Describe("A change on trial elsewhere", Ordered, ContinueOnFailure, func() {
	observing()
	var s space
	BeforeEach(func(ctx SpecContext) { s = newSpace(ctx) })

	It("is tried in both directions of a sidecar, and opens no port", func(ctx SpecContext) {
		workload := s.sidecar(ctx, nil)
		bad := basicAuth(selector("app", "workload"))
		bad.Rules = badRules()
		bad.Match = []wasmv1alpha1.TrafficSelector{{Context: wasmv1alpha1.ContextAny}}
		s.create(ctx, "auth", bad)
		s.becomes(ctx, "auth", wasmv1alpha1.ReasonRejected)
		now(ctx, workload.inbound, served)
		now(ctx, workload.outbound, served)
		s.edit(ctx, "auth", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Rules = rules("ok:test") })
		s.runs(ctx, "auth", 1)
		now(ctx, workload.inbound, unauthorized)
		now(ctx, workload.outbound, unauthorized)
	})

	It("says what to do where istiod can't tell what it sends", func(ctx SpecContext) {
		gw := s.gateway(ctx, "gateway", 1)
		native := fmt.Sprintf(`
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: native, namespace: %s}
spec:
  url: %s
  selector: {matchLabels: {istio: %s}}
`, s.namespace, world.Modules.URL(story.HelloWorldPath), gw.Label)
		Expect(chain.Apply(ctx, world.Cluster.Config, native)).To(Succeed())
		eventually(ctx, gw.get(protected, ""), and(served, greeted))
		s.create(ctx, "auth", basicAuth(gw.selector()))
		Eventually(ctx, func() []metav1.Condition { return s.read(ctx, "auth").Status.Conditions }).WithTimeout(patience).
			Should(ContainElement(And(HaveField("Type", wasmv1alpha1.ConditionReady), HaveField("Message", And(
				ContainSubstring("can't say what it sends to proxy "+gw.ID), ContainSubstring("pluginConfig: {comment: none}"))))))
		now(ctx, gw.get(protected, ""), served)
		Expect(chain.Apply(ctx, world.Cluster.Config, native+"  pluginConfig: {comment: none}\n")).To(Succeed())
		s.runs(ctx, "auth", 1)
		now(ctx, gw.get(protected, ""), unauthorized)
	})

	It("lets no request of a running plugin pass unfiltered", func(ctx SpecContext) {
		gw := s.gateway(ctx, "gateway", 1)
		s.create(ctx, "auth", basicAuth(gw.selector()))
		s.runs(ctx, "auth", 1)
		end := gw.answering(ctx, protected, "401 Unauthorized")
		for i := range 10 {
			s.edit(ctx, "auth", func(spec *wasmv1alpha1.WasmPluginSpec) {
				spec.Rules = rules(fmt.Sprintf("user:%d", i))
				spec.VMConfig.Env = nil
				if i%3 == 2 {
					spec.VMConfig.Env = []wasmv1alpha1.EnvVar{{Name: "ROUND", Value: new(fmt.Sprint(i))}}
				}
			})
			s.runs(ctx, "auth", 1)
		}
		end()
	})

	It("leaves no VM behind, and no statistics", func(ctx SpecContext) {
		g := story.Gateway{Namespace: s.namespace, Name: "gateway", Label: s.namespace + "-gateway"}
		var err error
		g.Ports, err = chain.FreePorts(1)
		Expect(err).NotTo(HaveOccurred())
		proxy, err := world.StartProxy(ctx, chain.ProxyOptions{
			Name: g.Name, Namespace: g.Namespace, Labels: map[string]string{"istio": g.Label},
			ProxyConfig: map[string]any{"drainDuration": "1s"}, // a listener that goes keeps its filters for so long
		})
		Expect(err).NotTo(HaveOccurred())
		stopAtEnd(proxy)
		Expect(chain.Apply(ctx, world.Cluster.Config, g.YAML())).To(Succeed())
		gw := gateway{g, proxy}
		eventually(ctx, gw.get(open, ""), served)
		s.create(ctx, "auth", basicAuth(gw.selector()))
		s.runs(ctx, "auth", 1)
		vms := func() int { return stat(ctx, proxy, "wasm.envoy.wasm.runtime.v8.active") }
		settled := func(what string, want int) {
			GinkgoHelper()
			Eventually(ctx, vms).WithTimeout(patience).Should(Equal(want), what)
			Consistently(ctx, vms).Should(Equal(want), what)
		}
		without := func(word string) {
			GinkgoHelper()
			eventually(ctx, chain.Probe{URL: proxy.AdminURL + "/stats?filter=" + word}, []chain.Expect{func(a chain.Answer) error {
				if strings.TrimSpace(a.Body) != "" {
					return errors.New("there are such statistics")
				}
				return nil
			}})
		}
		settled("in force", 3) // the module, and one for each thread
		env := func(rules *apiextensionsv1.JSON, value string) {
			s.edit(ctx, "auth", func(spec *wasmv1alpha1.WasmPluginSpec) {
				spec.Rules, spec.VMConfig.Env = rules, []wasmv1alpha1.EnvVar{{Name: "VM", Value: &value}}
			})
		}
		env(badRules(), "another")
		s.becomes(ctx, "auth", wasmv1alpha1.ReasonRejected)
		settled("refused", 3)
		without("~trial~")
		env(rules("ok:test"), "a third")
		s.runs(ctx, "auth", 1)
		settled("replaced", 3)
		s.delete(ctx, "auth")
		without("v8")
	})
})

// answering sends 200 requests a second for a path, and says at the end that all were answered alike.
func (g gateway) answering(ctx context.Context, path, answer string) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	s := newStream(g.URL(path), "", false)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		for ctx.Err() == nil {
			s.send(ctx)
			<-ticker.C
		}
	}()
	return func() {
		GinkgoHelper()
		cancel()
		<-done
		answers, sent, _ := s.seen()
		Expect(sent).To(BeNumerically(">=", enoughRequests))
		Expect(answers).To(Equal([]string{answer}), "of %d requests", sent)
	}
}
