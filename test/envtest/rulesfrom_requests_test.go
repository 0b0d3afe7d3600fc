// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

const metadataOnly = "as=PartialObjectMetadata"

// gets are the operator's reads of single objects in a namespace, those of metadata only marked as such. Watches are left
// out.
func gets(namespace string) []string {
	var found []string
	for _, request := range proxy.Requests() {
		_, path, inNamespace := strings.Cut(request.Path, "/namespaces/"+namespace+"/")
		if !inNamespace || request.Method != http.MethodGet || !strings.Contains(path, "/") {
			continue
		}
		if strings.Contains(request.Accept, metadataOnly) {
			path += " (metadata)"
		}
		found = append(found, path)
	}
	return found
}

// watches are its watches of a kind in a namespace, with their queries.
func watches(namespace, resource string) []chain.Request {
	return slices.DeleteFunc(proxy.Requests(), func(request chain.Request) bool {
		return !strings.HasSuffix(request.Path, "/namespaces/"+namespace+"/"+resource)
	})
}

func isWatchOf(namespace, resource string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		return strings.HasSuffix(r.URL.Path, "/namespaces/"+namespace+"/"+resource)
	}
}

var _ = Describe("Requests for rules from ConfigMaps", Serial, func() {
	const patchConfig, patchStatus = "PATCH envoyfilters/basic-auth-config", "PATCH wasmplugins/basic-auth/status"
	var (
		plugin *wasmv1alpha1.WasmPlugin
		users  *corev1.ConfigMap
		ns     string
	)

	BeforeEach(func(ctx SpecContext) {
		ns = newNamespace(ctx)
		users = newConfigMap(ns, "users", `{"a": "one"}`)
		Expect(k8s.Create(ctx, users)).To(Succeed())
		plugin = newPlugin(ns)
		plugin.Spec.RulesFrom = []wasmv1alpha1.RulesSource{fromConfigMap("users"), fromConfigMap("users")}
		proxy.Reset()
		createReady(ctx, plugin)
	})

	It("are one read of each, and one watch of the namespace's metadata", func() {
		quiet(ns, patchConfig, "PATCH envoyfilters/basic-auth-filter", patchStatus)
		Expect(gets(ns)).To(Equal([]string{"wasmplugins/basic-auth", "configmaps/users"}))
		Expect(watches(ns, "configmaps")).To(ConsistOf(And(
			HaveField("Accept", ContainSubstring(metadataOnly)),
			HaveField("Query", ContainSubstring("watch=true")),
		)))
	})

	It("are one watch for many, also when the operator restarts", func(ctx SpecContext) {
		const plugins, each = 10, 5
		many := []*wasmv1alpha1.WasmPlugin{plugin}
		for i := range plugins {
			next := newPlugin(ns)
			next.Name = fmt.Sprintf("many-%d", i)
			for j := range each {
				name := fmt.Sprintf("many-%d-%d", i, j)
				Expect(k8s.Create(ctx, newConfigMap(ns, name, `{"a": "one"}`))).To(Succeed())
				next.Spec.RulesFrom = append(next.Spec.RulesFrom, fromConfigMap(name))
			}
			Expect(k8s.Create(ctx, next)).To(Succeed())
			many = append(many, next)
		}
		for _, p := range many {
			Eventually(ctx, stateOf(p)).Should(beReady())
		}
		Expect(watches(ns, "configmaps")).To(HaveLen(1))

		Expect(operator.Stop()).To(Succeed())
		proxy.Reset()
		Expect(operator.Start(ctx)).To(Succeed())
		Eventually(operator.reconciles).Should(BeNumerically(">=", len(many)))
		Eventually(func() []chain.Request { return watches(ns, "configmaps") }).Should(HaveLen(1))
		Consistently(func() []string { return append(writes(ns), gets(ns)...) }).Should(BeEmpty())
		Expect(len(proxy.Requests())).To(BeNumerically("<=", 10), "%v", proxy.Requests())

		By("noticing what changes after")
		last := newConfigMap(ns, "many-9-4", "")
		change(ctx, last, func(c *corev1.ConfigMap) { c.Data[rulesKey] = `{"a": "two"}` })
		Eventually(ctx, delivered(many[plugins])).Should(ContainSubstring("two"))
		Expect(watches(ns, "configmaps")).To(HaveLen(1))
	})

	It("are two writes for a change, and one for a touch of metadata", func(ctx SpecContext) {
		proxy.Reset()
		change(ctx, users, func(c *corev1.ConfigMap) { c.Data[rulesKey] = `{"a": "two"}` })
		quiet(ns, patchConfig, patchStatus)
		Expect(gets(ns)).To(Equal([]string{"wasmplugins/basic-auth", "configmaps/users"}))

		generation := child(ctx, plugin, wasmv1alpha1.RoleConfig).GetGeneration()
		proxy.Reset()
		change(ctx, users, func(c *corev1.ConfigMap) { c.Labels = map[string]string{"team": "a"} })
		quiet(ns, patchConfig)
		Expect(child(ctx, plugin, wasmv1alpha1.RoleConfig).GetGeneration()).To(Equal(generation), "istiod pushes nothing")
	})

	It("are none but the watch when the operator restarts, unless it changed meanwhile", func(ctx SpecContext) {
		Expect(operator.Stop()).To(Succeed())
		proxy.Reset()
		Expect(operator.Start(ctx)).To(Succeed())
		Eventually(func() []chain.Request { return watches(ns, "configmaps") }).Should(HaveLen(1))
		Consistently(func() []string { return append(writes(ns), gets(ns)...) }).Should(BeEmpty())

		Expect(operator.Stop()).To(Succeed())
		change(ctx, users, func(c *corev1.ConfigMap) { c.Data[rulesKey] = `{"a": "two"}` })
		proxy.Reset()
		Expect(operator.Start(ctx)).To(Succeed())
		quiet(ns, patchConfig, patchStatus)
		Expect(delivered(plugin)(Default, ctx)).To(ContainSubstring("two"))
	})

	It("end with the last plugin that needs them", func(ctx SpecContext) {
		other, began := newNamespace(ctx), make(chan context.Context, 10)
		proxy.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
			if isWatchOf(other, "configmaps")(r) {
				began <- r.Context()
			}
			return false
		})
		DeferCleanup(func() { proxy.Intercept(nil) })
		Expect(k8s.Create(ctx, newConfigMap(other, "more", "{}"))).To(Succeed())
		var plugins []*wasmv1alpha1.WasmPlugin
		for _, name := range []string{"first", "second"} {
			next := newPlugin(other)
			next.Name, next.Spec.RulesFrom = name, []wasmv1alpha1.RulesSource{fromConfigMap("more")}
			createReady(ctx, next)
			plugins = append(plugins, next)
		}
		var watching context.Context
		Eventually(began).Should(Receive(&watching))
		Expect(k8s.Delete(ctx, plugins[0])).To(Succeed())
		Consistently(watching.Err).Should(Succeed())
		Expect(patchSpec(ctx, plugins[1], `{"rulesFrom": null}`)).To(Succeed())
		Eventually(watching.Err).Should(MatchError(context.Canceled))
		Expect(began).NotTo(Receive())
	})

	It("go on without the right to watch", func(ctx SpecContext) {
		proxy.Intercept(chain.FailWith(403, isWatchOf(ns, "configmaps")))
		DeferCleanup(func() { proxy.Intercept(nil) })
		restartOperator(ctx, "--secret-refresh-interval=10s")
		change(ctx, users, func(c *corev1.ConfigMap) { c.Data[rulesKey] = `{"a": "two"}` })
		Eventually(ctx, delivered(plugin)).Should(ContainSubstring("two"))
		Expect(gets(ns)).To(ContainElement("configmaps/users (metadata)"))
		Expect(strings.Count(operator.Log(), "Can't watch the ConfigMaps")).To(Equal(1))
	})
})
