//go:build long

// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

var _ = Describe("Robustness: what takes longer", Serial, func() {
	var (
		plugin *wasmv1alpha1.WasmPlugin
		ns     string
		pairs  func(context.Context) int
	)

	BeforeEach(func(ctx SpecContext) {
		ns = newNamespace(ctx)
		plugin = newPlugin(ns)
		pairs = func(ctx context.Context) int { return len(versions(ctx, plugin)) }
	})

	It("row 29: a plugin that is deleted and made again 100 times has the pair of the last one", func(ctx SpecContext) {
		for i := range 100 {
			plugin = newPlugin(ns)
			plugin.Spec.Rules = rulesOf(fmt.Sprintf(`{"turn": %d}`, i))
			Expect(k8s.Create(ctx, plugin)).To(Succeed())
			if i < 99 {
				Expect(k8s.Delete(ctx, plugin)).To(Succeed())
			}
		}
		ownPair := func(g Gomega, ctx context.Context) {
			g.Expect(stateOf(plugin)(g, ctx)).To(beReady())
			for _, role := range halves {
				half := newEnvoyFilter(ns, plugin.Name+"-"+role)
				g.Expect(k8s.Get(ctx, client.ObjectKeyFromObject(half), half)).To(Succeed())
				g.Expect(half.GetOwnerReferences()).To(ConsistOf(HaveField("UID", plugin.UID)))
			}
		}
		Eventually(ctx, ownPair).Should(Succeed())
		Consistently(ctx, ownPair).WithTimeout(collected).Should(Succeed())
		Expect(inConfig(ctx, plugin, "patch", "value", "typed_config", "config", "configuration", "value")).To(Equal(`{"turn":99}`))
		Expect(pairs(ctx)).To(Equal(2))
	})

	It("row 31: a namespace that goes takes its plugins along, with few attempts and no flood of words", func(ctx SpecContext) {
		createCrowd(ctx, ns)
		held := newEnvoyFilter(ns, "held")
		held.SetFinalizers([]string{"example.com/keep"})
		Expect(k8s.Create(ctx, held)).To(Succeed())
		Eventually(ctx, pairs).Should(Equal(2*crowd + 1))
		silent(ns)
		proxy.Reset()
		said := len(operator.Log())
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}
		Expect(k8s.Delete(ctx, namespace)).To(Succeed())
		Eventually(ctx, pairs).WithTimeout(time.Minute).Should(Equal(1), "all but the one that is held")
		Consistently(ctx, pairs).WithTimeout(collected).Should(Equal(1))
		// While the namespace goes each half may be missed once, and each pair reported.
		Expect(len(writes(ns))).To(BeNumerically("<=", 4*crowd), "%v", writes(ns))
		Expect(strings.Count(operator.Log()[said:], `"level":"error"`)).To(BeZero(), "%s", operator.Log()[said:])
		change(ctx, held, func(e *unstructured.Unstructured) { e.SetFinalizers(nil) })
		Eventually(ctx, func() bool {
			return apierrors.IsNotFound(k8s.Get(ctx, client.ObjectKeyFromObject(namespace), namespace))
		}).WithTimeout(time.Minute).Should(BeTrue())
	}, SpecTimeout(2*time.Minute))

	It("row 40: doesn't run without a definition of EnvoyFilters, says so, and does when it is there", func(ctx SpecContext) {
		DeferCleanup(func(ctx SpecContext) { ensureRunning(ctx) })
		DeferCleanup(func(ctx SpecContext) { Expect(chain.ApplyFile(ctx, restConfig, istioCRDs(ctx))).To(Succeed()) })
		Expect(operator.Stop()).To(Succeed())
		kubectl(ctx, "delete", "crd", "envoyfilters.networking.istio.io")
		proxy.Reset()
		Expect(operator.Start(ctx)).To(MatchError(And(ContainSubstring("exit status 1"), ContainSubstring(`no matches for kind "EnvoyFilter"`))))
		Expect(writes(ns)).To(BeEmpty())
		Expect(chain.ApplyFile(ctx, restConfig, istioCRDs(ctx))).To(Succeed())
		Eventually(ctx, func() error { return operator.Start(ctx) }).Should(Succeed())
		createReady(ctx, plugin)
		// The garbage collector looks every 30 s which kinds there are.
		Expect(k8s.Delete(ctx, plugin)).To(Succeed())
		Eventually(ctx, pairs).WithTimeout(time.Minute).Should(BeZero())
	}, SpecTimeout(3*time.Minute))

	It("row 46: a field that a newer definition of plugins defaults costs no write, also not at a start", func(ctx SpecContext) {
		createReady(ctx, plugin)
		silent(ns)
		definition := changeDefinition(ctx, "wasmplugins.wasm.solarmesh.io", "v1alpha1", func(spec map[string]any) {
			spec["later"] = map[string]any{"type": "string", "default": "x"}
		})
		proxy.Reset()
		Eventually(ctx, func(g Gomega, ctx context.Context) {
			current := &unstructured.Unstructured{}
			current.SetGroupVersionKind(wasmv1alpha1.SchemeGroupVersion.WithKind("WasmPlugin"))
			g.Expect(k8s.Get(ctx, client.ObjectKeyFromObject(plugin), current)).To(Succeed())
			g.Expect(current.Object["spec"]).To(HaveKeyWithValue("later", "x"))
		}).Should(Succeed())
		relaunch(ctx)
		Eventually(operator.reconciles).Should(BeNumerically(">", 0))
		Consistently(func() []string { return writes(ns) }).Should(BeEmpty())
		definition.restore(ctx)
	})

	It("row 47: a field that an older definition of EnvoyFilters lacks is told, tried again after growing pauses, and heals", func(ctx SpecContext) {
		definition := changeDefinition(ctx, "envoyfilters.networking.istio.io", "v1alpha3", func(spec map[string]any) { delete(spec, "priority") })
		Eventually(ctx, func(g Gomega, ctx context.Context) {
			tried := newEnvoyFilter(ns, "tried")
			setField(int64(3), "spec", "priority")(tried)
			g.Expect(k8s.Create(ctx, tried, client.DryRunAll)).To(Succeed())
			g.Expect(tried.Object["spec"]).NotTo(HaveKey("priority"))
		}).Should(Succeed())
		proxy.Reset()
		Expect(k8s.Create(ctx, plugin)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(haveCondition(wasmv1alpha1.ConditionApplied, metav1.ConditionFalse, wasmv1alpha1.ReasonApplyFailed))
		Expect(conditionOf(refresh(ctx, plugin), wasmv1alpha1.ConditionApplied).Message).To(ContainSubstring(".spec.priority: field not declared in schema"))
		Consistently(func() int { return len(writes(ns)) }).WithTimeout(3 * time.Second).Should(BeNumerically("<=", 14))
		Expect(versions(ctx, plugin)).To(BeEmpty())
		definition.restore(ctx)
		Eventually(ctx, stateOf(plugin)).Should(beReady())
	})

	DescribeTable("row 48: a policy that changes what is written costs the writes of any creation, and no more", func(ctx SpecContext, mutation string) {
		policy := mutatingPolicy(ns, mutation)
		DeferCleanup(func(ctx SpecContext) { Expect(chain.Delete(ctx, restConfig, policy)).To(Succeed()) })
		Expect(chain.Apply(ctx, restConfig, policy)).To(Succeed())
		Eventually(ctx, func(g Gomega, ctx context.Context) {
			tried := newEnvoyFilter(ns, "tried")
			g.Expect(k8s.Create(ctx, tried, client.DryRunAll)).To(Succeed())
			raw, err := json.Marshal(tried)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(string(raw)).To(ContainSubstring("mutated"))
		}).Should(Succeed())
		proxy.Reset()
		Expect(k8s.Create(ctx, plugin)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(beReady())
		silent(ns)
		spent := writes(ns)
		Expect(spent).To(Equal(creation))
		Consistently(func() []string { return writes(ns) }).WithTimeout(2 * time.Second).Should(Equal(spent))
		proxy.Reset()
		relaunch(ctx)
		Eventually(operator.reconciles).Should(BeNumerically(">", 0))
		Consistently(func() []string { return writes(ns) }).Should(BeEmpty())
		raw, err := json.Marshal(child(ctx, plugin, wasmv1alpha1.RoleFilter))
		Expect(err).NotTo(HaveOccurred())
		Expect(string(raw)).To(ContainSubstring("mutated"))
	},
		Entry("it adds a label and an annotation",
			`Object{metadata: Object.metadata{labels: {"example.com/mutated": "x"}, annotations: {"example.com/mutated": "x"}}}`),
		Entry("it adds a label to the workloadSelector",
			`Object{spec: Object.spec{workloadSelector: Object.spec.workloadSelector{labels: {"mutated": "x"}}}}`),
	)
})

// mutatingPolicy changes every EnvoyFilter of a namespace.
func mutatingPolicy(namespace, mutation string) string {
	return fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: mutate-%[1]s}
spec:
  matchConstraints:
    resourceRules:
    - {apiGroups: [networking.istio.io], apiVersions: ["*"], operations: [CREATE, UPDATE], resources: [envoyfilters]}
  matchConditions:
  - {name: namespace, expression: request.namespace == '%[1]s'}
  failurePolicy: Fail
  reinvocationPolicy: Never
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration:
      expression: >-
        %[2]s
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: mutate-%[1]s}
spec: {policyName: mutate-%[1]s}
`, namespace, mutation)
}

// changedDefinition is a custom resource definition that is put back when the spec ends.
type changedDefinition struct {
	name, version string
	properties    map[string]any // of a version's spec, as they were
}

// changeDefinition changes the properties of a kind's spec.
func changeDefinition(ctx context.Context, name, version string, mutate func(properties map[string]any)) *changedDefinition {
	GinkgoHelper()
	d := &changedDefinition{name: name, version: version}
	DeferCleanup(func(ctx SpecContext) { d.restore(ctx) })
	d.change(ctx, func(properties map[string]any) {
		if d.properties == nil {
			d.properties = (&unstructured.Unstructured{Object: properties}).DeepCopy().Object
		}
		mutate(properties)
	})
	return d
}

// restore may be called twice.
func (d *changedDefinition) restore(ctx context.Context) {
	GinkgoHelper()
	d.change(ctx, func(properties map[string]any) {
		clear(properties)
		maps.Copy(properties, d.properties)
	})
	relaunch(ctx) // with watches of the kind as it is
}

func (d *changedDefinition) change(ctx context.Context, mutate func(map[string]any)) {
	GinkgoHelper()
	definition := &unstructured.Unstructured{}
	definition.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	definition.SetName(d.name)
	change(ctx, definition, func(definition *unstructured.Unstructured) {
		all, _, err := unstructured.NestedSlice(definition.Object, "spec", "versions")
		Expect(err).NotTo(HaveOccurred())
		for _, one := range all {
			version, _ := one.(map[string]any)
			if version["name"] != d.version {
				continue
			}
			path := strings.Split("schema.openAPIV3Schema.properties.spec.properties", ".")
			properties, found, err := unstructured.NestedFieldNoCopy(version, path...)
			Expect(err).NotTo(HaveOccurred())
			Expect(found).To(BeTrue())
			object, _ := properties.(map[string]any)
			mutate(object)
		}
		Expect(unstructured.SetNestedSlice(definition.Object, all, "spec", "versions")).To(Succeed())
	})
}
