// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"
	"maps"
	"strconv"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	gomegatypes "github.com/onsi/gomega/types"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

var envoyFilterKind = schema.GroupVersionKind{Group: "networking.istio.io", Version: "v1alpha3", Kind: "EnvoyFilter"}

// newNamespace makes a namespace for one spec. What the operator looks at goes with the spec, so that no other one meets
// it. The namespace stays: its controller takes seconds of everybody's time for each.
func newNamespace(ctx context.Context) string {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "spec-"}}
	Expect(k8s.Create(ctx, namespace)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) {
		Expect(k8s.DeleteAllOf(ctx, &wasmv1alpha1.WasmPlugin{}, client.InNamespace(namespace.Name))).To(Succeed())
		Expect(k8s.DeleteAllOf(ctx, newEnvoyFilter(namespace.Name, ""), client.InNamespace(namespace.Name))).To(Succeed())
	})
	return namespace.Name
}

// newPlugin is one that is good; specs change it before they create it.
func newPlugin(namespace string) *wasmv1alpha1.WasmPlugin {
	return &wasmv1alpha1.WasmPlugin{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "basic-auth"},
		Spec: wasmv1alpha1.WasmPluginSpec{
			URL:      "oci://registry.example.com/plugins/basic-auth:1.4",
			Rules:    rulesOf(`{"basic_auth_rules": [{"prefix": "/productpage", "credentials": ["ok:test"]}]}`),
			Selector: wasmv1alpha1.WorkloadSelector{MatchLabels: map[string]wasmv1alpha1.LabelValue{"istio": "ingressgateway"}},
		},
	}
}

func rulesOf(json string) *apiextensionsv1.JSON { return &apiextensionsv1.JSON{Raw: []byte(json)} }

// createReady creates a plugin and waits until its pair stands and its status says so.
func createReady(ctx context.Context, plugin *wasmv1alpha1.WasmPlugin) {
	GinkgoHelper()
	Expect(k8s.Create(ctx, plugin)).To(Succeed())
	Eventually(ctx, stateOf(plugin)).Should(beReady())
}

// stateOf reads the plugin, again and again.
func stateOf(plugin *wasmv1alpha1.WasmPlugin) func(Gomega, context.Context) *wasmv1alpha1.WasmPlugin {
	key := client.ObjectKeyFromObject(plugin)
	return func(g Gomega, ctx context.Context) *wasmv1alpha1.WasmPlugin {
		current := &wasmv1alpha1.WasmPlugin{}
		g.Expect(k8s.Get(ctx, key, current)).To(Succeed())
		return current
	}
}

// refresh reads the plugin into itself.
func refresh(ctx context.Context, plugin *wasmv1alpha1.WasmPlugin) *wasmv1alpha1.WasmPlugin {
	GinkgoHelper()
	Expect(k8s.Get(ctx, client.ObjectKeyFromObject(plugin), plugin)).To(Succeed())
	return plugin
}

// change reads, changes and updates an object, again where somebody else was faster.
func change[T client.Object](ctx context.Context, object T, mutate func(T)) {
	GinkgoHelper()
	Eventually(ctx, func(ctx context.Context) error {
		if err := k8s.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
			return StopTrying("it can't be read").Wrap(err)
		}
		mutate(object)
		err := k8s.Update(ctx, object, client.FieldOwner("somebody"))
		if err != nil && !apierrors.IsConflict(err) {
			return StopTrying("it can't be changed").Wrap(err)
		}
		return err
	}).Should(Succeed())
}

// patchSpec merges JSON into the spec.
func patchSpec(ctx context.Context, plugin *wasmv1alpha1.WasmPlugin, spec string) error {
	return k8s.Patch(ctx, plugin, client.RawPatch(types.MergePatchType, []byte(`{"spec":`+spec+`}`)))
}

// A change that this version of the operator doesn't support, and one that takes it back.
const (
	notSupported   = `{"delivery": "Store"}`
	supportedAgain = `{"delivery": null}`
)

// haveCondition matches a plugin with a condition about its present generation. The reason is one, or a matcher.
func haveCondition(conditionType string, status metav1.ConditionStatus, reason any) gomegatypes.GomegaMatcher {
	return And(
		HaveField("Status.Conditions", ContainElement(And(
			HaveField("Type", conditionType), HaveField("Status", status), HaveField("Reason", reason),
			HaveField("Message", MatchRegexp(`^\S.*[.!?…]$`)),
		))),
		Satisfy(func(plugin *wasmv1alpha1.WasmPlugin) bool {
			return conditionOf(plugin, conditionType).ObservedGeneration == plugin.Generation &&
				plugin.Status.ObservedGeneration == plugin.Generation
		}),
	)
}

func beReady() gomegatypes.GomegaMatcher {
	return And(
		haveCondition(wasmv1alpha1.ConditionReady, metav1.ConditionTrue, wasmv1alpha1.ReasonApplied),
		haveCondition(wasmv1alpha1.ConditionApplied, metav1.ConditionTrue, wasmv1alpha1.ReasonApplied),
		haveCondition(wasmv1alpha1.ConditionAccepted, metav1.ConditionTrue, wasmv1alpha1.ReasonAccepted),
	)
}

// beRejected matches a plugin whose spec isn't accepted, for a reason, with words of the message.
func beRejected(reason string, words ...string) gomegatypes.GomegaMatcher {
	matchers := []gomegatypes.GomegaMatcher{
		haveCondition(wasmv1alpha1.ConditionAccepted, metav1.ConditionFalse, reason),
		haveCondition(wasmv1alpha1.ConditionReady, metav1.ConditionFalse, reason),
		haveCondition(wasmv1alpha1.ConditionStalled, metav1.ConditionTrue, reason),
	}
	for _, word := range words {
		matchers = append(matchers, WithTransform(func(plugin *wasmv1alpha1.WasmPlugin) string {
			return conditionOf(plugin, wasmv1alpha1.ConditionAccepted).Message
		}, ContainSubstring(word)))
	}
	return And(matchers...)
}

func conditionOf(plugin *wasmv1alpha1.WasmPlugin, conditionType string) metav1.Condition {
	for _, condition := range plugin.Status.Conditions {
		if condition.Type == conditionType {
			return condition
		}
	}
	return metav1.Condition{}
}

func newEnvoyFilter(namespace, name string) *unstructured.Unstructured {
	envoyFilter := &unstructured.Unstructured{Object: map[string]any{}}
	envoyFilter.SetGroupVersionKind(envoyFilterKind)
	envoyFilter.SetNamespace(namespace)
	envoyFilter.SetName(name)
	return envoyFilter
}

// halves are the roles in the order in which they are written.
var halves = []string{wasmv1alpha1.RoleConfig, wasmv1alpha1.RoleFilter}

// child reads one half of the plugin's pair.
func child(ctx context.Context, plugin *wasmv1alpha1.WasmPlugin, role string) *unstructured.Unstructured {
	GinkgoHelper()
	envoyFilter := newEnvoyFilter(plugin.Namespace, plugin.Name+"-"+role)
	Expect(k8s.Get(ctx, client.ObjectKeyFromObject(envoyFilter), envoyFilter)).To(Succeed())
	return envoyFilter
}

// versions are the resourceVersions of what exists of the pair: any write moves them.
func versions(ctx context.Context, plugin *wasmv1alpha1.WasmPlugin) map[string]string {
	GinkgoHelper()
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(envoyFilterKind)
	Expect(k8s.List(ctx, list, client.InNamespace(plugin.Namespace))).To(Succeed())
	found := map[string]string{}
	for _, item := range list.Items {
		found[item.GetName()] = item.GetResourceVersion()
	}
	return found
}

// applied is what the operator put on an EnvoyFilter.
type applied struct {
	Labels, Annotations map[string]string
	Owners              []metav1.OwnerReference
	Spec                any
}

func appliedTo(envoyFilter *unstructured.Unstructured) applied {
	return applied{envoyFilter.GetLabels(), envoyFilter.GetAnnotations(), envoyFilter.GetOwnerReferences(), envoyFilter.Object["spec"]}
}

// marks are the annotations that may differ where nothing else does: they count writes.
var marks = []string{wasmv1alpha1.AnnotationGeneration, wasmv1alpha1.AnnotationPluginGeneration}

// standsAs asserts that a half is as it was, and marked with the generation that it has now.
func standsAs(ctx context.Context, g Gomega, plugin *wasmv1alpha1.WasmPlugin, role string, before applied) {
	envoyFilter := newEnvoyFilter(plugin.Namespace, plugin.Name+"-"+role)
	g.Expect(k8s.Get(ctx, client.ObjectKeyFromObject(envoyFilter), envoyFilter)).To(Succeed())
	now := appliedTo(envoyFilter)
	g.Expect(now.Annotations).To(HaveKeyWithValue(
		wasmv1alpha1.AnnotationGeneration, strconv.FormatInt(envoyFilter.GetGeneration(), 10)))
	now.Annotations, before.Annotations = unmarked(now.Annotations), unmarked(before.Annotations)
	g.Expect(now).To(Equal(before))
}

func unmarked(annotations map[string]string) map[string]string {
	rest := maps.Clone(annotations)
	for _, mark := range marks {
		delete(rest, mark)
	}
	return rest
}

// reportsItsChildren asserts that the status names the children as they stand now.
func reportsItsChildren(ctx context.Context, g Gomega, plugin *wasmv1alpha1.WasmPlugin) {
	status := stateOf(plugin)(g, ctx).Status.EnvoyFilters
	for _, role := range halves {
		envoyFilter := newEnvoyFilter(plugin.Namespace, plugin.Name+"-"+role)
		g.Expect(k8s.Get(ctx, client.ObjectKeyFromObject(envoyFilter), envoyFilter)).To(Succeed())
		g.Expect(status).To(ContainElement(And(
			HaveField("Name", envoyFilter.GetName()),
			HaveField("Hash", HavePrefix(envoyFilter.GetAnnotations()[wasmv1alpha1.AnnotationHash])),
		)))
	}
}
