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
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// A row is one of the list of bad input that the operator is held to. Rows 1 to 6 are in badinput_url_test.go, 3, 4 and 7
// to 9 in badinput_module_test.go, 14 to 17 in badinput_rules_test.go, 19 in rootnamespace_test.go, 19 and 20 in
// admission_test.go, 23 in conflict_test.go.
//
// Whatever is wrong gets a sentence, at admission where a schema can say it, otherwise in Accepted, and changes no
// EnvoyFilter.

// admissionRefuses asserts that the API server refuses fields of the spec: nothing is stored, and the plugin goes on.
func admissionRefuses(ctx SpecContext, sentence, fields string) {
	GinkgoHelper()
	plugin := newPlugin(newNamespace(ctx))
	createReady(ctx, plugin)
	children, before := versions(ctx, plugin), refresh(ctx, plugin).DeepCopy()
	err := patchSpec(ctx, plugin, fields)
	Expect(err).To(Satisfy(apierrors.IsInvalid))
	isASentence(err.Error(), sentence)
	Expect(refresh(ctx, plugin)).To(Equal(before), "nothing has happened")
	Expect(versions(ctx, plugin)).To(Equal(children))
}

// operatorRefuses asserts that fields of the spec are stored and not accepted, and that the last good pair stands.
func operatorRefuses(ctx SpecContext, reason, sentence, fields string) {
	GinkgoHelper()
	plugin := newPlugin(newNamespace(ctx))
	createReady(ctx, plugin)
	children := versions(ctx, plugin)
	Expect(patchSpec(ctx, plugin, fields)).To(Succeed())
	Eventually(ctx, stateOf(plugin)).Should(beRejected(reason))
	isASentence(conditionOf(refresh(ctx, plugin), wasmv1alpha1.ConditionAccepted).Message, sentence)
	Expect(versions(ctx, plugin)).To(Equal(children))
}

func isASentence(said, sentence string) {
	GinkgoHelper()
	Expect(said).To(ContainSubstring(sentence))
	Expect(len(said)).To(BeNumerically("<", 3000), "it is no copy of the input")
}

// inConfig reads a value of the first patch of the half that delivers the configuration; nil if it isn't there.
func inConfig(ctx context.Context, plugin *wasmv1alpha1.WasmPlugin, path ...string) any {
	GinkgoHelper()
	patches, _, err := unstructured.NestedSlice(child(ctx, plugin, wasmv1alpha1.RoleConfig).Object, "spec", "configPatches")
	Expect(err).NotTo(HaveOccurred())
	Expect(patches).NotTo(BeEmpty())
	patch, isObject := patches[0].(map[string]any)
	Expect(isObject).To(BeTrue())
	value, _, err := unstructured.NestedFieldNoCopy(patch, path...)
	Expect(err).NotTo(HaveOccurred())
	return value
}

// manyLabels are members of a JSON object.
func manyLabels(n int) string { return strings.Join(repeated(n, `"l%d": "x"`), ", ") }

// nested is a JSON object of some depth.
func nested(depth int) string {
	return strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth)
}

var _ = Describe("Bad input: where a plugin runs", func() {
	// Every proxy of a namespace is asked for in words, scope: Namespace, never by a selector that happens to be empty.
	DescribeTable("is refused at admission", admissionRefuses,
		Entry("row 18: an empty selector", "spec.selector.matchLabels: Required value", `{"selector": {"matchLabels": null}}`),
		Entry("row 18: a selector without labels", "spec.selector.matchLabels", `{"selector": {"matchLabels": {"istio": null}}}`),
		Entry("row 18: a label's value of 64 characters", "spec.selector.matchLabels.istio", `{"selector": {"matchLabels": {"istio": `+text(64)+`}}}`),
		Entry("row 18: 10,000 labels", "spec.selector.matchLabels: Too many", `{"selector": {"matchLabels": {`+manyLabels(10_000)+`}}}`),
		Entry("no target", "exactly one of the fields in [selector targetRefs scope] must be set", `{"selector": null}`),
		Entry("selector and scope together", "exactly one of the fields in [selector targetRefs scope] must be set", `{"scope": "Namespace"}`),
		Entry("a port of 0", "spec.match[0].ports[0].number", `{"match": [{"ports": [{"number": 0}]}]}`),
	)

	DescribeTable("is refused by the operator, where a schema can't say it", operatorRefuses,
		Entry("row 18: a key that is no label's", wasmv1alpha1.ReasonInvalidSpec, "spec.selector.matchLabels: has a key that is no label's",
			`{"selector": {"matchLabels": {"not a label": "x"}}}`),
	)

	It("row 18: a label that no proxy has is no mistake: such a proxy may come", func(ctx SpecContext) {
		plugin := newPlugin(newNamespace(ctx))
		plugin.Spec.Selector.MatchLabels = map[string]wasmv1alpha1.LabelValue{"unknown.example.com/label": "x"}
		createReady(ctx, plugin)
		Expect(refresh(ctx, plugin)).To(haveCondition(
			wasmv1alpha1.ConditionProgrammed, metav1.ConditionUnknown, wasmv1alpha1.ReasonNotObserved))
	})
})

var _ = Describe("Bad input: names", func() {
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
	create := func(ctx context.Context, namespace, name string) *wasmv1alpha1.WasmPlugin {
		GinkgoHelper()
		plugin := newPlugin(namespace)
		plugin.Name = name
		plugin.Spec.PluginName = "basic_auth"
		createReady(ctx, plugin)
		return plugin
	}

	// Two that share an ECDS name would make Envoy refuse every plugin of the proxy, two that share a VM fall together, and
	// of two that share a priority the older would run first. So both work: each of these names the namespace and the plugin.
	DescribeTable("row 21: of one pluginName on one workload both work", func(ctx SpecContext, secondName string, sameNamespace bool) {
		namespace := newNamespace(ctx)
		first := create(ctx, namespace, "basic-auth")
		if !sameNamespace {
			namespace = newNamespace(ctx)
		}
		second := create(ctx, namespace, secondName)
		for _, path := range [][]string{{"patch", "value", "name"}, {"patch", "value", "typed_config", "config", "vm_config", "vm_id"}} {
			Expect(inConfig(ctx, first, path...)).NotTo(Equal(inConfig(ctx, second, path...)))
		}
		Expect(inConfig(ctx, first, "patch", "value", "typed_config", "config", "root_id")).To(Equal("basic_auth"))
		Expect(inConfig(ctx, second, "patch", "value", "typed_config", "config", "root_id")).To(Equal("basic_auth"))
		for _, plugin := range []*wasmv1alpha1.WasmPlugin{first, second} {
			Expect(stateOf(plugin)(Default, ctx)).To(beReady())
		}
	},
		Entry("two plugins of a namespace", "basic-auth-2", true),
		Entry("two plugins of one name, in two namespaces", "basic-auth", false),
	)

	It("row 22: a name of 253 characters is refused", func(ctx SpecContext) { refusedByName(ctx, strings.Repeat("a", 253)) })

	It("row 22: a name of 64 characters is refused, so that no child's name is too long", func(ctx SpecContext) {
		refusedByName(ctx, strings.Repeat("a", 64))
	})

	// Names are never shortened, so that two never become one.
	It("row 22: two names that would be one when shortened are refused", func(ctx SpecContext) {
		shared := strings.Repeat("a", 63)
		refusedByName(ctx, shared+"-one", shared+"-two")
	})

	It("row 22: a name of 63 characters is good", func(ctx SpecContext) {
		plugin := create(ctx, newNamespace(ctx), strings.Repeat("a", 63))
		Expect(versions(ctx, plugin)).To(And(HaveLen(2), HaveKey(plugin.Name+"-config"), HaveKey(plugin.Name+"-filter")))
	})

	It("row 22: names that look like names of children don't collide", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		names := []string{"a", "a-config", "a-filter", "a-config-filter", "config", "a.config", "basic.auth.example"}
		for _, name := range names {
			create(ctx, namespace, name)
		}
		Expect(versions(ctx, newPlugin(namespace))).To(HaveLen(2 * len(names)))
		for _, name := range names {
			plugin := newPlugin(namespace)
			plugin.Name = name
			Expect(stateOf(plugin)(Default, ctx)).To(beReady())
			Expect(inConfig(ctx, plugin, "patch", "value", "name")).To(Equal(fmt.Sprintf("wasm.solarmesh.io/%s.%s", namespace, name)))
		}
	})
})
