// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/story"
)

// protected is the path for which rules asks for a user, open one for which it does not.
const (
	protected = "/productpage"
	open      = "/open"
)

// rules are basic-auth's: who may see the protected path.
func rules(credentials ...string) *apiextensionsv1.JSON {
	return rulesJSON(map[string]any{"basic_auth_rules": []any{map[string]any{
		"prefix": protected, "request_methods": []string{"GET", "POST"}, "credentials": credentials,
	}}})
}

// badRules are refused by basic-auth, which names the field.
func badRules() *apiextensionsv1.JSON {
	return rulesJSON(map[string]any{"basic_auth_rules": "everybody"})
}

func rulesJSON(value any) *apiextensionsv1.JSON {
	GinkgoHelper()
	raw, err := json.Marshal(value)
	Expect(err).NotTo(HaveOccurred())
	return &apiextensionsv1.JSON{Raw: raw}
}

// basicAuth lets ok:test pass, helloWorld puts its header on answers.
func basicAuth(target wasmv1alpha1.WorkloadSelector) wasmv1alpha1.WasmPluginSpec {
	return wasmv1alpha1.WasmPluginSpec{URL: world.Modules.URL(story.BasicAuthPath), Rules: rules("ok:test"), Selector: target}
}

func helloWorld(target wasmv1alpha1.WorkloadSelector) wasmv1alpha1.WasmPluginSpec {
	return wasmv1alpha1.WasmPluginSpec{URL: world.Modules.URL(story.HelloWorldPath), Selector: target}
}

// filterName is what a plugin's filter is called in a proxy.
func (s space) filterName(plugin string) string {
	return "wasm.solarmesh.io/" + s.namespace + "." + plugin
}

func (s space) create(ctx context.Context, name string, spec wasmv1alpha1.WasmPluginSpec) {
	GinkgoHelper()
	plugin := &wasmv1alpha1.WasmPlugin{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name}, Spec: spec}
	Expect(api.Create(ctx, plugin)).To(Succeed())
}

func (s space) read(ctx context.Context, name string) *wasmv1alpha1.WasmPlugin {
	GinkgoHelper()
	plugin := &wasmv1alpha1.WasmPlugin{}
	Expect(api.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, plugin)).To(Succeed())
	return plugin
}

func (s space) edit(ctx context.Context, name string, change func(*wasmv1alpha1.WasmPluginSpec)) {
	GinkgoHelper()
	s.change(ctx, name, func(plugin *wasmv1alpha1.WasmPlugin) { change(&plugin.Spec) })
}

// annotate says a user's word.
func (s space) annotate(ctx context.Context, name, key, value string) {
	GinkgoHelper()
	s.change(ctx, name, func(plugin *wasmv1alpha1.WasmPlugin) { metav1.SetMetaDataAnnotation(&plugin.ObjectMeta, key, value) })
}

// change changes a plugin without regard to what the operator writes meanwhile.
func (s space) change(ctx context.Context, name string, change func(*wasmv1alpha1.WasmPlugin)) {
	GinkgoHelper()
	plugin := s.read(ctx, name)
	before := plugin.DeepCopy()
	change(plugin)
	Expect(api.Patch(ctx, plugin, client.MergeFrom(before))).To(Succeed())
}

func (s space) delete(ctx context.Context, name string) {
	GinkgoHelper()
	Expect(api.Delete(ctx, s.read(ctx, name))).To(Succeed())
}

// observed waits until the status is about the present spec.
func (s space) observed(ctx context.Context, name string) *wasmv1alpha1.WasmPlugin {
	GinkgoHelper()
	var plugin *wasmv1alpha1.WasmPlugin
	Eventually(ctx, func(g Gomega) {
		plugin = s.read(ctx, name)
		g.Expect(plugin.Status.ObservedGeneration).To(Equal(plugin.Generation))
	}).WithTimeout(patience).Should(Succeed())
	return plugin
}

// condition is one of a plugin's status.
func condition(plugin *wasmv1alpha1.WasmPlugin, conditionType string) metav1.Condition {
	GinkgoHelper()
	found := apimeta.FindStatusCondition(plugin.Status.Conditions, conditionType)
	Expect(found).NotTo(BeNil(), "condition %s is not in %v", conditionType, plugin.Status.Conditions)
	return *found
}

// envoyFilters are the names of a namespace's.
func (s space) envoyFilters(ctx context.Context) ([]string, error) {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(envoyFilterList)
	if err := api.List(ctx, list, client.InNamespace(s.namespace)); err != nil {
		return nil, err
	}
	names := []string{}
	for _, item := range list.Items {
		names = append(names, item.Name)
	}
	return names, nil
}
