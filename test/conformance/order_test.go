// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/solarmesh/wasmplugin-operator/internal/translate"
	"github.com/solarmesh/wasmplugin-operator/test/conformance/table"
)

// ordered are four plugins over two phases and two namespaces, without a priority.
var ordered = table.Case{
	Name:    "order",
	Worlds:  []string{"gateway"},
	Proxies: []table.Proxy{{Kind: "gateway"}},
	Plugins: []table.Plugin{
		{Name: "authn", In: table.Root, Spec: orderedSpec("AUTHN")},
		{Name: "authn", Spec: orderedSpec("AUTHN")},
		{Name: "unspecified", In: table.Root, Spec: orderedSpec("UNSPECIFIED")},
		{Name: "unspecified", Spec: orderedSpec("UNSPECIFIED")},
	},
}

func orderedSpec(phase string) map[string]any {
	return map[string]any{
		"url":      "http://modules.example.com/plugin.wasm",
		"selector": map[string]any{"matchLabels": map[string]any{"world": "NAMESPACE"}},
		"phase":    phase,
	}
}

// istiod's last word on the order of EnvoyFilters is when they were created. To recreate one of four puts it last, so a
// walk of 23 such steps passes through all 24 orders of creation.
var _ = Describe("The order of four plugins", func() {
	It("is the same in whatever order they were created, and recreated", func(ctx SpecContext) {
		side := oursOf(ordered)
		side.start(ctx, ordered)
		walk := &creationWalk{side: side}
		var want []string
		for i, permutation := range walkAll(len(ordered.Plugins)) {
			if i == 0 {
				for _, index := range permutation {
					walk.create(ctx, index)
				}
				want = walk.expectOrder(ctx)
				Expect(phasesOf(want)).To(Equal([]string{"authn", "authn", "unspecified", "unspecified"}))
			} else {
				walk.recreate(ctx, permutation[len(permutation)-1])
				Expect(walk.expectOrder(ctx)).To(Equal(want), "created in the order %v", permutation)
			}
			Expect(walk.created(ctx)).To(Equal(permutation))
			if i == 12 {
				Expect(operator.Stop()).To(Succeed())
				Expect(operator.Start(ctx)).To(Succeed())
			}
		}
	}, NodeTimeout(5*time.Minute))
})

// walkAll is a walk through all orders of n things, each step of which puts one of them last.
func walkAll(n int) [][]int {
	start := make([]int, n)
	total := 1
	for i := range start {
		start[i] = i
		total *= i + 1
	}
	path, _ := extend([][]int{start}, total)
	return path
}

func extend(path [][]int, total int) ([][]int, bool) {
	if len(path) == total {
		return path, true
	}
	at := path[len(path)-1]
	for i := range at[:len(at)-1] {
		next := append(slices.Delete(slices.Clone(at), i, i+1), at[i])
		if slices.ContainsFunc(path, func(seen []int) bool { return slices.Equal(seen, next) }) {
			continue
		}
		if whole, ok := extend(append(path, next), total); ok {
			return whole, true
		}
	}
	return nil, false
}

// creationWalk creates plugins at different seconds, which is how fine creation times are.
type creationWalk struct {
	side side
	last time.Time
}

func (w *creationWalk) create(ctx context.Context, index int) {
	GinkgoHelper()
	Eventually(ctx, func(g Gomega) {
		clock := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "clock-", Namespace: w.side.namespace}}
		g.Expect(k8s.Create(ctx, clock, client.DryRunAll)).To(Succeed())
		g.Expect(clock.CreationTimestamp.Time).To(BeTemporally(">", w.last))
	}).Should(Succeed())
	plugin := w.side.plugins[index]
	w.side.apply(ctx, plugin)
	expectVerdict(ctx, w.side, plugin)
	w.last = w.filter(ctx, plugin).CreationTimestamp.Time
}

// recreate also waits until istiod has seen that the plugin is gone.
func (w *creationWalk) recreate(ctx context.Context, index int) {
	GinkgoHelper()
	plugin := w.side.plugins[index]
	Expect(applier.Delete(ctx, w.side.text(plugin))).To(Succeed())
	Eventually(ctx, w.order).ShouldNot(ContainElement(plugin.ID()))
	Eventually(ctx, func() error { return k8s.Get(ctx, w.key(plugin), filterMetadata()) }).
		Should(MatchError(apierrors.IsNotFound, "the filter is gone"))
	w.create(ctx, index)
}

// expectOrder waits until istiod sends all plugins, and returns their order.
func (w *creationWalk) expectOrder(ctx context.Context) []string {
	GinkgoHelper()
	var order []string
	Eventually(ctx, func() (_ []string, err error) {
		order, err = w.order(ctx)
		return order, err
	}).Should(HaveLen(len(w.side.plugins)))
	return order
}

// order is that in which istiod sends the plugins to a gateway.
func (w *creationWalk) order(ctx context.Context) ([]string, error) {
	seen, err := look(ctx, w.side, table.Proxy{Kind: "gateway"})
	if err != nil {
		return nil, err
	}
	var order []string
	for _, chain := range seen.chains["0.0.0.0_8080"] {
		for _, name := range chain.requests {
			if slices.ContainsFunc(w.side.plugins, func(p table.Plugin) bool { return p.ID() == name }) {
				order = append(order, name)
			}
		}
	}
	return order, nil
}

// created is the order in which the API server says that the plugins' filters were created.
func (w *creationWalk) created(ctx context.Context) []int {
	GinkgoHelper()
	times := map[int]time.Time{}
	var order []int
	for index, plugin := range w.side.plugins {
		times[index] = w.filter(ctx, plugin).CreationTimestamp.Time
		order = append(order, index)
	}
	slices.SortFunc(order, func(a, b int) int {
		Expect(a == b || !times[a].Equal(times[b])).To(BeTrue(), "two were created in one second")
		return times[a].Compare(times[b])
	})
	return order
}

func (w *creationWalk) filter(ctx context.Context, plugin table.Plugin) *metav1.PartialObjectMetadata {
	GinkgoHelper()
	object := filterMetadata()
	Expect(k8s.Get(ctx, w.key(plugin), object)).To(Succeed())
	return object
}

func (w *creationWalk) key(plugin table.Plugin) types.NamespacedName {
	return types.NamespacedName{Namespace: w.side.namespaceOf(plugin.In), Name: w.side.objectName(plugin) + "-filter"}
}

func filterMetadata() *metav1.PartialObjectMetadata {
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(translate.EnvoyFilterKind)
	return object
}

// phasesOf are the plugins' names without where they are in: the names of their phases.
func phasesOf(ids []string) []string {
	var phases []string
	for _, id := range ids {
		phases = append(phases, id[strings.LastIndex(id, "/")+1:])
	}
	return phases
}
