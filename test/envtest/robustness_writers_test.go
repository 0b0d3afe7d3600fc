// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"
	"fmt"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

const (
	// warEdits is how often another writer comes in a war, and warPause what lies between: 50 a second.
	warEdits = 60
	warPause = 20 * time.Millisecond
)

// creation is what a plugin costs where nobody interferes.
var creation = []string{"PATCH envoyfilters/basic-auth-config", "PATCH envoyfilters/basic-auth-filter", "PATCH wasmplugins/basic-auth/status"}

var _ = Describe("Robustness: others who write what the operator writes", Serial, func() {
	var (
		plugin *wasmv1alpha1.WasmPlugin
		ns     string
	)

	BeforeEach(func(ctx SpecContext) {
		ns = newNamespace(ctx)
		plugin = newPlugin(ns)
	})

	It("row 27: a war over a child is answered once a second after the first ten edits, is told, delays nobody, and leaves the pair as rendered", func(ctx SpecContext) {
		createReady(ctx, plugin)
		before := appliedTo(child(ctx, plugin, wasmv1alpha1.RoleFilter))
		proxy.Reset()
		others := newPlugin(newNamespace(ctx))
		start := time.Now()
		ticker := time.NewTicker(warPause)
		defer ticker.Stop()
		// On a busy machine it may take more of them until it is a war.
		for i := 0; i < warEdits || (len(writes(ns)) <= 10 && i < 10*warEdits); i++ {
			<-ticker.C
			edit := fmt.Sprintf(`{"spec":{"priority":%d}}`, i)
			Expect(k8s.Patch(ctx, newEnvoyFilter(ns, "basic-auth-filter"), client.RawPatch(types.MergePatchType, []byte(edit)))).To(Succeed())
			if i == warEdits/2 {
				createReady(ctx, others)
			}
		}
		Eventually(ctx, func(g Gomega, ctx context.Context) {
			standsAs(ctx, g, plugin, wasmv1alpha1.RoleFilter, before)
		}).Should(Succeed())
		silent(ns)
		answers := writes(ns)
		AddReportEntry("writes of the operator in the war", len(answers))
		Expect(slices.Compact(slices.Sorted(slices.Values(answers)))).To(Equal([]string{"PATCH envoyfilters/basic-auth-filter"}))
		// Of the first ones each, and then one for each second that there was.
		Expect(float64(len(answers))).To(BeNumerically("<=", 10+time.Since(start).Seconds()+1))
		Eventually(ctx, func(g Gomega, ctx context.Context) {
			list := &eventsv1.EventList{}
			g.Expect(k8s.List(ctx, list, client.InNamespace(ns))).To(Succeed())
			g.Expect(list.Items).To(ContainElement(HaveField("Reason", "Contested")))
		}).Should(Succeed())
		Expect(writes(others.Namespace)).To(Equal(creation))
	})

	It("row 33: 100 touches of a plugin's metadata cost no write and no read", func(ctx SpecContext) {
		createReady(ctx, plugin)
		silent(ns)
		proxy.Reset()
		looked := operator.reconciles(Default)
		for i := range 100 {
			touch := fmt.Sprintf(`{"metadata":{"labels":{"touched":"%d"}}}`, i)
			Expect(k8s.Patch(ctx, plugin, client.RawPatch(types.MergePatchType, []byte(touch)))).To(Succeed())
		}
		Eventually(operator.reconciles).Should(BeNumerically(">", looked), "the operator has looked at it")
		Consistently(func() []string { return append(writes(ns), reads(ns)...) }).Should(BeEmpty())
	})
})
