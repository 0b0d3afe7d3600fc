// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

const (
	toConfig = "PATCH envoyfilters/basic-auth-config"
	toFilter = "PATCH envoyfilters/basic-auth-filter"
	toStatus = "PATCH wasmplugins/basic-auth/status"
)

// A proxy that meets a filter whose configuration isn't there waits for it and opens no listener.
var _ = Describe("A name that the filter refers to", Serial, func() {
	var (
		plugin *wasmv1alpha1.WasmPlugin
		ns     string
	)

	BeforeEach(func(ctx SpecContext) {
		ns = newNamespace(ctx)
		plugin = newPlugin(ns)
		assertAlwaysDelivered(ns)
	})

	// created makes the plugin with these overrides.
	created := func(ctx context.Context, overrides string) {
		GinkgoHelper()
		createReady(ctx, plugin)
		Expect(patchSpec(ctx, plugin, overrides)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(beReady())
		proxy.Reset()
	}
	onlyThese := func(ctx context.Context) {
		GinkgoHelper()
		Expect(namesIn(child(ctx, plugin, wasmv1alpha1.RoleConfig), "EXTENSION_CONFIG")).To(
			ConsistOf(namesIn(child(ctx, plugin, wasmv1alpha1.RoleFilter), "HTTP_FILTER", "NETWORK_FILTER")), "and no name that nothing refers to")
		Eventually(ctx, stateOf(plugin)).Should(beReady())
	}

	DescribeTable("is delivered at every moment of a change", func(ctx SpecContext, from, to string, readsConfig bool, expected ...string) {
		created(ctx, from)
		Expect(patchSpec(ctx, plugin, to)).To(Succeed())
		quiet(ns, expected...)
		wanted := []string{"GET wasmplugins/basic-auth"}
		if readsConfig {
			wanted = append(wanted, "GET envoyfilters/basic-auth-config")
		}
		Expect(reads(ns)).To(Equal(wanted))
		onlyThese(ctx)
	},
		Entry("an override more", overrides("x"), overrides("x", "y"), true, toConfig, toFilter, toConfig, toStatus),
		Entry("an override less", overrides("x", "y"), overrides("x"), true, toConfig, toFilter, toConfig, toStatus),
		Entry("none any more", overrides("x", "y"), overrides(), true, toConfig, toFilter, toConfig, toStatus),
		Entry("the first one", overrides(), overrides("x"), true, toConfig, toFilter, toConfig, toStatus),
		Entry("other rules of an override", overrides("x", "y"), overrides("x", "z"), false, toConfig, toStatus),
		Entry("rules that change places", overrides("x", "y"), overrides("y", "x"), false, toConfig, toStatus),
		Entry("rules that become equal", overrides("x", "y"), overrides("x", "x"), true, toConfig, toFilter, toConfig, toStatus),
		Entry("the base rules", overrides("x"), `{"rules": {"basic_auth_rules": []}}`, false, toConfig, toStatus),
		Entry("an override that is switched off", overrides("x"), `{"overrides": [{"match": {"hosts": ["0.example.com"]}, "mode": "Disable"}]}`, true,
			toConfig, toFilter, toConfig, toStatus),
		Entry("another type of filter", overrides(), `{"type": "NETWORK"}`, true, toConfig, toFilter, toConfig, toStatus),
	)

	It("is delivered through a row of changes in haste", func(ctx SpecContext) {
		created(ctx, overrides("a", "b"))
		for i := range 20 {
			Expect(patchSpec(ctx, plugin, overrides(append([]string{fmt.Sprint("a", i%3), fmt.Sprint("b", i)}, make([]string, i%3)...)...))).To(Succeed())
		}
		Eventually(ctx, stateOf(plugin)).Should(beReady())
		onlyThese(ctx)
	})

	// killedAfter runs the operator until it has made so many writes of EnvoyFilters, and kills it.
	killedAfter := func(ctx context.Context, count int32) {
		GinkgoHelper()
		DeferCleanup(func(ctx SpecContext) {
			proxy.Intercept(nil)
			ensureRunning(ctx)
		})
		var seen atomic.Int32
		proxy.Intercept(chain.FailWith(http.StatusServiceUnavailable, func(r *http.Request) bool {
			if r.Method != http.MethodPatch || !strings.Contains(r.URL.Path, "/namespaces/"+ns+"/") {
				return false
			}
			return strings.HasSuffix(r.URL.Path, "/status") || seen.Add(1) > count
		}))
		Expect(patchSpec(ctx, plugin, overrides("x", "y", "z"))).To(Succeed())
		Eventually(seen.Load).Should(BeNumerically(">=", count))
		Eventually(func() []string { return writes(ns) }).Should(Or(HaveLen(int(count)+1), ContainElement(toStatus)))
		Expect(operator.Kill()).To(Succeed())
		proxy.Intercept(nil)
		proxy.Reset()
	}

	DescribeTable("is delivered when the operator dies half-way, and the next one goes on there",
		func(ctx SpecContext, count int, readsConfig bool, expected ...string) {
			created(ctx, overrides("x", "y"))
			killedAfter(ctx, int32(count))
			Expect(operator.Start(ctx)).To(Succeed())
			quiet(ns, expected...)
			wanted := []string{"GET wasmplugins/basic-auth"}
			if readsConfig {
				wanted = append(wanted, "GET envoyfilters/basic-auth-config")
			}
			Expect(reads(ns)).To(Equal(wanted))
			onlyThese(ctx)
		},
		Entry("after the first write", 1, true, toFilter, toConfig, toStatus),
		Entry("after the second", 2, false, toConfig, toStatus),
		Entry("after the last", 3, false, toStatus),
	)

	It("is delivered when the change is taken back while nobody runs", func(ctx SpecContext) {
		for count := range int32(3) {
			created(ctx, overrides("x", "y"))
			killedAfter(ctx, count+1)
			Expect(patchSpec(ctx, plugin, overrides("x", "y"))).To(Succeed())
			Expect(operator.Start(ctx)).To(Succeed())
			Eventually(ctx, stateOf(plugin)).Should(beReady())
			Expect(len(writes(ns))).To(BeNumerically("<=", 4))
			onlyThese(ctx)
			Expect(k8s.Delete(ctx, plugin)).To(Succeed())
			Eventually(ctx, func() map[string]string { return versions(ctx, plugin) }).Should(BeEmpty())
			plugin = newPlugin(ns)
		}
	})

	It("is known although somebody edited the list of names", func(ctx SpecContext) {
		created(ctx, overrides("x", "y"))
		annotation := []string{"metadata", "annotations", wasmv1alpha1.AnnotationInstances}
		written := child(ctx, plugin, wasmv1alpha1.RoleConfig).GetAnnotations()[wasmv1alpha1.AnnotationInstances]
		for _, drift := range []edit{removeField(annotation...), setField("", annotation...), setField(written+" more", annotation...)} {
			change(ctx, child(ctx, plugin, wasmv1alpha1.RoleConfig), drift)
			Eventually(ctx, func() map[string]string {
				return child(ctx, plugin, wasmv1alpha1.RoleConfig).GetAnnotations()
			}).Should(HaveKeyWithValue(wasmv1alpha1.AnnotationInstances, written))
		}

		Expect(operator.Stop()).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { ensureRunning(ctx) })
		change(ctx, child(ctx, plugin, wasmv1alpha1.RoleConfig), removeField(annotation...))
		Expect(patchSpec(ctx, plugin, overrides("x", "y", "z"))).To(Succeed())
		proxy.Reset()
		Expect(operator.Start(ctx)).To(Succeed())
		quiet(ns, toConfig, toFilter, toConfig, toStatus)
		onlyThese(ctx)
	})

	It("costs nothing when the operator restarts", func(ctx SpecContext) {
		created(ctx, overrides("x", "y"))
		Expect(operator.Stop()).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { ensureRunning(ctx) })
		proxy.Reset()
		Expect(operator.Start(ctx)).To(Succeed())
		Eventually(operator.reconciles).Should(BeNumerically(">=", 1))
		Consistently(func() []string { return append(writes(ns), reads(ns)...) }).Should(BeEmpty())
	})
})

// overrides gives host 0, 1, … rules of its own.
func overrides(rules ...string) string {
	var entries []string
	for i, text := range rules {
		entries = append(entries, fmt.Sprintf(`{"match": {"hosts": ["%d.example.com"]}, "rules": {"realm": %q}}`, i, text))
	}
	if len(entries) == 0 {
		return `{"overrides": null}`
	}
	return `{"overrides": [` + strings.Join(entries, ", ") + `]}`
}

// assertAlwaysDelivered watches the EnvoyFilters of a namespace, and asserts at the end of the spec that at no moment of
// their common history the filter named what the configuration didn't deliver.
func assertAlwaysDelivered(namespace string) {
	GinkgoHelper()
	watching, err := client.NewWithWatch(restConfig, client.Options{Scheme: runtime.NewScheme()})
	Expect(err).NotTo(HaveOccurred())
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(envoyFilterKind)
	// The context of the node that starts it ends before the spec.
	events, err := watching.Watch(context.Background(), list, client.InNamespace(namespace))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func(ctx SpecContext) {
		defer events.Stop()
		last := newEnvoyFilter(namespace, "last")
		Expect(k8s.Create(ctx, last)).To(Succeed())
		seen := 0
		standing := map[string]*unstructured.Unstructured{}
		for event := range events.ResultChan() {
			object, ok := event.Object.(*unstructured.Unstructured)
			Expect(ok).To(BeTrue(), "%v", event.Object)
			if object.GetName() == "last" {
				break
			}
			seen++
			standing[object.GetName()] = object
			if event.Type == watch.Deleted {
				delete(standing, object.GetName())
				continue
			}
			delivered := namesIn(standing["basic-auth-config"], "EXTENSION_CONFIG")
			for _, name := range namesIn(standing["basic-auth-filter"], "HTTP_FILTER", "NETWORK_FILTER") {
				Expect(delivered).To(ContainElement(name), "after %s of %s", event.Type, object.GetName())
			}
		}
		Expect(seen).To(BeNumerically(">", 2), "the history has the pair")
	})
}

// namesIn are the names in an EnvoyFilter's patches of these kinds.
func namesIn(envoyFilter *unstructured.Unstructured, applyTo ...string) []string {
	GinkgoHelper()
	if envoyFilter == nil {
		return nil
	}
	patches, _, err := unstructured.NestedSlice(envoyFilter.Object, "spec", "configPatches")
	Expect(err).NotTo(HaveOccurred())
	var names []string
	for _, patch := range patches {
		fields, _ := patch.(map[string]any)
		name, _, err := unstructured.NestedString(fields, "patch", "value", "name")
		Expect(err).NotTo(HaveOccurred())
		kind, _ := fields["applyTo"].(string)
		if slices.Contains(applyTo, kind) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
