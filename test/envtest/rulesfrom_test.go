// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

const rulesKey = "rules.json"

func fromConfigMap(name string) wasmv1alpha1.RulesSource {
	return wasmv1alpha1.RulesSource{ConfigMapKeyRef: wasmv1alpha1.RulesKeyReference{
		KeyReference: wasmv1alpha1.KeyReference{Name: name, Key: rulesKey},
	}}
}

func newConfigMap(namespace, name, rules string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Data: map[string]string{rulesKey: rules},
	}
}

// delivered is the text that the plugin receives.
func delivered(plugin *wasmv1alpha1.WasmPlugin) func(Gomega, context.Context) string {
	return func(g Gomega, ctx context.Context) string {
		config := child(ctx, plugin, wasmv1alpha1.RoleConfig)
		patches, _, err := unstructured.NestedSlice(config.Object, "spec", "configPatches")
		g.Expect(err).NotTo(HaveOccurred())
		text, _, err := unstructured.NestedString(patches[0].(map[string]any),
			"patch", "value", "typed_config", "config", "configuration", "value")
		g.Expect(err).NotTo(HaveOccurred())
		return text
	}
}

var _ = Describe("Rules from ConfigMaps", func() {
	var (
		plugin *wasmv1alpha1.WasmPlugin
		ns     string
	)

	BeforeEach(func(ctx SpecContext) {
		ns = newNamespace(ctx)
		plugin = newPlugin(ns)
		plugin.Spec.Rules = rulesOf(`{"a": 1, "keep": {"x": 1}}`)
		plugin.Spec.RulesFrom = []wasmv1alpha1.RulesSource{fromConfigMap("users")}
	})

	It("are merged in order, without loss", func(ctx SpecContext) {
		plugin.Spec.RulesFrom = append(plugin.Spec.RulesFrom, fromConfigMap("more"))
		Expect(k8s.Create(ctx, newConfigMap(ns, "users", `{"a": 2, "big": 9223372036854775807, "f": 1.50, "keep": {"y": "ü"}}`))).To(Succeed())
		more := newConfigMap(ns, "more", "")
		more.Data, more.BinaryData = nil, map[string][]byte{rulesKey: []byte(`{"a": 3, "keep": {"x": null}}`)}
		Expect(k8s.Create(ctx, more)).To(Succeed())
		createReady(ctx, plugin)
		Expect(delivered(plugin)(Default, ctx)).To(Equal(`{"a":3,"big":9223372036854775807,"f":1.50,"keep":{"y":"ü"}}`))
	})

	It("follow it when it comes, changes, breaks and goes", func(ctx SpecContext) {
		Expect(k8s.Create(ctx, plugin)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(beRejected(wasmv1alpha1.ReasonReferenceNotFound, "users", "spec.rulesFrom[0]"))
		Expect(versions(ctx, plugin)).To(BeEmpty())

		users := newConfigMap(ns, "users", `{"a": "one"}`)
		Expect(k8s.Create(ctx, users)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(beReady())
		Expect(delivered(plugin)(Default, ctx)).To(ContainSubstring(`"a":"one"`))

		change(ctx, users, func(c *corev1.ConfigMap) { c.Data[rulesKey] = `{"a": "two"}` })
		Eventually(ctx, delivered(plugin)).Should(ContainSubstring(`"a":"two"`))

		change(ctx, users, func(c *corev1.ConfigMap) { c.Data[rulesKey] = `{"hush` })
		Eventually(ctx, stateOf(plugin)).Should(beRejected(wasmv1alpha1.ReasonInvalidRules, "users", rulesKey))
		Expect(conditionOf(refresh(ctx, plugin), wasmv1alpha1.ConditionAccepted).Message).NotTo(ContainSubstring("hush"))

		Expect(k8s.Delete(ctx, users)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(beRejected(wasmv1alpha1.ReasonReferenceNotFound))
		Expect(delivered(plugin)(Default, ctx)).To(ContainSubstring(`"a":"two"`), "the last good pair stands")

		Expect(k8s.Create(ctx, newConfigMap(ns, "users", `{"a": "three"}`))).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(beReady())
		Expect(delivered(plugin)(Default, ctx)).To(ContainSubstring(`"a":"three"`))
	})

	It("need the key, unless the source is optional", func(ctx SpecContext) {
		users := newConfigMap(ns, "users", "{}")
		users.Data = map[string]string{"other": "{}"}
		Expect(k8s.Create(ctx, users)).To(Succeed())
		Expect(k8s.Create(ctx, plugin)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(beRejected(wasmv1alpha1.ReasonReferenceNotFound, rulesKey))
		Expect(patchSpec(ctx, plugin, `{"rulesFrom": [
			{"configMapKeyRef": {"name": "users", "key": "rules.json", "optional": true}},
			{"configMapKeyRef": {"name": "absent", "key": "rules.json", "optional": true}}]}`)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(beReady())
		Expect(delivered(plugin)(Default, ctx)).To(Equal(`{"a":1,"keep":{"x":1}}`))
		Expect(k8s.Create(ctx, newConfigMap(ns, "absent", `{"b": 1}`))).To(Succeed())
		Eventually(ctx, delivered(plugin)).Should(Equal(`{"a":1,"b":1,"keep":{"x":1}}`))
	})

	It("wake each plugin that names it, and no other", func(ctx SpecContext) {
		users, more := newConfigMap(ns, "users", `{"a": "one"}`), newConfigMap(ns, "more", `{}`)
		Expect(k8s.Create(ctx, users)).To(Succeed())
		Expect(k8s.Create(ctx, more)).To(Succeed())
		second, third := newPlugin(ns), newPlugin(ns)
		second.Name, third.Name = "second", "third"
		second.Spec.RulesFrom = []wasmv1alpha1.RulesSource{fromConfigMap("more"), fromConfigMap("users")}
		third.Spec.RulesFrom = []wasmv1alpha1.RulesSource{fromConfigMap("more")}
		for _, p := range []*wasmv1alpha1.WasmPlugin{plugin, second, third} {
			createReady(ctx, p)
		}
		before := versions(ctx, third)
		change(ctx, users, func(c *corev1.ConfigMap) { c.Data[rulesKey] = `{"a": "two"}` })
		for _, p := range []*wasmv1alpha1.WasmPlugin{plugin, second} {
			Eventually(ctx, delivered(p)).Should(ContainSubstring("two"))
		}
		Expect(versions(ctx, third)["third-config"]).To(Equal(before["third-config"]))
	})

	It("are refused beyond the bounds, in a sentence", func(ctx SpecContext) {
		users := newConfigMap(ns, "users", `{"a":`+strings.Repeat("[", 9995)+strings.Repeat("]", 9995)+`}`)
		Expect(k8s.Create(ctx, users)).To(Succeed())
		Expect(k8s.Create(ctx, plugin)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(beRejected(wasmv1alpha1.ReasonInvalidRules, "users", "deeper than 64"))
		change(ctx, users, func(c *corev1.ConfigMap) { c.Data[rulesKey] = `{"a":"` + strings.Repeat("x", 300<<10) + `"}` })
		Eventually(ctx, stateOf(plugin)).Should(beRejected(wasmv1alpha1.ReasonInvalidRules, "users", "at most 262144"))
		change(ctx, users, func(c *corev1.ConfigMap) { c.Data[rulesKey] = `{"a":"\ud800"}` })
		Eventually(ctx, stateOf(plugin)).Should(beRejected(wasmv1alpha1.ReasonInvalidRules, "users", "half a character"))
		change(ctx, users, func(c *corev1.ConfigMap) {
			c.Data[rulesKey] = `{"a":"\u0000","n":1e400,"big":123456789012345678901234567890}`
		})
		Eventually(ctx, stateOf(plugin)).Should(beReady())
		Expect(delivered(plugin)(Default, ctx)).To(Equal(`{"a":"\u0000","big":123456789012345678901234567890,"keep":{"x":1},"n":1e400}`))
	})
})
