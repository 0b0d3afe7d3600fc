// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// meaning is a JSON text without its form: numbers as they are written, objects without an order.
func meaning(text string) (any, error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var value any
	err := decoder.Decode(&value)
	return value, err
}

// means expects an answer with the meaning of a JSON text.
func means(text string) chain.Expect {
	GinkgoHelper()
	want, err := meaning(text)
	Expect(err).NotTo(HaveOccurred())
	return func(a chain.Answer) error {
		got, err := meaning(a.Body)
		if err != nil {
			return err
		}
		if equal, err := Equal(want).Match(got); err != nil || !equal {
			return fmt.Errorf("expected the meaning of %s", text)
		}
		return nil
	}
}

// nested is an object in an object, to a depth.
func nested(depth int) string {
	return strings.Repeat(`{"in":`, depth-1) + "{}" + strings.Repeat("}", depth-1)
}

func rawRules(text string) *apiextensionsv1.JSON { return &apiextensionsv1.JSON{Raw: []byte(text)} }

var _ = Describe("Rules", Ordered, ContinueOnFailure, func() {
	var (
		s       space
		gateway hall
	)
	BeforeAll(func(ctx SpecContext) {
		s = newSpace(ctx)
		gateway.gateway = s.gateway(ctx, "gateway", 3)
	})

	// notAccepted waits for the reason, and for a message with all of the words.
	notAccepted := func(ctx context.Context, name, reason string, words ...string) {
		GinkgoHelper()
		Eventually(ctx, func(g Gomega) {
			accepted := condition(s.observed(ctx, name), wasmv1alpha1.ConditionAccepted)
			g.Expect(accepted.Status).To(Equal(metav1.ConditionFalse))
			g.Expect(accepted.Reason).To(Equal(reason))
			for _, word := range words {
				g.Expect(accepted.Message).To(ContainSubstring(word))
			}
		}).WithTimeout(patience).Should(Succeed())
	}

	It("reach the plugin with the same meaning, or not at all", func(ctx SpecContext) {
		d := gateway.door()
		config := d.get("", "/probe/config")
		text := `{"z": [9223372036854775807, -9223372036854775808, 9007199254740993, 0, -1, 0.1], "a": {"y": null, "b": true, "x": ""},
			"unicode": "ä 語 🎈 \u0001 \u2028 </script> \\ \" \n", "語": {"🎈": []}, "": {"deep": ` + nested(60) + `}, "A": false}`
		plugin := d.probe(nil)
		plugin.Rules = rawRules(text)
		s.create(ctx, "exact", plugin)
		eventually(ctx, config, []chain.Expect{means(text)})

		By("refusing what is beyond the bounds")
		for _, beyond := range []struct{ text, problem string }{
			{`{"deep": ` + nested(64) + `}`, "nested deeper than 64 levels"},
			{`{"long": "` + strings.Repeat("x", 256<<10) + `"}`, "at most 262144"},
		} {
			s.edit(ctx, "exact", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Rules = rawRules(beyond.text) })
			notAccepted(ctx, "exact", wasmv1alpha1.ReasonInvalidRules, "spec.rules", beyond.problem)
			now(ctx, config, []chain.Expect{means(text)})
		}
	})

	It("that are no JSON arrive byte for byte", func(ctx SpecContext) {
		d := gateway.door()
		plugin := d.probe(nil)
		plugin.Rules, plugin.RulesText = nil, "# ä\nlevel = \"1\"\t\r\n\n"
		s.create(ctx, "text", plugin)
		_, err := d.get("", "/probe/config").Until(ctx, func(a chain.Answer) error {
			if a.Body != plugin.RulesText {
				return fmt.Errorf("expected %q", plugin.RulesText)
			}
			return nil
		})
		Expect(err).NotTo(HaveOccurred())
	}, SpecTimeout(patience))

	It("of a ConfigMap follow it", func(ctx SpecContext) {
		d := gateway.door()
		config := d.get("", "/probe/config")
		source := &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "source"},
			Data:       map[string]string{"rules.json": `{"probe": {"name": "first"}, "big": 18446744073709551615, "old": null}`},
		}
		Expect(api.Create(ctx, source)).To(Succeed())
		plugin := d.probe(nil)
		plugin.Rules = rawRules(`{"old": 1, "kept": [1]}`)
		plugin.RulesFrom = []wasmv1alpha1.RulesSource{
			{ConfigMapKeyRef: key("source", "rules.json")}, {ConfigMapKeyRef: optional(key("source", "more.json"))},
		}
		s.create(ctx, "from", plugin)
		eventually(ctx, config, []chain.Expect{means(`{"probe": {"name": "first"}, "big": 18446744073709551615, "kept": [1]}`)})
		eventually(ctx, d.get("", "/"), and(served, named("first")))

		By("editing it")
		source.Data["more.json"] = `{"probe": {"name": "second"}, "kept": null}`
		Expect(api.Update(ctx, source)).To(Succeed())
		eventually(ctx, config, []chain.Expect{means(`{"probe": {"name": "second"}, "big": 18446744073709551615}`)})

		By("breaking it")
		source.Data["more.json"] = `{"probe": secret}`
		Expect(api.Update(ctx, source)).To(Succeed())
		notAccepted(ctx, "from", wasmv1alpha1.ReasonInvalidRules, "spec.rulesFrom[1]", `"source"`, `"more.json"`)
		Expect(condition(s.read(ctx, "from"), wasmv1alpha1.ConditionAccepted).Message).NotTo(ContainSubstring("secret"))
		now(ctx, d.get("", "/"), and(served, named("second")))

		By("mending it")
		delete(source.Data, "more.json")
		Expect(api.Update(ctx, source)).To(Succeed())
		eventually(ctx, d.get("", "/"), and(served, named("first")))

		By("deleting it")
		Expect(api.Delete(ctx, source)).To(Succeed())
		notAccepted(ctx, "from", wasmv1alpha1.ReasonReferenceNotFound, "spec.rulesFrom[0]", `"source"`)
		now(ctx, d.get("", "/"), and(served, named("first")))
	})
})

func key(name, key string) wasmv1alpha1.RulesKeyReference {
	return wasmv1alpha1.RulesKeyReference{KeyReference: wasmv1alpha1.KeyReference{Name: name, Key: key}}
}

func optional(reference wasmv1alpha1.RulesKeyReference) wasmv1alpha1.RulesKeyReference {
	reference.Optional = new(true)
	return reference
}
