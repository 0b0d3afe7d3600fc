// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

const password = "s3cr3t-pa55word"

// Whatever is wrong gets a sentence, at admission or in Accepted, and changes no EnvoyFilter.
var _ = Describe("Bad input", func() {
	DescribeTable("gets a sentence and changes no EnvoyFilter", func(ctx SpecContext, sentence, spec string) {
		plugin := newPlugin(newNamespace(ctx))
		createReady(ctx, plugin)
		children := versions(ctx, plugin)
		said := ""
		if err := patchSpec(ctx, plugin, spec); err != nil {
			Expect(err).To(Satisfy(apierrors.IsInvalid))
			said = err.Error()
			Expect(stateOf(plugin)(Default, ctx)).To(beReady(), "nothing has happened")
		} else {
			Eventually(ctx, stateOf(plugin)).Should(haveCondition(
				wasmv1alpha1.ConditionAccepted, metav1.ConditionFalse, BeElementOf(wasmv1alpha1.ReasonInvalidSpec, wasmv1alpha1.ReasonInvalidRules)))
			refresh(ctx, plugin)
			said = conditionOf(plugin, wasmv1alpha1.ConditionAccepted).Message
			Expect(plugin).To(haveCondition(wasmv1alpha1.ConditionStalled, metav1.ConditionTrue, Not(BeEmpty())))
			Expect(said).NotTo(ContainSubstring(password))
		}
		Expect(said).To(ContainSubstring(sentence))
		Expect(len(said)).To(BeNumerically("<", 3000), "it is a sentence, not a copy of the input")
		Expect(versions(ctx, plugin)).To(Equal(children))
	},
		Entry("a URL without a host: oci", "has no host", `{"url": "oci:///plugin:1.0"}`),
		Entry("a URL without a host: only a scheme", "has no host", `{"url": "oci://"}`),
		Entry("a URL without a host: https", "has no host", `{"url": "https:///plugin.wasm"}`),
		Entry("a URL without a host: only a port", "has no host", `{"url": "https://:8080/plugin.wasm"}`),
		Entry("a URL without a host: only a query", "has no host", `{"url": "https://?plugin=a"}`),
		Entry("a URL without a host: no scheme", "has no host", `{"url": "/plugin:1.0"}`),
		Entry("an unknown scheme", "unknown scheme", `{"url": "ftp://example.com/plugin.wasm"}`),
		Entry("an unknown scheme in capitals", "unknown scheme", `{"url": "HTTPS://example.com/plugin.wasm"}`),
		Entry("file://", "unknown scheme", `{"url": "file:///etc/passwd"}`),
		Entry("a password: https", "user name or password", `{"url": "https://user:`+password+`@example.com/plugin.wasm"}`),
		Entry("a password: oci", "user name or password", `{"url": "oci://user:`+password+`@registry.example.com/plugin:1.0"}`),
		Entry("a password: no scheme", "user name or password", `{"url": "user:`+password+`@registry.example.com/plugin:1.0"}`),
		Entry("a password: with a digest", "user name or password",
			`{"url": "oci://user:`+password+`@registry.example.com/plugin@sha256:`+strings.Repeat("a", 64)+`"}`),
		Entry("a user name", "user name or password", `{"url": "https://user@example.com/plugin.wasm"}`),
		Entry("a password: no path", "user name or password", `{"url": "https://user:`+password+`@example.com"}`),
		Entry("port 0 in the URL", "port", `{"url": "https://example.com:0/plugin.wasm"}`),
		Entry("port 0 in the URL, no path", "port", `{"url": "https://example.com:0"}`),
		Entry("port 65536 in the URL", "port", `{"url": "https://example.com:65536/plugin.wasm"}`),
		Entry("an empty port in the URL", "port", `{"url": "oci://example.com:/plugin:1.0"}`),
		Entry("a broken escape in the URL", "not a valid URL", `{"url": "https://example.com/%zz"}`),
		Entry("a digest that is too short", "spec.sha256", `{"sha256": "`+strings.Repeat("a", 63)+`"}`),
		Entry("a digest that is too long", "spec.sha256", `{"sha256": "`+strings.Repeat("a", 65)+`"}`),
		Entry("a digest in capitals", "spec.sha256", `{"sha256": "`+strings.Repeat("A", 64)+`"}`),
		Entry("a digest with a prefix", "spec.sha256", `{"sha256": "sha256:`+strings.Repeat("a", 64)+`"}`),
		Entry("a digest in the URL that is too short", "digest", `{"url": "oci://registry.example.com/plugin@sha256:abc"}`),
		Entry("a digest in the URL in capitals", "digest", `{"url": "oci://registry.example.com/plugin@sha256:`+strings.Repeat("A", 64)+`"}`),
		Entry("a digest in the URL of another kind", "digest", `{"url": "oci://registry.example.com/plugin@md5:`+strings.Repeat("a", 32)+`"}`),
		Entry("two digests that differ", "differs from the digest in url",
			`{"url": "oci://registry.example.com/plugin@sha256:`+strings.Repeat("a", 64)+`", "sha256": "`+strings.Repeat("b", 64)+`"}`),
		Entry("rules that are a list", `spec.rules in body must be of type object: "array"`, `{"rules": [1, 2]}`),
		Entry("rules that are a text", `spec.rules in body must be of type object: "string"`, `{"rules": "{}"}`),
		Entry("rules that are a number", `spec.rules in body must be of type object: "integer"`, `{"rules": 1}`),
		Entry("1 MB of rules", "bytes long, at most 262144 can be delivered; make it shorter",
			`{"rules": {"a": {"b": "`+strings.Repeat("x", 1_000_000)+`"}}}`),
		Entry("1 MB of text", "spec.rulesText: Too long", `{"rules": null, "rulesText": "`+strings.Repeat("x", 1_000_000)+`"}`),
		Entry("rules nested 65 deep", "spec.rules: is nested deeper than 64 levels",
			`{"rules": `+nested(65)+`}`),
		Entry("a port of 0", "spec.match[0].ports[0].number", `{"match": [{"ports": [{"number": 0}]}]}`),
		Entry("a selector of 5,000 labels", "spec.selector.matchLabels: Too many", `{"selector": {"matchLabels": {`+manyLabels(5000)+`}}}`),
		Entry("a selector without labels", "spec.selector.matchLabels: Required value",
			`{"selector": {"matchLabels": null}}`),
		Entry("a selector whose key is no label's", "spec.selector.matchLabels: has a key that is no label's",
			`{"selector": {"matchLabels": {"not a label": "x"}}}`),
		Entry("selector and scope together", "exactly one of the fields in [selector targetRefs scope] must be set", `{"scope": "Namespace"}`),
		Entry("no target", "exactly one of the fields in [selector targetRefs scope] must be set", `{"selector": null}`),
	)

	refusedByName := func(ctx context.Context, names ...string) {
		GinkgoHelper()
		namespace := newNamespace(ctx)
		for _, name := range names {
			plugin := newPlugin(namespace)
			plugin.Name = name
			err := k8s.Create(ctx, plugin)
			Expect(err).To(Satisfy(apierrors.IsInvalid))
			Expect(err).To(MatchError(ContainSubstring("metadata.name: at most 63 characters, since the EnvoyFilters' names and a label are made of it")))
		}
		Expect(versions(ctx, newPlugin(namespace))).To(BeEmpty())
	}

	It("is a name of 253 characters", func(ctx SpecContext) { refusedByName(ctx, strings.Repeat("a", 253)) })

	It("is a pair of names that would be one when shortened", func(ctx SpecContext) {
		shared := strings.Repeat("a", 63)
		refusedByName(ctx, shared+"-one", shared+"-two")
	})

	It("isn't a name of 63 characters", func(ctx SpecContext) {
		plugin := newPlugin(newNamespace(ctx))
		plugin.Name = strings.Repeat("a", 63)
		createReady(ctx, plugin)
		Expect(versions(ctx, plugin)).To(And(HaveKey(plugin.Name+"-config"), HaveKey(plugin.Name+"-filter")))
	})

	It("isn't a name with dots", func(ctx SpecContext) {
		plugin := newPlugin(newNamespace(ctx))
		plugin.Name = "basic.auth.example"
		createReady(ctx, plugin)
	})
})

func manyLabels(n int) string {
	var labels []string
	for i := range n {
		labels = append(labels, fmt.Sprintf(`"l%d": "x"`, i))
	}
	return strings.Join(labels, ", ")
}

// nested is a JSON object of some depth.
func nested(depth int) string {
	return strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth)
}

// An API server takes JSON nested up to 10,000 deep; decoding such objects stops clients that watch whole objects.
var _ = Describe("An object nested 9,000 deep", Serial, func() {
	post := func(ctx context.Context, path, body string) {
		GinkgoHelper()
		config := rest.CopyConfig(restConfig)
		config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
		raw, err := rest.UnversionedRESTClientFor(config)
		Expect(err).NotTo(HaveOccurred())
		Expect(raw.Post().AbsPath(path).SetHeader("Content-Type", "application/json").Body([]byte(body)).Do(ctx).Error()).To(Succeed())
	}
	othersGoOn := func(ctx context.Context, namespace, name string) {
		GinkgoHelper()
		other := newPlugin(namespace)
		other.Name = name
		createReady(ctx, other)
	}

	It("as rules is answered, and stops no other plugin, also not at a start", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		post(ctx, "/apis/wasm.solarmesh.io/v1alpha1/namespaces/"+namespace+"/wasmplugins", `{
			"apiVersion": "wasm.solarmesh.io/v1alpha1", "kind": "WasmPlugin", "metadata": {"name": "deep"},
			"spec": {"url": "oci://registry.example.com/plugin:1.0", "scope": "Namespace", "rules": `+nested(9000)+`}}`)
		othersGoOn(ctx, namespace, "before")
		deep := newPlugin(namespace)
		deep.Name = "deep"
		Eventually(ctx, stateOf(deep)).Should(beRejected(wasmv1alpha1.ReasonInvalidRules, "spec.rules: is nested deeper than 64 levels"))
		restartOperator(ctx)
		othersGoOn(ctx, namespace, "after")
		Expect(versions(ctx, deep)).To(HaveLen(4))
	})

	It("as somebody's EnvoyFilter stops no plugin", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		post(ctx, "/apis/networking.istio.io/v1alpha3/namespaces/"+namespace+"/envoyfilters", `{
			"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter", "metadata": {"name": "deep"},
			"spec": {"configPatches": [{"applyTo": "CLUSTER", "patch": {"operation": "MERGE", "value": `+nested(9000)+`}}]}}`)
		othersGoOn(ctx, namespace, "before")
		restartOperator(ctx)
		othersGoOn(ctx, namespace, "after")
	})
})
