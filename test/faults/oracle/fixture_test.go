// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

var options = translate.Options{RootNamespace: "istio-system", IstioVersion: translate.DefaultIstioVersion}

const (
	ready   = metav1.ConditionTrue
	waiting = metav1.ConditionFalse
)

// life is a history that a test makes up.
type life struct {
	t       *testing.T
	history History
	version int
}

// plugin is one of a generation with some rules. Its uid is its name, so that the next one is another.
func plugin(uid string, generation int64, rules string) *wasmv1alpha1.WasmPlugin {
	return &wasmv1alpha1.WasmPlugin{
		TypeMeta:   metav1.TypeMeta{APIVersion: translate.PluginKind.GroupVersion().String(), Kind: translate.PluginKind.Kind},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "auth", UID: types.UID(uid), Generation: generation},
		Spec: wasmv1alpha1.WasmPluginSpec{
			URL: "oci://registry.example.com/auth:1", Rules: &apiextensionsv1.JSON{Raw: []byte(`{"text":"` + rules + `"}`)},
			Selector: wasmv1alpha1.WorkloadSelector{MatchLabels: map[string]wasmv1alpha1.LabelValue{"app": "shop"}},
		},
	}
}

// reports gives a plugin a status.
func reports(plugin *wasmv1alpha1.WasmPlugin, status metav1.ConditionStatus, since int64, halves ...*unstructured.Unstructured) *wasmv1alpha1.WasmPlugin {
	plugin.Status = wasmv1alpha1.WasmPluginStatus{
		ObservedGeneration: plugin.Generation,
		Conditions: []metav1.Condition{{
			Type: wasmv1alpha1.ConditionReady, Status: status, Reason: "Some", LastTransitionTime: metav1.Unix(since, 0),
		}},
	}
	for _, half := range halves {
		plugin.Status.EnvoyFilters = append(plugin.Status.EnvoyFilters, wasmv1alpha1.EnvoyFilterStatus{
			Name: half.GetName(), Hash: half.GetAnnotations()[wasmv1alpha1.AnnotationHash] + "-1",
		})
	}
	return plugin
}

// pairOf are the halves that the operator writes.
func pairOf(t *testing.T, plugin *wasmv1alpha1.WasmPlugin) (config, filter *unstructured.Unstructured) {
	t.Helper()
	pair, err := translate.Translate(translate.Input{Plugin: plugin, Options: options})
	if err != nil {
		t.Fatal(err)
	}
	for _, half := range pair.EnvoyFilters() {
		half.Object.SetAnnotations(map[string]string{wasmv1alpha1.AnnotationHash: half.Hash})
	}
	return pair.Config.Object, pair.Filter.Object
}

// renamed is a half under another name, as a trial's.
func renamed(half *unstructured.Unstructured, end string) *unstructured.Unstructured {
	other := half.DeepCopy()
	other.SetName(half.GetName() + end)
	return other
}

func (l *life) happens(kind watch.EventType, objects ...any) *life {
	l.t.Helper()
	for _, object := range objects {
		raw, err := json.Marshal(object)
		if err != nil {
			l.t.Fatal(err)
		}
		event := Event{Type: kind, Object: &unstructured.Unstructured{}}
		if err := event.Object.UnmarshalJSON(raw); err != nil {
			l.t.Fatal(err)
		}
		l.version++
		event.Object.SetResourceVersion(strconv.Itoa(l.version))
		l.history = append(l.history, event)
	}
	return l
}

// lists has a list show what nobody saw come.
func (l *life) lists(objects ...any) *life {
	l.t.Helper()
	return l.missed(watch.Added, 0, objects...)
}

// missed has a list show what nobody saw of so many versions before, too.
func (l *life) missed(kind watch.EventType, before int, objects ...any) *life {
	l.t.Helper()
	seen, since := len(l.history), l.version-before
	l.happens(kind, objects...)
	for i := range l.history[seen:] {
		l.history[seen+i].Listed, l.history[seen+i].Since = true, uint64(since) //nolint:gosec // never negative
	}
	return l
}

func begin(t *testing.T) *life { return &life{t: t} }

// stand are objects by name.
func stand(objects ...*unstructured.Unstructured) map[string]*unstructured.Unstructured {
	found := map[string]*unstructured.Unstructured{}
	for _, object := range objects {
		found[object.GetName()] = object
	}
	return maps.Clone(found)
}

// finds asserts that there is a violation with some words, or none where words is empty.
func finds(t *testing.T, found []string, words string) {
	t.Helper()
	all := strings.Join(found, "\n")
	if (words == "") != (len(found) == 0) || !strings.Contains(all, words) {
		t.Errorf("found %q, want %q", found, words)
	}
}
