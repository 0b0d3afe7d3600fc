// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"crypto/rand"
	"encoding/json"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// The plugin logs its whole configuration, in proxies and wherever else it is started.
var _ = Describe("What came from a Secret", func() {
	It("is nowhere but in the rules of the pair, whatever the plugin says", func(ctx SpecContext) {
		s := registrySpace(ctx, secretsSpace)
		gw := s.gateway(ctx, "gateway", 1)
		rule := rand.Text()
		keep := func(behavior fields) {
			GinkgoHelper()
			content, err := json.Marshal(fields{"probe": behavior})
			Expect(err).NotTo(HaveOccurred())
			source := &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{
					Namespace: s.namespace, Name: rulesSecret, Labels: map[string]string{wasmv1alpha1.LabelRules: wasmv1alpha1.RulesAllowed},
				},
				StringData: map[string]string{"rules.json": string(content)},
			}
			if err := api.Create(ctx, source.DeepCopy()); apierrors.IsAlreadyExists(err) {
				Expect(api.Update(ctx, source)).To(Succeed())
			} else {
				Expect(err).NotTo(HaveOccurred())
			}
		}
		plugin := pulled(probe(gw.selector(), nil), "talker:1")
		push(ctx, "talker:1", chain.OCIImage, probePath)
		plugin.Rules = nil
		plugin.RulesFrom = []wasmv1alpha1.RulesSource{{SecretKeyRef: key(rulesSecret, "rules.json")}}

		By("letting it start")
		keep(fields{"name": rule, "log": true})
		s.create(ctx, "talker", plugin)
		eventually(ctx, gw.get(open, ""), and(served, named(rule)))
		s.has(ctx, "talker", wasmv1alpha1.ConditionModuleResolved, metav1.ConditionTrue, wasmv1alpha1.ReasonResolved)
		// The proxy's log is the plugin's to write. That it did shows that it would have elsewhere.
		Expect(gw.Log()).To(ContainSubstring(rule))
		checkLeaks(ctx, gw, rule)

		By("letting it refuse its rules, and say which")
		keep(fields{"name": rule, "refuse": true})
		s.refresh(ctx, "talker")
		s.has(ctx, "talker", wasmv1alpha1.ConditionAccepted, metav1.ConditionFalse, wasmv1alpha1.ReasonRulesRejected, "was given ***")
		now(ctx, gw.get(open, ""), and(served, named(rule)))
		checkLeaks(ctx, gw, rule)

		By("letting the registry refuse it")
		s.edit(ctx, "talker", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.URL = imageURL("talker:none") })
		s.has(ctx, "talker", wasmv1alpha1.ConditionModuleResolved, metav1.ConditionFalse, "NotFound")
		checkLeaks(ctx, gw, rule)
	})
})
