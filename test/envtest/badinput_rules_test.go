// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

const (
	pathOfPlugins      = "/apis/wasm.solarmesh.io/v1alpha1/namespaces/%s/wasmplugins"
	pathOfEnvoyFilters = "/apis/networking.istio.io/v1alpha3/namespaces/%s/envoyfilters"
)

// post creates an object from its very bytes: no client of ours decodes or encodes it.
func post(ctx context.Context, path, namespace, body string) error {
	GinkgoHelper()
	config := rest.CopyConfig(restConfig)
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	raw, err := rest.UnversionedRESTClientFor(config)
	Expect(err).NotTo(HaveOccurred())
	return raw.Post().AbsPath(fmt.Sprintf(path, namespace)).SetHeader("Content-Type", "application/json").Body([]byte(body)).Do(ctx).Error()
}

// postRules creates a plugin with these very rules.
func postRules(ctx context.Context, namespace, name, rules string) (*wasmv1alpha1.WasmPlugin, error) {
	GinkgoHelper()
	plugin := newPlugin(namespace)
	plugin.Name = name
	return plugin, post(ctx, pathOfPlugins, namespace, `{"apiVersion": "wasm.solarmesh.io/v1alpha1", "kind": "WasmPlugin",
		"metadata": {"name": "`+name+`"}, "spec": {"url": "oci://registry.example.com/plugin:1.0", "scope": "Namespace", "rules": `+rules+`}}`)
}

// rulesReceived is what the plugin receives as its rules; nil for nothing.
func rulesReceived(ctx context.Context, plugin *wasmv1alpha1.WasmPlugin) any {
	GinkgoHelper()
	return inConfig(ctx, plugin, "patch", "value", "typed_config", "config", "configuration", "value")
}

var _ = Describe("Bad input: rules", func() {
	DescribeTable("is refused at admission", admissionRefuses,
		Entry("row 14: a list", `spec.rules in body must be of type object: "array"`, `{"rules": [1, 2]}`),
		Entry("row 14: a text", `spec.rules in body must be of type object: "string"`, `{"rules": "{}"}`),
		Entry("row 14: a number", `spec.rules in body must be of type object: "integer"`, `{"rules": 1}`),
		Entry("row 16: 1 MB of text", "spec.rulesText: Too long", `{"rules": null, "rulesText": `+text(1_000_000)+`}`),
	)

	DescribeTable("row 14: reaches the plugin with its meaning, whatever it looks like", func(ctx SpecContext, rules string, want any) {
		plugin, err := postRules(ctx, newNamespace(ctx), "rules", rules)
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, stateOf(plugin)).Should(beReady())
		if want == nil {
			Expect(rulesReceived(ctx, plugin)).To(BeNil())
		} else {
			Expect(rulesReceived(ctx, plugin)).To(Equal(want))
		}
	},
		Entry("null is none", `null`, nil),
		Entry("integers of 64 bits", `{"b": 9223372036854775807, "a": -9223372036854775808}`, `{"a":-9223372036854775808,"b":9223372036854775807}`),
		Entry("an integer that no float64 is", `{"a": 9007199254740993}`, `{"a":9007199254740993}`),
		Entry("a NUL", `{"a": "x\u0000y"}`, `{"a":"x\u0000y"}`),
		// The API server itself makes these of it, before anybody else sees it.
		Entry("a larger integer is a float64", `{"a": 18446744073709551615}`, `{"a":18446744073709552000}`),
		Entry("half of a surrogate pair is the replacement character", `{"a": "\ud800"}`, `{"a":"`+"\ufffd"+`"}`),
	)

	It("row 14: a number beyond every float64 is refused as no JSON", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		plugin, err := postRules(ctx, namespace, "rules", `{"a": 1e400}`)
		Expect(err).To(Satisfy(apierrors.IsBadRequest))
		Expect(versions(ctx, plugin)).To(BeEmpty())
	})

	// 256 KiB of rules are far below what the API server stores, so that the table's 1 MB never becomes a child.
	DescribeTable("is refused by the operator, where a schema can't say it", operatorRefuses,
		Entry("row 16: 1 MB", wasmv1alpha1.ReasonInvalidRules, "bytes long, at most 262144 can be delivered; make it shorter",
			`{"rules": {"a": {"b": `+text(1_000_000)+`}}}`),
		Entry("row 16: 1 MB of an override", wasmv1alpha1.ReasonInvalidRules, "spec.overrides[0].rules: is 1000008 bytes long",
			`{"overrides": [{"match": {"hosts": ["a.example.com"]}, "rules": {"a": `+text(1_000_000)+`}}]}`),
		// Each is within its bounds, and so is the plugin; what is rendered of it isn't.
		Entry("row 17: overrides whose rules are too large together", wasmv1alpha1.ReasonRenderedTooLarge, "spec: makes EnvoyFilter basic-auth-config of ",
			`{"overrides": `+list(5, `{"match": {"hosts": ["h%d"]}, "rules": {"a%d": `+text(250_000)+`}}`)+`}`),
		Entry("row 17: text that grows sixfold when it is escaped", wasmv1alpha1.ReasonRenderedTooLarge, "bytes, at most 1048576 can be stored; shorten the rules",
			`{"rules": null, "rulesText": "`+strings.Repeat(`\u0001`, 200_000)+`"}`),
	)

	// Nothing is stored, so there is nothing to retry.
	DescribeTable("row 16: is too large for the API server itself", func(ctx SpecContext, size int, refused func(error) bool) {
		plugin := newPlugin(newNamespace(ctx))
		createReady(ctx, plugin)
		children, before := versions(ctx, plugin), refresh(ctx, plugin).DeepCopy()
		_, err := postRules(ctx, plugin.Namespace, "large", `{"a": `+text(size)+`}`)
		Expect(err).To(Satisfy(refused))
		Expect(patchSpec(ctx, plugin, `{"rules": {"a": `+text(size)+`}}`)).To(Satisfy(refused))
		Expect(refresh(ctx, plugin)).To(Equal(before))
		Expect(versions(ctx, plugin)).To(Equal(children))
	},
		Entry("1.6 MB", 1_600_000, func(err error) bool { return strings.Contains(err.Error(), "request is too large") }),
		Entry("3.2 MB", 3_200_000, apierrors.IsRequestEntityTooLargeError),
	)
})

// An API server takes JSON nested up to 10,000 deep, and no schema counts levels, so that nothing but the operator refuses
// what is deeper than its bound. Rules are atomic in the schema: otherwise metadata.managedFields would repeat their
// nesting three levels deeper, and an object from 9,994 levels on be stored that the API server itself can't decode any
// more, which ends every list and watch of the kind.
var _ = Describe("Bad input: nesting", Serial, func() {
	othersGoOn := func(ctx context.Context, namespace, name string) {
		GinkgoHelper()
		other := newPlugin(namespace)
		other.Name = name
		createReady(ctx, other)
	}

	It("row 15: of rules is answered, and stops no other plugin, also not at a start", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		var tooDeep []*wasmv1alpha1.WasmPlugin
		for _, depth := range []int{65, 100, 3000, 9000, 9993, 9994, 9995, 9998} {
			plugin, err := postRules(ctx, namespace, fmt.Sprintf("deep-%d", depth), nested(depth))
			Expect(err).NotTo(HaveOccurred())
			tooDeep = append(tooDeep, plugin)
		}
		_, err := postRules(ctx, namespace, "no-json", nested(9999))
		Expect(err).To(MatchError(ContainSubstring("exceeded max depth")))
		othersGoOn(ctx, namespace, "before")
		for _, plugin := range tooDeep {
			Eventually(ctx, stateOf(plugin)).Should(beRejected(wasmv1alpha1.ReasonInvalidRules, "spec.rules: is nested deeper than 64 levels"))
		}
		restartOperator(ctx)
		othersGoOn(ctx, namespace, "after")
		Expect(versions(ctx, newPlugin(namespace))).To(HaveLen(4))
	})

	It("row 15: of somebody's EnvoyFilter stops no plugin", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		Expect(post(ctx, pathOfEnvoyFilters, namespace, `{
			"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter", "metadata": {"name": "deep"},
			"spec": {"configPatches": [{"applyTo": "CLUSTER", "patch": {"operation": "MERGE", "value": `+nested(9000)+`}}]}}`)).To(Succeed())
		othersGoOn(ctx, namespace, "before")
		restartOperator(ctx)
		othersGoOn(ctx, namespace, "after")
	})
})
