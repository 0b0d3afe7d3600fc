// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"maps"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// FuzzReconcile: whatever a plugin says, and whatever stands under its names, a reconcile writes the rendered pair or
// nothing, touches nobody else's object, says which it was, and the next one writes nothing.
func FuzzReconcile(f *testing.F) {
	f.Add("https://plugins.example.com/a.wasm", `{"a":[1]}`, "shop.example.com", []byte{0, 1, 2, 3, 4, 5, 6, 7}, []byte{1, 0, 1, 2})
	f.Add("oci://h:5000/a:1", `{"a":`, "*", []byte{255, 254, 7, 9}, []byte{2, 3})
	f.Add("http://u:p@h/", "", "\x1b[31m\u202e", []byte{4}, []byte{9, 8, 7, 6, 5, 4, 3, 2, 1, 0})
	f.Add("https://h/a", "{}", "x", []byte{0, 0, 64, 0}, []byte{5, 11, 6, 4, 12})
	f.Fuzz(reconcileFuzzed)
}

func reconcileFuzzed(t *testing.T, url, rules, text string, spec, standing []byte) {
	world := newFuzzedWorld(t)
	fields := choices{spec}
	world.plugin.Spec = fields.spec("https://plugins.example.com/before.wasm", `{"b":1}`, "before.example.com")
	world.mustReconcile() // so that some are its own
	foreign := world.disturb(choices{standing})
	world.plugin.Spec = fields.spec(strings.ToValidUTF8(url, "?"), rules, strings.ToValidUTF8(text, "?"))
	world.plugin.Generation++
	world.plugin.ResourceVersion = world.nextVersion()
	world.restart()
	before := world.snapshot()
	specs := maps.Clone(world.specs)
	world.drain()
	world.mustReconcile()
	world.checkForeign(before, specs, foreign)
	world.checkOutcome(before, specs, foreign)
	world.checkWords()
	world.drain()
	for range 2 {
		if world.mustReconcile(); len(world.writes) > 0 {
			t.Errorf("it writes again: %q", world.writes)
		}
		world.restart()
	}
}

// choices turns bytes into decisions; when they are used up, all are 0.
type choices struct{ left []byte }

func (c *choices) next(below int) int {
	if len(c.left) == 0 {
		return 0
	}
	first := c.left[0]
	c.left = c.left[1:]
	return int(first) % below
}

// pick returns one of some values, of which the last is a bad one.
func pick[T any](c *choices, bad bool, values ...T) T {
	if !bad {
		values = values[:len(values)-1]
	}
	return values[c.next(len(values))]
}

// spec is one with good values, and bad ones where the choice is so.
func (c *choices) spec(url, rules, text string) wasmv1alpha1.WasmPluginSpec {
	bad := c.next(8) == 7
	priority := pick[int32](c, bad, 0, -1000, 10, 1000, 1001)
	spec := wasmv1alpha1.WasmPluginSpec{
		URL: url, Priority: &priority, PluginName: pick(c, bad, "", "auth", text),
		Phase:        pick[wasmv1alpha1.Phase](c, bad, "", "AUTHN", "STATS", "x"),
		Type:         pick[wasmv1alpha1.PluginType](c, bad, "", "HTTP", "", "NETWORK"), // which takes no overrides
		FailStrategy: pick[wasmv1alpha1.FailStrategy](c, bad, "", "FAIL_OPEN", "FAIL_RELOAD", "x"),
		Activation:   wasmv1alpha1.Activation{Mode: pick[wasmv1alpha1.ActivationMode](c, bad, "", "Off", "Immediate", "x")},
		ProxyVersion: wasmv1alpha1.ProxyVersion{Minimum: pick(c, bad, "", "1.25", text)},
		Match:        []wasmv1alpha1.TrafficSelector{{Context: pick[wasmv1alpha1.Context](c, bad, "", "ANY", "GATEWAY", "SIDECAR_INBOUND")}},
		Selector: wasmv1alpha1.WorkloadSelector{MatchLabels: map[string]wasmv1alpha1.LabelValue{
			"istio": wasmv1alpha1.LabelValue(pick(c, bad, "gateway", text)),
		}},
	}
	if json.Valid([]byte(rules)) { // the API server takes nothing else
		spec.Rules = &apiextensionsv1.JSON{Raw: []byte(rules)}
	}
	for range c.next(4) {
		spec.Overrides = append(spec.Overrides, wasmv1alpha1.Override{
			Match: wasmv1alpha1.OverrideMatch{Hosts: []string{pick(c, bad, "", text) + strconv.Itoa(c.next(16)) + ".example.com"}},
			Mode:  wasmv1alpha1.OverrideDisable,
		})
	}
	return spec
}

// fuzzedWorld keeps of an object what an apply leaves alone.
type fuzzedWorld struct{ *world }

func newFuzzedWorld(t *testing.T) *fuzzedWorld {
	t.Helper()
	w := &fuzzedWorld{newWorld(t)}
	writer, ok := w.reconciler.Client.(client.WithWatch)
	live, isLive := w.reconciler.Live.(client.WithWatch)
	if !ok || !isLive {
		t.Fatalf("the clients are %T, %T", w.reconciler.Client, w.reconciler.Live)
	}
	w.reconciler.Client = interceptor.NewClient(writer, interceptor.Funcs{Patch: w.patch})
	w.reconciler.Live = interceptor.NewClient(live, interceptor.Funcs{Get: w.getLive})
	return w
}

func (w *fuzzedWorld) patch(ctx context.Context, c client.WithWatch, object client.Object, patch client.Patch, options ...client.PatchOption) error {
	before := w.children[object.GetName()]
	if err := c.Patch(ctx, object, patch, options...); err != nil || before == nil {
		return err
	}
	after := w.children[object.GetName()]
	after.UID, after.DeletionTimestamp, after.Finalizers = before.UID, before.DeletionTimestamp, before.Finalizers
	for key, value := range before.Labels {
		if strings.HasPrefix(key, "theirs") {
			after.Labels[key] = value
		}
	}
	into, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		w.t.Fatalf("patches %T", object)
	}
	after.DeepCopyInto(into)
	return nil
}

func (w *fuzzedWorld) getLive(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	into, ok := object.(*unstructured.Unstructured)
	if !ok || w.children[key.Name] == nil {
		return c.Get(ctx, key, object, options...)
	}
	raw, err := json.Marshal(w.children[key.Name])
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, &into.Object); err != nil {
		return err
	}
	into.Object["spec"] = w.specs[key.Name]
	return nil
}

// disturb lets others change what stands. It returns the names of which the object is not the plugin's.
func (w *fuzzedWorld) disturb(choose choices) map[string]bool {
	foreign := map[string]bool{}
	for _, role := range translate.AllRoles {
		name := translate.EnvoyFilterName("auth", role)
		child := partial(translate.EnvoyFilterKind)
		child.Namespace, child.Name, child.UID, child.Generation, child.ResourceVersion = "shop", name, "theirs", 1, w.nextVersion()
		if own := w.children[name]; own != nil && choose.next(4) > 0 {
			child = own.DeepCopy()
			child.ResourceVersion = w.nextVersion()
			foreign[name] = w.edit(child, choose.next(12))
		} else if choose.next(2) == 0 {
			delete(w.children, name)
			delete(w.specs, name)
			continue
		} else {
			// With labels that anybody may copy, but no trace of an owner that was a plugin.
			child.Labels = maps.Clone([]map[string]string{nil, translate.Labels(w.plugin, role)}[choose.next(2)])
			w.specs[name], foreign[name] = map[string]any{"priority": 1.0}, true
		}
		w.children[name] = child
	}
	return foreign
}

// edit changes an EnvoyFilter of the plugin's, and says whether it isn't any more.
func (w *fuzzedWorld) edit(child *metav1.PartialObjectMetadata, how int) bool {
	controller := true
	switch how {
	case 1:
		child.OwnerReferences = nil
	case 2:
		child.Labels["theirs"] = "x"
	case 3:
		child.Generation++
		w.specs[child.Name] = map[string]any{"priority": 1.0}
	case 4:
		delete(child.Annotations, wasmv1alpha1.AnnotationHash)
	case 5:
		child.DeletionTimestamp, child.Finalizers = &metav1.Time{Time: time.Now()}, []string{"example.com/held"}
		child.Generation++
	case 6:
		child.OwnerReferences[0].UID, child.Annotations[wasmv1alpha1.AnnotationPluginUID] = "earlier", "earlier"
	case 7:
		child.Annotations[wasmv1alpha1.AnnotationInstances] = "deadbeef x"
	case 8:
		child.Annotations[wasmv1alpha1.AnnotationPluginGeneration] = "99-x"
	case 9:
		child.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: "auth", UID: "d", Controller: &controller}}
		return true
	case 10:
		child.OwnerReferences, child.Labels = nil, nil
		return true
	case 11:
		child.OwnerReferences, child.Annotations = nil, nil
		return true
	}
	return false
}

// checkForeign: what isn't the plugin's is as it was, and so is what stands under no name of its pair.
func (w *fuzzedWorld) checkForeign(before *snapshot, specs map[string]any, foreign map[string]bool) {
	w.t.Helper()
	for name, was := range before.children {
		inPair := name == "auth-config" || name == "auth-filter"
		if inPair && !foreign[name] {
			continue
		}
		if !reflect.DeepEqual(w.children[name], was) || !reflect.DeepEqual(w.specs[name], specs[name]) {
			w.t.Errorf("%s was changed, writes %q", name, w.writes)
		}
	}
}

// checkOutcome: the pair stands as rendered, or nothing was written; and the status says which.
func (w *fuzzedWorld) checkOutcome(before *snapshot, specs map[string]any, foreign map[string]bool) {
	w.t.Helper()
	accepted, applied := w.condition(wasmv1alpha1.ConditionAccepted), w.condition(wasmv1alpha1.ConditionApplied)
	pair, err := translate.Translate(translate.Input{Plugin: w.plugin, Options: w.reconciler.Options})
	if (err == nil) != (accepted.Status == metav1.ConditionTrue) {
		w.t.Fatalf("Accepted is %s, %s, but: %v", accepted.Status, accepted.Message, err)
	}
	conflict := foreign["auth-config"] || foreign["auth-filter"]
	if err != nil {
		w.checkOff(before, specs, foreign)
	}
	if err != nil || conflict {
		if !reflect.DeepEqual(w.children, before.children) || !reflect.DeepEqual(w.specs, specs) {
			w.t.Errorf("writes %q", w.writes)
		}
		if err == nil && applied.Reason != wasmv1alpha1.ReasonConflict {
			w.t.Errorf("Applied is %s %s", applied.Status, applied.Reason)
		}
		return
	}
	held := false
	for _, half := range pair.EnvoyFilters() {
		child := w.children[half.Name]
		if child == nil || !metav1.IsControlledBy(child, w.plugin) || !reflect.DeepEqual(w.specs[half.Name], decodedSpec(w.t, half)) {
			w.t.Fatalf("%s isn't as rendered, writes %q", half.Name, w.writes)
		}
		held = held || child.DeletionTimestamp != nil
	}
	if held != (applied.Reason == wasmv1alpha1.ReasonDeleting) || held == (applied.Status == metav1.ConditionTrue) {
		w.t.Errorf("held: %t, Applied is %s %s", held, applied.Status, applied.Reason)
	}
}

func decodedSpec(t *testing.T, half translate.EnvoyFilter) any {
	t.Helper()
	raw, err := json.Marshal(half.Object.Object["spec"])
	if err != nil {
		t.Fatal(err)
	}
	var spec any
	if err := json.Unmarshal(raw, &spec); err != nil {
		t.Fatal(err)
	}
	return spec
}

// checkWords: what a user wrote reaches no terminal as more than text.
func (w *fuzzedWorld) checkWords() {
	w.t.Helper()
	for _, condition := range w.status.Conditions {
		if len(condition.Message) > 4<<10 || strings.ContainsFunc(condition.Message, hidden) {
			w.t.Errorf("%s says %q", condition.Type, condition.Message)
		}
	}
}

// hidden tells what moves a terminal's cursor, or turns the direction of what follows.
func hidden(char rune) bool { return unicode.IsControl(char) || unicode.Is(unicode.Cf, char) }

// drain takes away the events, of which few fit, and what was written.
func (w *fuzzedWorld) drain() {
	w.writes = nil
	for {
		select {
		case event := <-w.events:
			if strings.ContainsFunc(event, hidden) {
				w.t.Errorf("event %q", event)
			}
		default:
			return
		}
	}
}
