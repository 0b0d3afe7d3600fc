// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// observing has the operator ask istiod what proxies do, as it is installed. It starts no plugin and fetches no module
// itself, so that what would break a gateway gets as far as the proxies.
func observing() {
	BeforeAll(func(ctx SpecContext) {
		Expect(world.RestartOperator(ctx, "--resolve-modules=false", "--store-url=", "--observe-proxies=true")).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { Expect(world.RestartOperator(ctx)).To(Succeed()) })
	})
}

// becomes waits until Ready has a reason, and the status is about the present spec.
func (s space) becomes(ctx context.Context, name, reason string) *wasmv1alpha1.WasmPlugin {
	GinkgoHelper()
	var plugin *wasmv1alpha1.WasmPlugin
	Eventually(ctx, func(g Gomega) {
		plugin = s.read(ctx, name)
		g.Expect(plugin.Status.ObservedGeneration).To(Equal(plugin.Generation))
		g.Expect(condition(plugin, wasmv1alpha1.ConditionReady).Reason).To(Equal(reason), "%+v", plugin.Status)
	}).WithTimeout(patience).Should(Succeed())
	return plugin
}

// runs waits until so many proxies of as many run a plugin, and nothing of its trial is left.
func (s space) runs(ctx context.Context, name string, proxies int) *wasmv1alpha1.WasmPlugin {
	GinkgoHelper()
	var plugin *wasmv1alpha1.WasmPlugin
	Eventually(ctx, func(g Gomega) {
		plugin = s.becomes(ctx, name, wasmv1alpha1.ReasonProgrammed)
		g.Expect(plugin.Status.Proxies.Summary).To(Equal(fmt.Sprintf("%d/%d", proxies, proxies)))
		g.Expect(s.envoyFilters(ctx)).NotTo(ContainElement(HavePrefix(name + "-filter-trial")))
		g.Expect(s.envoyFilters(ctx)).NotTo(ContainElement(HavePrefix(name + "-config-trial")))
	}).WithTimeout(patience).Should(Succeed())
	return plugin
}

// untouched sends requests all the time, and says at the end that all were answered from behind the plugins.
func (g gateway) untouched(ctx context.Context) (end func()) {
	return g.answering(ctx, open, "200 OK")
}

func refusedWords(plugin *wasmv1alpha1.WasmPlugin) string {
	GinkgoHelper()
	Expect(plugin.Status.Proxies.Rejections).To(HaveLen(1))
	return plugin.Status.Proxies.Rejections[0].Message
}

var _ = Describe("A change on trial", Ordered, ContinueOnFailure, func() {
	observing()
	var (
		s  space
		gw gateway
	)
	BeforeEach(func(ctx SpecContext) {
		s = newSpace(ctx)
		gw = s.gateway(ctx, "gateway", 1)
	})

	It("comes into force when the proxies take it", func(ctx SpecContext) {
		s.create(ctx, "auth", basicAuth(gw.selector()))
		plugin := s.runs(ctx, "auth", 1)
		Expect(plugin.Status.Activation.Mode).To(Equal(wasmv1alpha1.ActivationSafe))
		Expect(plugin.Status.Activation.State).To(Equal(wasmv1alpha1.StateOn))
		now(ctx, gw.get(protected, ""), unauthorized)
		s.edit(ctx, "auth", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Rules = rules("new:secret") })
		s.runs(ctx, "auth", 1)
		now(ctx, gw.get(protected, "new:secret"), served)
		now(ctx, gw.get(protected, "ok:test"), unauthorized)
	})

	It("harms no request if the proxies refuse it, nor does it later", func(ctx SpecContext) {
		end := gw.untouched(ctx)
		bad := basicAuth(gw.selector())
		bad.Rules = badRules()
		s.create(ctx, "bad", bad)
		plugin := s.becomes(ctx, "bad", wasmv1alpha1.ReasonRejected)
		Expect(refusedWords(plugin)).To(ContainSubstring("Unable to create Wasm plugin"))
		Expect(condition(plugin, wasmv1alpha1.ConditionProgrammed).Status).To(Equal(metav1.ConditionFalse))
		Expect(condition(plugin, wasmv1alpha1.ConditionStalled).Status).To(Equal(metav1.ConditionTrue))
		Expect(s.envoyFilters(ctx)).To(ConsistOf("bad-config-trial"))

		By("letting other changes of the gateway through")
		s.create(ctx, "hello", helloWorld(gw.selector()))
		s.runs(ctx, "hello", 1)
		now(ctx, gw.get(open, ""), and(served, greeted))
		s.becomes(ctx, "bad", wasmv1alpha1.ReasonRejected)

		By("coming into force once it is mended")
		s.edit(ctx, "bad", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Rules = rules("ok:test") })
		s.runs(ctx, "bad", 1)
		now(ctx, gw.get(protected, ""), unauthorized)
		end()
	})

	It("leaves the old rules in force if the new ones are refused, also for a proxy that starts", func(ctx SpecContext) {
		s.create(ctx, "auth", basicAuth(gw.selector()))
		s.runs(ctx, "auth", 1)
		end := gw.untouched(ctx)
		s.edit(ctx, "auth", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Rules = badRules() })
		plugin := s.becomes(ctx, "auth", wasmv1alpha1.ReasonRejected)
		Expect(condition(plugin, wasmv1alpha1.ConditionProgrammed).Message).To(ContainSubstring("stays in effect"))
		now(ctx, gw.get(protected, ""), unauthorized)
		now(ctx, gw.get(protected, "ok:test"), served)
		end()
		By("switching off what runs, though it isn't what the spec has")
		s.edit(ctx, "auth", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Activation.Mode = wasmv1alpha1.ActivationOff })
		eventually(ctx, gw.get(protected, ""), served)
		s.edit(ctx, "auth", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Activation.Mode = "" })

		second := s.gateway(ctx, "second", 1)
		now(ctx, second.get(open, ""), served)
		s.edit(ctx, "auth", func(spec *wasmv1alpha1.WasmPluginSpec) {
			spec.Rules, spec.Selector = rules("ok:test"), wasmv1alpha1.WorkloadSelector{}
			spec.Scope = wasmv1alpha1.ScopeNamespace
		})
		s.runs(ctx, "auth", 2)
		now(ctx, second.get(protected, ""), unauthorized)
	})

	It("says that a proxy can't fetch the module, and goes on when asked to", func(ctx SpecContext) {
		end := gw.untouched(ctx)
		path := "/" + s.namespace + "/late.wasm"
		spec := helloWorld(gw.selector())
		spec.URL = world.Modules.URL(path)
		s.create(ctx, "late", spec)
		Expect(refusedWords(s.becomes(ctx, "late", wasmv1alpha1.ReasonRejected))).To(ContainSubstring("filter config has type URL"))
		Expect(world.Modules.ServeFile(path, world.Plugin("/hello-world.wasm"))).To(Succeed())
		s.refresh(ctx, "late")
		s.runs(ctx, "late", 1)
		now(ctx, gw.get(open, ""), and(served, greeted))
		end()
	})

	It("is switched off and on without a trial", func(ctx SpecContext) {
		s.create(ctx, "auth", basicAuth(gw.selector()))
		s.runs(ctx, "auth", 1)
		s.edit(ctx, "auth", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Activation.Mode = wasmv1alpha1.ActivationOff })
		eventually(ctx, gw.get(protected, ""), served)
		Expect(s.becomes(ctx, "auth", wasmv1alpha1.ReasonOff).Status.Activation.State).To(Equal(wasmv1alpha1.StateOff))
		s.edit(ctx, "auth", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Activation = wasmv1alpha1.Activation{} })
		s.runs(ctx, "auth", 1)
		now(ctx, gw.get(protected, ""), unauthorized)

		By("switching it off though its spec can't be rendered")
		missing := wasmv1alpha1.KeyReference{Name: "missing", Key: "rules"}
		s.edit(ctx, "auth", func(spec *wasmv1alpha1.WasmPluginSpec) {
			spec.Activation.Mode = wasmv1alpha1.ActivationOff
			spec.RulesFrom = []wasmv1alpha1.RulesSource{{ConfigMapKeyRef: wasmv1alpha1.RulesKeyReference{KeyReference: missing}}}
		})
		eventually(ctx, gw.get(protected, ""), served)
		Expect(s.becomes(ctx, "auth", wasmv1alpha1.ReasonReferenceNotFound).Status.Activation.State).To(Equal(wasmv1alpha1.StateOff))
		s.edit(ctx, "auth", func(spec *wasmv1alpha1.WasmPluginSpec) {
			spec.Activation, spec.RulesFrom = wasmv1alpha1.Activation{}, nil
		})
		s.runs(ctx, "auth", 1)
		now(ctx, gw.get(protected, ""), unauthorized)
	})

	It("is tried one after the other, and only the guilty one is refused", func(ctx SpecContext) {
		bad := basicAuth(gw.selector())
		bad.Rules = badRules()
		s.create(ctx, "bad", bad)
		s.create(ctx, "good", basicAuth(gw.selector()))
		s.create(ctx, "hello", helloWorld(gw.selector()))
		s.runs(ctx, "good", 1)
		s.runs(ctx, "hello", 1)
		s.becomes(ctx, "bad", wasmv1alpha1.ReasonRejected)
		now(ctx, gw.get(protected, "ok:test"), and(served, greeted))
	})

	It("waits for no proxy where none matches, and follows those that come", func(ctx SpecContext) {
		s.create(ctx, "nobody", basicAuth(selector("istio", s.namespace+"-late")))
		s.becomes(ctx, "nobody", wasmv1alpha1.ReasonNoMatchingProxies)
		late := s.gateway(ctx, "late", 1)
		s.runs(ctx, "nobody", 1)
		now(ctx, late.get(protected, ""), unauthorized)
		Expect(late.Stop()).To(Succeed())
		s.becomes(ctx, "nobody", wasmv1alpha1.ReasonNoMatchingProxies)
	})

	It("survives a restart of the operator, which writes nothing", func(ctx SpecContext) {
		s.create(ctx, "auth", basicAuth(gw.selector()))
		before := s.runs(ctx, "auth", 1)
		bad := basicAuth(gw.selector())
		bad.Rules = badRules()
		s.create(ctx, "bad", bad)
		refused := s.becomes(ctx, "bad", wasmv1alpha1.ReasonRejected)
		Expect(world.RestartOperator(ctx, "--resolve-modules=false", "--store-url=", "--observe-proxies=true")).To(Succeed())
		Consistently(ctx, func(g Gomega) {
			g.Expect(s.read(ctx, "auth").ResourceVersion).To(Equal(before.ResourceVersion))
			g.Expect(s.read(ctx, "bad").ResourceVersion).To(Equal(refused.ResourceVersion))
		}).WithTimeout(5 * time.Second).Should(Succeed())
		s.edit(ctx, "auth", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Rules = rules("new:secret") })
		s.runs(ctx, "auth", 1)
	})

	It("is repaired at once where somebody deletes what is in force", func(ctx SpecContext) {
		s.create(ctx, "auth", basicAuth(gw.selector()))
		s.runs(ctx, "auth", 1)
		_, err := world.Shell(ctx, "kubectl -n "+s.namespace+" delete envoyfilter auth-config auth-filter")
		Expect(err).NotTo(HaveOccurred())
		s.runs(ctx, "auth", 1)
		eventually(ctx, gw.get(protected, ""), unauthorized)
	})
})

var _ = Describe("A change without a trial", Ordered, ContinueOnFailure, func() {
	observing()
	It("is never said to run where it was refused, also when istiod has forgotten", func(ctx SpecContext) {
		calm(ctx)
		s := newSpace(ctx)
		gw := s.gateway(ctx, "gateway", 1)
		bad := basicAuth(gw.selector())
		bad.Rules, bad.Activation.Mode = badRules(), wasmv1alpha1.ActivationImmediate
		s.create(ctx, "bad", bad)
		// On a machine that is too busy to see every answer, the status says that it doesn't know.
		isRefused := func(g Gomega) {
			plugin := s.read(ctx, "bad")
			g.Expect(plugin.Status.ObservedGeneration).To(Equal(plugin.Generation))
			ready := condition(plugin, wasmv1alpha1.ConditionReady)
			g.Expect(ready.Status).NotTo(Equal(metav1.ConditionTrue))
			g.Expect(ready.Message).To(Or(ContainSubstring("Unable to create Wasm plugin"), ContainSubstring("may have refused it")))
		}
		Eventually(ctx, isRefused).WithTimeout(patience).Should(Succeed())
		eventually(ctx, gw.get(open, ""), broken)

		By("having another plugin acknowledged, and the operator started anew")
		hello := helloWorld(gw.selector())
		hello.Activation.Mode = wasmv1alpha1.ActivationImmediate
		s.create(ctx, "hello", hello)
		Eventually(ctx, func() (string, error) { return extensionError(ctx, gw.Proxy) }).WithTimeout(patience).Should(BeEmpty())
		Expect(world.RestartOperator(ctx, "--resolve-modules=false", "--store-url=", "--observe-proxies=true")).To(Succeed())
		Consistently(ctx, isRefused).WithTimeout(5 * time.Second).Should(Succeed())
		now(ctx, gw.get(open, ""), []chain.Expect{chain.Status(http.StatusInternalServerError)})

		By("mending it")
		s.edit(ctx, "bad", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Rules = rules("ok:test") })
		eventually(ctx, gw.get(protected, "ok:test"), and(served, greeted))
	})
})

// calm waits until what earlier specs made is gone: while it goes, istiod pushes, and a refusal without a trial may be hidden
// by an acknowledgement. The status then says that it doesn't know.
func calm(ctx context.Context) {
	GinkgoHelper()
	Eventually(ctx, func(g Gomega) {
		list := &corev1.NamespaceList{}
		g.Expect(api.List(ctx, list)).To(Succeed())
		g.Expect(list.Items).NotTo(ContainElement(HaveField("DeletionTimestamp", Not(BeNil()))))
	}).WithTimeout(patience).Should(Succeed())
}

// extensionError is what istiod knows that a proxy refuses of its plugins.
func extensionError(ctx context.Context, proxy *chain.Proxy) (string, error) {
	var synced []struct {
		Proxy     string
		Resources map[string]struct {
			LastError string `json:"lastError"`
		}
	}
	if err := getJSON(ctx, world.Istiod.URL+"/debug/syncz", &synced); err != nil {
		return "", err
	}
	for _, one := range synced {
		if one.Proxy == proxy.ID {
			return one.Resources["type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"].LastError, nil
		}
	}
	return "", fmt.Errorf("istiod does not know %s", proxy.ID)
}
