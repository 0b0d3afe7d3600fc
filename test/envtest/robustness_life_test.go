// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// crowd is how many plugins meet a fault together.
const crowd = 20

var _ = Describe("Robustness: plugins and EnvoyFilters that come and go", Serial, func() {
	var (
		ns    string
		pairs func(context.Context) int
	)

	BeforeEach(func(ctx SpecContext) {
		ns = newNamespace(ctx)
		pairs = func(ctx context.Context) int { return len(versions(ctx, newPlugin(ns))) }
	})

	// configurationFirst asserts of each pair that was written that it was in order.
	configurationFirst := func() {
		GinkgoHelper()
		written := writes(ns)
		for i := range crowd {
			config := slices.Index(written, fmt.Sprintf("PATCH envoyfilters/p-%02d-config", i))
			filter := slices.Index(written, fmt.Sprintf("PATCH envoyfilters/p-%02d-filter", i))
			Expect(filter == -1 || (config != -1 && config < filter)).To(BeTrue(), "%v", written)
		}
	}

	It("row 26: all EnvoyFilters of many plugins that go at once come back, each by one write, the configurations first", func(ctx SpecContext) {
		createCrowd(ctx, ns)
		Eventually(ctx, pairs).Should(Equal(2 * crowd))
		silent(ns)
		proxy.Reset()
		Expect(k8s.DeleteAllOf(ctx, newEnvoyFilter(ns, ""), client.InNamespace(ns))).To(Succeed())
		Eventually(ctx, pairs).Should(Equal(2 * crowd))
		silent(ns)
		made := slices.DeleteFunc(writes(ns), func(write string) bool { return strings.HasSuffix(write, "/status") })
		Expect(len(made)).To(BeNumerically(">=", 2*crowd))
		// One may be deleted again by the same request, which is no more than a list and its deletions, one by one.
		Expect(len(made)).To(BeNumerically("<=", 3*crowd))
		Eventually(ctx, pairs).Should(Equal(2 * crowd))
	})

	It("row 28: plugins that go while their pair is written leave nothing behind", func(ctx SpecContext) {
		proxy.Reset()
		createCrowd(ctx, ns)
		Expect(k8s.DeleteAllOf(ctx, &wasmv1alpha1.WasmPlugin{}, client.InNamespace(ns))).To(Succeed())
		Eventually(ctx, pairs).Should(BeZero())
		silent(ns)
		Eventually(ctx, pairs).Should(BeZero())
		Consistently(ctx, pairs).WithTimeout(collected).Should(BeZero())
		configurationFirst()
	})

	It("row 30: a plugin that is being deleted and held by a finalizer is written nothing for, whatever becomes of its pair", func(ctx SpecContext) {
		plugin := newPlugin(ns)
		plugin.Finalizers = []string{"example.com/keep"}
		createReady(ctx, plugin)
		Expect(k8s.Delete(ctx, plugin)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) {
			Expect(client.IgnoreNotFound(k8s.Patch(ctx, plugin, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))))).To(Succeed())
		})
		seenByTheOperator(ctx, ns)
		proxy.Reset()
		looked := operator.reconciles(Default)
		Expect(k8s.Delete(ctx, child(ctx, plugin, wasmv1alpha1.RoleFilter))).To(Succeed())
		change(ctx, child(ctx, plugin, wasmv1alpha1.RoleConfig), otherPriority)
		Expect(patchSpec(ctx, plugin, `{"rules": {"a": 1}}`)).To(Succeed())
		Eventually(operator.reconciles).Should(BeNumerically(">", looked))
		Consistently(func() []string { return append(writes(ns), reads(ns)...) }).Should(BeEmpty())

		change(ctx, plugin, func(p *wasmv1alpha1.WasmPlugin) { p.Finalizers = nil })
		Eventually(ctx, pairs).Should(BeZero())
	})
})

func createCrowd(ctx context.Context, namespace string) {
	GinkgoHelper()
	for i := range crowd {
		plugin := newPlugin(namespace)
		plugin.Name = fmt.Sprintf("p-%02d", i)
		Expect(k8s.Create(ctx, plugin)).To(Succeed())
	}
}
