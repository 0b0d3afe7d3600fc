// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

var _ = Describe("The status", func() {
	var plugin *wasmv1alpha1.WasmPlugin

	BeforeEach(func(ctx SpecContext) {
		plugin = newPlugin(newNamespace(ctx))
		createReady(ctx, plugin)
		refresh(ctx, plugin)
	})

	DescribeTable("is again as it was when somebody changed it", func(ctx SpecContext, mutate func(*wasmv1alpha1.WasmPluginStatus)) {
		children := versions(ctx, plugin)
		edited := plugin.DeepCopy()
		mutate(&edited.Status)
		Expect(k8s.Status().Update(ctx, edited, client.FieldOwner("kubectl-edit"))).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(And(beReady(), WithTransform(said, Equal(said(plugin))), WithTransform(strangers, BeEmpty())))
		Expect(versions(ctx, plugin)).To(Equal(children), "the pair has nothing to do with it")
	},
		Entry("wiped", func(s *wasmv1alpha1.WasmPluginStatus) { *s = wasmv1alpha1.WasmPluginStatus{} }),
		Entry("all conditions removed", func(s *wasmv1alpha1.WasmPluginStatus) { s.Conditions = nil }),
		Entry("one condition removed", func(s *wasmv1alpha1.WasmPluginStatus) { s.Conditions = s.Conditions[:len(s.Conditions)-1] }),
		Entry("a condition's status", func(s *wasmv1alpha1.WasmPluginStatus) { ready(s).Status = metav1.ConditionFalse }),
		Entry("a condition's reason", func(s *wasmv1alpha1.WasmPluginStatus) { ready(s).Reason = "Other" }),
		Entry("a condition's observedGeneration", func(s *wasmv1alpha1.WasmPluginStatus) { ready(s).ObservedGeneration = 99 }),
		Entry("observedGeneration", func(s *wasmv1alpha1.WasmPluginStatus) { s.ObservedGeneration = 99 }),
		Entry("the list of EnvoyFilters", func(s *wasmv1alpha1.WasmPluginStatus) { s.EnvoyFilters = nil }),
		Entry("an EnvoyFilter's hash", func(s *wasmv1alpha1.WasmPluginStatus) { s.EnvoyFilters[0].Hash = "other" }),
		Entry("activation", func(s *wasmv1alpha1.WasmPluginStatus) { s.Activation.State = wasmv1alpha1.StateOff }),
		Entry("delivery", func(s *wasmv1alpha1.WasmPluginStatus) { s.Delivery = wasmv1alpha1.DeliveryStore }),
		Entry("an EnvoyFilter's role", func(s *wasmv1alpha1.WasmPluginStatus) { s.EnvoyFilters[0].Role = wasmv1alpha1.EnvoyFilterFilter }),
		Entry("a condition added", func(s *wasmv1alpha1.WasmPluginStatus) { s.Conditions = append(s.Conditions, theirCondition) }),
		Entry("a condition of ours added", func(s *wasmv1alpha1.WasmPluginStatus) {
			stalled := theirCondition
			stalled.Type = wasmv1alpha1.ConditionStalled
			s.Conditions = append(s.Conditions, stalled)
		}),
		Entry("an EnvoyFilter added", func(s *wasmv1alpha1.WasmPluginStatus) {
			s.EnvoyFilters = append(s.EnvoyFilters, wasmv1alpha1.EnvoyFilterStatus{Name: "theirs", Hash: "a"})
		}),
		Entry("a field added", func(s *wasmv1alpha1.WasmPluginStatus) { s.Module.Digest = "sha256:00" }),
		Entry("a list added", func(s *wasmv1alpha1.WasmPluginStatus) {
			s.Proxies.Rejections = []wasmv1alpha1.ProxyRejection{{Proxy: "a.b", Message: "no"}}
		}),
		Entry("a field added below ours", func(s *wasmv1alpha1.WasmPluginStatus) { s.Activation.Message = "Theirs." }),
	)

	It("loses what an older status said of another generation", func(ctx SpecContext) {
		before := refresh(ctx, plugin).DeepCopy()
		Expect(patchSpec(ctx, plugin, notSupported)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(beRejected(wasmv1alpha1.ReasonNotSupported))
		Expect(patchSpec(ctx, plugin, supportedAgain)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(And(beReady(), Not(HaveField("Status.Conditions",
			ContainElement(HaveField("Type", BeElementOf(wasmv1alpha1.ConditionStalled, wasmv1alpha1.ConditionReconciling)))))))
		Expect(refresh(ctx, plugin).Status.ObservedGeneration).To(Equal(before.Status.ObservedGeneration + 2))
	})

	It("keeps transition times while a condition's status stays", func(ctx SpecContext) {
		// Times have whole seconds: an older one is told from now.
		old := metav1.Unix(1700000000, 0)
		aged := refresh(ctx, plugin)
		for i := range aged.Status.Conditions {
			aged.Status.Conditions[i].LastTransitionTime = old
		}
		Expect(k8s.Status().Update(ctx, aged, client.FieldOwner("somebody"))).To(Succeed())
		Expect(patchSpec(ctx, plugin, `{"rules": {"basic_auth_rules": []}}`)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(beReady())
		for _, condition := range refresh(ctx, plugin).Status.Conditions {
			Expect(condition.LastTransitionTime.Unix()).To(Equal(old.Unix()), condition.Type)
		}

		Expect(patchSpec(ctx, plugin, notSupported)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(beRejected(wasmv1alpha1.ReasonNotSupported))
		Expect(conditionOf(refresh(ctx, plugin), wasmv1alpha1.ConditionReady).LastTransitionTime.Unix()).To(BeNumerically(">", old.Unix()))
		Expect(conditionOf(plugin, wasmv1alpha1.ConditionProgrammed).LastTransitionTime.Unix()).To(Equal(old.Unix()))
	})

	It("says what is wrong with a spec, and that the last accepted one stays in effect", func(ctx SpecContext) {
		children := versions(ctx, plugin)
		Expect(patchSpec(ctx, plugin, `{"url": "https://registry.example.com:70000/plugin.wasm"}`)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(And(
			beRejected(wasmv1alpha1.ReasonInvalidSpec, "spec.url: has a port that is empty, 0 or above 65535.",
				"The last accepted spec stays in effect."),
			haveCondition(wasmv1alpha1.ConditionApplied, metav1.ConditionUnknown, wasmv1alpha1.ReasonNotAccepted),
			HaveField("Status.EnvoyFilters", HaveLen(2)),
		))
		Expect(versions(ctx, plugin)).To(Equal(children))
		Expect(patchSpec(ctx, plugin, `{"url": "https://registry.example.com:7000/plugin.wasm"}`)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(beReady())
	})

	It("of a plugin that was never good speaks of no earlier spec", func(ctx SpecContext) {
		bad := newPlugin(plugin.Namespace)
		bad.Name = "bad"
		bad.Spec.Delivery = wasmv1alpha1.DeliveryStore
		Expect(k8s.Create(ctx, bad)).To(Succeed())
		Eventually(ctx, stateOf(bad)).Should(beRejected(wasmv1alpha1.ReasonNotSupported))
		Expect(conditionOf(refresh(ctx, bad), wasmv1alpha1.ConditionAccepted).Message).NotTo(ContainSubstring("stays in effect"))
		Expect(bad.Status.EnvoyFilters).To(BeEmpty())
		Expect(versions(ctx, plugin)).NotTo(HaveKey(HavePrefix("bad-")))
	})

	It("that a crash left unwritten is written by the next operator", Serial, func(ctx SpecContext) {
		next := newPlugin(plugin.Namespace)
		next.Name = "next"
		DeferCleanup(func(ctx SpecContext) {
			proxy.Intercept(nil)
			ensureRunning(ctx)
		})
		proxy.Intercept(chain.FailWith(http.StatusInternalServerError, func(r *http.Request) bool {
			return strings.HasSuffix(r.URL.Path, "/wasmplugins/next/status")
		}))
		Expect(k8s.Create(ctx, next)).To(Succeed())
		Eventually(ctx, func() map[string]string { return versions(ctx, next) }).Should(
			And(HaveKey("next-config"), HaveKey("next-filter")))
		children := versions(ctx, next)
		Expect(operator.Kill()).To(Succeed())
		Expect(refresh(ctx, next).Status.Conditions).To(BeEmpty())

		proxy.Intercept(nil)
		Expect(operator.Start(ctx)).To(Succeed())
		Eventually(ctx, stateOf(next)).Should(beReady())
		Expect(versions(ctx, next)).To(Equal(children), "the pair stood already")
	})

	It("that an operator could not write is written as soon as it can", Serial, func(ctx SpecContext) {
		DeferCleanup(func() { proxy.Intercept(nil) })
		proxy.Intercept(chain.FailWith(http.StatusServiceUnavailable, func(r *http.Request) bool {
			return strings.HasPrefix(r.URL.Path, "/apis/wasm.solarmesh.io/v1alpha1/namespaces/"+plugin.Namespace) &&
				r.Method == http.MethodPatch
		}))
		proxy.Reset()
		Expect(patchSpec(ctx, plugin, `{"priority": 7}`)).To(Succeed())
		Eventually(func() []string { return writes(plugin.Namespace) }).Should(ContainElement("PATCH wasmplugins/basic-auth/status"))
		proxy.Intercept(nil)
		Eventually(ctx, stateOf(plugin)).Should(beReady())
	})

	It("says when EnvoyFilters can't be written, and recovers by itself", Serial, func(ctx SpecContext) {
		DeferCleanup(func() { proxy.Intercept(nil) })
		proxy.Intercept(chain.FailWith(http.StatusInternalServerError, func(r *http.Request) bool {
			return strings.Contains(r.URL.Path, plugin.Namespace+"/envoyfilters/")
		}))
		Expect(patchSpec(ctx, plugin, `{"priority": 7}`)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(And(
			haveCondition(wasmv1alpha1.ConditionAccepted, metav1.ConditionTrue, wasmv1alpha1.ReasonAccepted),
			haveCondition(wasmv1alpha1.ConditionApplied, metav1.ConditionFalse, wasmv1alpha1.ReasonApplyFailed),
			haveCondition(wasmv1alpha1.ConditionReconciling, metav1.ConditionTrue, wasmv1alpha1.ReasonApplyFailed),
		))
		proxy.Intercept(nil)
		Eventually(ctx, stateOf(plugin)).Should(beReady())
	})
})

func ready(status *wasmv1alpha1.WasmPluginStatus) *metav1.Condition {
	for i := range status.Conditions {
		if status.Conditions[i].Type == wasmv1alpha1.ConditionReady {
			return &status.Conditions[i]
		}
	}
	Fail("there is no Ready condition")
	return nil
}

// beforeFirst does something right before the first request of a method for an EnvoyFilter arrives.
func beforeFirst(ctx context.Context, method, envoyFilter string, do func(context.Context) error) {
	DeferCleanup(func() { proxy.Intercept(nil) })
	proxy.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == method && strings.HasSuffix(r.URL.Path, "/envoyfilters/"+envoyFilter) {
			proxy.Intercept(nil)
			defer GinkgoRecover()
			Expect(do(ctx)).To(Succeed())
		}
		return false
	})
}
