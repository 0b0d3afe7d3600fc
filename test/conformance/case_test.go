// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/conformance/ads"
	"github.com/solarmesh/wasmplugin-operator/test/conformance/table"
)

// The cases are specs, so they are read before any spec runs.
var _ = func() bool {
	loaded, err := table.Load("testdata")
	if err != nil {
		panic(err)
	}
	cases = loaded
	return true
}()

var _ = Describe("istiod", func() {
	for _, c := range cases {
		It(c.Name+": "+c.About, Label("case"), func(ctx SpecContext) {
			AddReportEntry(caseEntry, c, ReportEntryVisibilityNever)
			our, its := oursOf(c), nativeOf(c)
			our.start(ctx, c)
			its.start(ctx, c)
			for _, plugin := range its.plugins {
				its.apply(ctx, plugin)
			}
			// In order: what istiod shows of a plugin says that it has seen those before it.
			for _, plugin := range our.plugins {
				our.apply(ctx, plugin)
				expectVerdict(ctx, our, plugin)
			}
			for _, proxy := range c.Proxies {
				Eventually(ctx, func() error { return compare(ctx, c, proxy) }).Should(Succeed())
			}
			expectControlUntouched(ctx, c)
		})
	}
})

// expectVerdict waits for what the operator says of a plugin.
func expectVerdict(ctx context.Context, s side, plugin table.Plugin) {
	GinkgoHelper()
	key := types.NamespacedName{Namespace: s.namespaceOf(plugin.In), Name: s.objectName(plugin)}
	object := &wasmv1alpha1.WasmPlugin{}
	condition := func(g Gomega, kind string) *metav1.Condition {
		found := apimeta.FindStatusCondition(object.Status.Conditions, kind)
		g.Expect(found).NotTo(BeNil())
		g.Expect(found.ObservedGeneration).To(Equal(object.Generation))
		return found
	}
	if refusal := plugin.Refused; refusal != nil && refusal.Reason == table.ByAPIServer {
		return
	}
	Eventually(ctx, func(g Gomega) {
		g.Expect(k8s.Get(ctx, key, object)).To(Succeed())
		accepted := condition(g, wasmv1alpha1.ConditionAccepted)
		if refusal := plugin.Refused; refusal != nil {
			g.Expect(accepted.Reason).To(Equal(refusal.Reason), accepted.Message)
			g.Expect(accepted.Message).To(ContainSubstring(refusal.Message))
			g.Expect(object.Status.EnvoyFilters).To(BeEmpty())
			return
		}
		g.Expect(accepted.Status).To(Equal(metav1.ConditionTrue), accepted.Message)
		g.Expect(accepted.Message).To(ContainSubstring(plugin.Accepted))
		applied := condition(g, wasmv1alpha1.ConditionApplied)
		g.Expect(applied.Status).To(Equal(metav1.ConditionTrue), applied.Message)
	}).Should(Succeed())
}

// compare asks istiod as one proxy, in both worlds and by both variants, and says what is not as it must be.
func compare(ctx context.Context, c table.Case, proxy table.Proxy) error {
	our, err := look(ctx, oursOf(c), proxy)
	if err != nil {
		return err
	}
	if err := our.asExpected(proxy); err != nil {
		return fmt.Errorf("ours, %s: %w", proxy.Kind, err)
	}
	if len(c.Native) == 0 {
		return sameBothWays(ctx, our)
	}
	its, err := look(ctx, nativeOf(c), proxy)
	if err != nil {
		return err
	}
	if err := its.asNativeExpected(proxy); err != nil {
		return fmt.Errorf("native, %s: %w", proxy.Kind, err)
	}
	if err := equal(c, proxy, our, its); err != nil {
		return fmt.Errorf("ours against native, %s: %w", proxy.Kind, err)
	}
	if err := sameBothWays(ctx, its); err != nil {
		return err
	}
	return sameBothWays(ctx, our)
}

// look asks by the variant that proxies use.
func look(ctx context.Context, s side, proxy table.Proxy) (*view, error) {
	asked := s.proxy(proxy)
	config, err := xds.Ask(ctx, asked, ads.Delta)
	if err != nil {
		return nil, err
	}
	return newView(s, asked, config)
}
