// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
	"github.com/solarmesh/wasmplugin-operator/test/faults/inject"
	"github.com/solarmesh/wasmplugin-operator/test/faults/oracle"
)

const (
	// subject is the plugin that a case is about, bystander one that it is not about.
	subject   = "subject"
	bystander = "bystander"
)

// scene is a namespace, with all that happens in it, and the operator, or its replicas.
type scene struct {
	*recorder
	operators []*operator
	options   translate.Options
	// since is the version from which on nothing may happen to the bystander; 0 for no such.
	since uint64
	// stood is what must stand again in the end; nil where that isn't the point.
	stood map[string]*unstructured.Unstructured
	// late is how many writes may have been under way when a spec changed.
	late int
	// again is how often a trial, or a canary, may be made once more.
	again int
	// mode is that of new plugins, old what was in force before a change.
	mode wasmv1alpha1.ActivationMode
	old  *wasmv1alpha1.WasmPluginSpec
	// mesh has the scene's proxies; nil for none.
	mesh *mesh
	// ends are what else ends with the scene.
	ends []func()
	left bool
}

// newScene makes one, whose plugins go when the spec ends.
func newScene(ctx context.Context, operators ...*operator) *scene {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "faults-"}}
	Expect(api.Create(ctx, namespace)).To(Succeed())
	s := &scene{operators: operators, options: rendering, recorder: record(ctx, namespace.Name), mode: wasmv1alpha1.ActivationImmediate}
	DeferCleanup(s.leave)
	return s
}

// leave deletes what the scene has. Doing so again does nothing.
func (s *scene) leave(ctx context.Context) {
	GinkgoHelper()
	if s.left {
		return
	}
	s.left = true
	defer s.stop()
	for _, end := range s.ends {
		end()
	}
	for _, o := range s.operators {
		o.layer.Set()
	}
	Expect(api.DeleteAllOf(ctx, &wasmv1alpha1.WasmPlugin{}, client.InNamespace(s.namespace))).To(Succeed())
	Expect(api.DeleteAllOf(ctx, newEnvoyFilter(""), client.InNamespace(s.namespace))).To(Succeed())
}

func newEnvoyFilter(name string) *unstructured.Unstructured {
	envoyFilter := &unstructured.Unstructured{Object: map[string]any{}}
	envoyFilter.SetGroupVersionKind(translate.EnvoyFilterKind)
	envoyFilter.SetName(name)
	return envoyFilter
}

// newPlugin is one that comes into force at once, unless it is changed before it is created.
func (s *scene) newPlugin(name string) *wasmv1alpha1.WasmPlugin {
	return &wasmv1alpha1.WasmPlugin{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name},
		Spec: wasmv1alpha1.WasmPluginSpec{
			URL:        "oci://registry.example.com/plugins/basic-auth:1.4",
			Rules:      &apiextensionsv1.JSON{Raw: []byte(`{"text":"first"}`)},
			Selector:   wasmv1alpha1.WorkloadSelector{MatchLabels: map[string]wasmv1alpha1.LabelValue{"istio": wasmv1alpha1.LabelValue(s.namespace)}},
			Activation: wasmv1alpha1.Activation{Mode: s.mode},
		},
	}
}

// create makes a plugin.
func (s *scene) create(ctx context.Context, plugin *wasmv1alpha1.WasmPlugin) {
	GinkgoHelper()
	Expect(api.Create(ctx, plugin)).To(Succeed())
}

// patch merges JSON into a plugin.
func (s *scene) patch(ctx context.Context, name, json string) {
	GinkgoHelper()
	plugin := &wasmv1alpha1.WasmPlugin{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name}}
	Expect(api.Patch(ctx, plugin, client.RawPatch(types.MergePatchType, []byte(json)))).To(Succeed())
}

// remove deletes a plugin.
func (s *scene) remove(ctx context.Context, name string) {
	GinkgoHelper()
	plugin := &wasmv1alpha1.WasmPlugin{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name}}
	Expect(api.Delete(ctx, plugin)).To(Succeed())
}

// standing are the plugins of the scene, and its EnvoyFilters by name.
func (s *scene) standing(ctx context.Context, g Gomega) ([]wasmv1alpha1.WasmPlugin, map[string]*unstructured.Unstructured) {
	plugins := &wasmv1alpha1.WasmPluginList{}
	g.Expect(api.List(ctx, plugins, client.InNamespace(s.namespace))).To(Succeed())
	list, err := dynamics.Resource(resource(inject.EnvoyFilters)).Namespace(s.namespace).List(ctx, metav1.ListOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	envoyFilters := map[string]*unstructured.Unstructured{}
	for i := range list.Items {
		envoyFilters[list.Items[i].GetName()] = &list.Items[i]
	}
	delete(envoyFilters, mark)
	return plugins.Items, envoyFilters
}

// wish says what is to stand of a plugin that isn't as its own spec says; nil for the others.
type wish func(*scene, *wasmv1alpha1.WasmPlugin) *oracle.Wanted

// asWished asserts that the end state is reached (O1, O5).
func (s *scene) asWished(ctx context.Context, g Gomega, special wish, ready ...string) {
	plugins, envoyFilters := s.standing(ctx, g)
	var wanted []oracle.Wanted
	for i := range plugins {
		plugin := &plugins[i]
		g.Expect(plugin.Status.ObservedGeneration).To(Equal(plugin.Generation), plugin.Name)
		one := oracle.Wanted{Plugin: plugin}
		reasons := ready
		if other := special(s, plugin); other != nil {
			one = *other
		} else {
			reasons = []string{wasmv1alpha1.ReasonApplied, wasmv1alpha1.ReasonProgrammed, wasmv1alpha1.ReasonOff, wasmv1alpha1.ReasonNoMatchingProxies}
		}
		if condition := apimeta.FindStatusCondition(plugin.Status.Conditions, wasmv1alpha1.ConditionReady); len(reasons) > 0 {
			g.Expect(condition).NotTo(BeNil(), plugin.Name)
			g.Expect(reasons).To(ContainElement(condition.Reason), "%s: %s", plugin.Name, condition.Message)
		}
		wanted = append(wanted, one)
	}
	g.Expect(oracle.EndState(s.options, wanted, envoyFilters)).To(BeEmpty())
}

// remember notes what is in force, before a change that may not come into force. Its wish is stillInForce.
func (s *scene) remember(ctx context.Context) {
	GinkgoHelper()
	plugin := &wasmv1alpha1.WasmPlugin{}
	Expect(api.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: subject}, plugin)).To(Succeed())
	s.old = &plugin.Spec
}

// stillInForce wishes that the subject is as it was, with some memory beside it.
func stillInForce(beside ...wasmv1alpha1.EnvoyFilterRole) wish {
	return func(s *scene, plugin *wasmv1alpha1.WasmPlugin) *oracle.Wanted {
		if plugin.Name != subject {
			return nil
		}
		return &oracle.Wanted{Plugin: plugin, InForce: s.old, Beside: beside}
	}
}

func asSpec(*scene, *wasmv1alpha1.WasmPlugin) *oracle.Wanted { return nil }

// rounds is how often writes may go on after a state was reached: those that say so.
const rounds = 10

// settle waits for a state, and until nothing is written any more (O4), and starts the operator again whenever it was killed.
func (s *scene) settle(ctx context.Context, reached func(g Gomega)) {
	GinkgoHelper()
	failed := true
	defer func() {
		if failed {
			tally.add(count{violations: 1})
		}
	}()
	var late []inject.Write
	for range rounds {
		Eventually(ctx, func(g Gomega) {
			s.revive(ctx)
			s.haveLooked(ctx, g)
			reached(g)
		}).Should(Succeed())
		late = s.writtenIn(ctx, window)
		if len(late) == 0 && !s.revive(ctx) {
			failed = false
			return
		}
	}
	Expect(oracle.Quiet(late)).To(BeEmpty())
}

// revive starts every operator again that was killed by a fault. It says whether there was one.
func (s *scene) revive(ctx context.Context) bool {
	GinkgoHelper()
	revived := false
	for _, o := range s.operators {
		revived = o.revive(ctx) || revived
	}
	return revived
}

// haveLooked says whether an operator that runs has looked at every plugin. Of replicas one does.
func (s *scene) haveLooked(ctx context.Context, g Gomega) {
	plugins := &wasmv1alpha1.WasmPluginList{}
	g.Expect(api.List(ctx, plugins)).To(Succeed())
	most := 0.0
	for _, o := range s.operators {
		if looked, err := o.metric(ctx, "controller_runtime_reconcile_total"); err == nil {
			most = max(most, looked)
		}
	}
	g.Expect(most).To(BeNumerically(">=", len(plugins.Items)))
}

// writes are those of the operators to the scene's objects, those of one after those of the other.
func (s *scene) writes() []inject.Write {
	var writes []inject.Write
	for _, o := range s.operators {
		writes = append(writes, o.layer.Writes(s.namespace)...)
	}
	return writes
}

// mayNotTouch says that nothing is done to the bystander from now on (O7).
func (s *scene) mayNotTouch(ctx context.Context) {
	GinkgoHelper()
	history := s.soFar(ctx)
	s.since = history[len(history)-1].Version()
}

// window is how long nothing may be written for all to be done (O4).
const window = 400 * time.Millisecond

// writtenIn are the writes of some time.
func (s *scene) writtenIn(ctx context.Context, window time.Duration) []inject.Write {
	before := len(s.writes())
	select {
	case <-ctx.Done():
	case <-time.After(window):
	}
	return s.writes()[before:]
}

// judge has all oracles look at a case that has settled.
func (s *scene) judge(ctx context.Context, what string) {
	GinkgoHelper()
	history := s.soFar(ctx)
	violations := slices.Concat(
		oracle.Pairs(history, s.late, s.again), oracle.Order(history), oracle.Statuses(history, s.options), oracle.Writes(history, s.writes()),
	)
	if s.since > 0 {
		violations = append(violations, oracle.Bystander(history, s.since, bystander)...)
	}
	if s.stood != nil {
		_, standing := s.standing(ctx, Default)
		violations = append(violations, oracle.Same(s.stood, standing)...)
	}
	for _, o := range s.operators {
		violations = append(violations, o.sound(ctx)...)
	}
	if len(violations) > 0 {
		AddReportEntry(what, history.String(), ReportEntryVisibilityFailureOrVerbose)
	}
	judged(what, violations)
}
