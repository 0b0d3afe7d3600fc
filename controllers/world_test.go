// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// world is an API server with one plugin that answers as it is told. What a real one does is asserted in test/envtest.
type world struct {
	t        *testing.T
	plugin   *wasmv1alpha1.WasmPlugin
	children map[string]*metav1.PartialObjectMetadata
	specs    map[string]any // the children's
	status   *wasmv1alpha1.WasmPluginStatus
	// cached is what the cache shows where it lags behind.
	cached *snapshot
	// goneLive deletes the plugin between the cache and the API server.
	goneLive            bool
	readErr             map[string]error
	childErr, statusErr error

	writes          []string
	liveReads       int
	resourceVersion atomic.Int64
	events          chan string
	reconciler      *WasmPluginReconciler
	sources         *sourceWorld
	// others are the other plugins of the cluster.
	others []metav1.PartialObjectMetadata
}

type snapshot struct {
	plugin   *wasmv1alpha1.WasmPlugin
	children map[string]*metav1.PartialObjectMetadata
}

func newWorld(t *testing.T) *world {
	t.Helper()
	plugin := &wasmv1alpha1.WasmPlugin{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "auth", UID: "uid", Generation: 1, ResourceVersion: "1"},
		Spec: wasmv1alpha1.WasmPluginSpec{
			URL:      "https://plugins.example.com/auth.wasm",
			Rules:    &apiextensionsv1.JSON{Raw: []byte(`{"basic_auth_rules":[{"credentials":["ok:test"]}]}`)},
			Selector: wasmv1alpha1.WorkloadSelector{MatchLabels: map[string]wasmv1alpha1.LabelValue{"istio": "gateway"}},
		},
	}
	w := &world{t: t, plugin: plugin, children: map[string]*metav1.PartialObjectMetadata{}, specs: map[string]any{}}
	w.resourceVersion.Store(1)
	w.sources = newSourceWorld(t, w.nextVersion)
	scheme := runtime.NewScheme()
	if err := wasmv1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	recorder := events.NewFakeRecorder(10)
	w.events = recorder.Events
	base := fake.NewClientBuilder().WithScheme(scheme).Build()
	w.reconciler = &WasmPluginReconciler{
		Client: interceptor.NewClient(base, interceptor.Funcs{
			Get: w.getCached, List: w.listCached, Patch: w.patch, SubResourcePatch: w.patchStatus,
		}),
		Live:     interceptor.NewClient(base, interceptor.Funcs{Get: w.getLive}),
		Recorder: recorder,
		Options:  translate.Options{RootNamespace: "istio-system"},
	}
	w.restart()
	return w
}

// restart forgets what the operator holds in memory.
func (w *world) restart() {
	w.reconciler.written, w.reconciler.evictions = writtenVersions{}, evictions{}
	w.reconciler.sources = newSources(w.reconciler.Live, w.sources.newWatches(), time.Hour)
}

func (w *world) reconcile() (ctrl.Result, error) {
	return w.reconciler.Reconcile(w.t.Context(), ctrl.Request{NamespacedName: w.key()})
}

func (*world) key() types.NamespacedName {
	return types.NamespacedName{Namespace: "shop", Name: "auth"}
}

func (w *world) mustReconcile() ctrl.Result {
	w.t.Helper()
	result, err := w.reconcile()
	if err != nil {
		w.t.Fatal(err)
	}
	return result
}

func (w *world) condition(conditionType string) metav1.Condition {
	w.t.Helper()
	if w.status == nil {
		w.t.Fatal("no status was written")
	}
	condition := apimeta.FindStatusCondition(w.status.Conditions, conditionType)
	if condition == nil {
		w.t.Fatalf("no condition %s", conditionType)
	}
	return *condition
}

func (w *world) snapshot() *snapshot {
	return &snapshot{plugin: w.plugin.DeepCopy(), children: maps.Clone(w.children)}
}

func (w *world) getCached(_ context.Context, _ client.WithWatch, key client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	into, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		w.t.Fatalf("reads %T from the cache", object)
	}
	seen := w.cached
	if seen == nil {
		seen = w.snapshot()
	}
	kind := into.GroupVersionKind()
	if err := w.readErr[kind.Kind]; err != nil {
		return err
	}
	switch {
	case kind == translate.PluginKind && seen.plugin != nil:
		into.ObjectMeta = *seen.plugin.ObjectMeta.DeepCopy()
	case kind == translate.EnvoyFilterKind && seen.children[key.Name] != nil:
		into.ObjectMeta = *seen.children[key.Name].ObjectMeta.DeepCopy()
	default:
		return apierrors.NewNotFound(schema.GroupResource{Resource: kind.Kind}, key.Name)
	}
	return nil
}

func (w *world) listCached(_ context.Context, _ client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
	into, ok := list.(*metav1.PartialObjectMetadataList)
	if !ok {
		w.t.Fatalf("lists %T", list)
	}
	var asked client.ListOptions
	asked.ApplyOptions(options)
	for _, plugin := range append(w.others, *metadataOf(w.plugin)) {
		if asked.FieldSelector.Matches(fields.Set{identityIndex: identityOf(&plugin)[0]}) {
			into.Items = append(into.Items, plugin)
		}
	}
	return nil
}

func (w *world) getLive(_ context.Context, _ client.WithWatch, key client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	into, ok := object.(*wasmv1alpha1.WasmPlugin)
	if !ok {
		return w.sources.get(key, object)
	}
	w.liveReads++
	if w.goneLive {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "wasmplugins"}, key.Name)
	}
	w.plugin.DeepCopyInto(into)
	return nil
}

func (w *world) patch(_ context.Context, _ client.WithWatch, object client.Object, patch client.Patch, _ ...client.PatchOption) error {
	if w.childErr != nil {
		return w.childErr
	}
	applied := &unstructured.Unstructured{}
	w.decode(patch, object, &applied.Object)
	w.writes = append(w.writes, "EnvoyFilter "+object.GetName())
	answer := partial(translate.EnvoyFilterKind)
	answer.Namespace, answer.Name, answer.UID = applied.GetNamespace(), applied.GetName(), types.UID(applied.GetName())
	answer.Labels, answer.Annotations, answer.OwnerReferences = applied.GetLabels(), applied.GetAnnotations(), applied.GetOwnerReferences()
	answer.Generation, answer.ResourceVersion = 1, w.nextVersion()
	if standing := w.children[answer.Name]; standing != nil {
		answer.Generation = standing.Generation
		if !equality.Semantic.DeepEqual(w.specs[answer.Name], applied.Object["spec"]) {
			answer.Generation++
		}
	}
	w.children[answer.Name], w.specs[answer.Name] = answer, applied.Object["spec"]
	answer.DeepCopyInto(object.(*metav1.PartialObjectMetadata))
	return nil
}

func (w *world) patchStatus(_ context.Context, _ client.Client, subResource string, object client.Object, patch client.Patch, _ ...client.SubResourcePatchOption) error {
	if subResource != "status" {
		w.t.Fatalf("patches %s", subResource)
	}
	if w.statusErr != nil {
		return w.statusErr
	}
	applied := &wasmv1alpha1.WasmPlugin{}
	w.decode(patch, object, applied)
	w.writes = append(w.writes, "status")
	w.status = &applied.Status
	w.plugin.Status = applied.Status
	w.plugin.ResourceVersion = w.nextVersion()
	w.plugin.ManagedFields = []metav1.ManagedFieldsEntry{managedStatus(w.t, applied.Status)}
	object.(*metav1.PartialObjectMetadata).ObjectMeta = *w.plugin.ObjectMeta.DeepCopy()
	return nil
}

func (w *world) decode(patch client.Patch, object client.Object, into any) {
	w.t.Helper()
	if patch.Type() != types.ApplyPatchType {
		w.t.Fatalf("patches with %s", patch.Type())
	}
	raw, err := patch.Data(object)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) nextVersion() string {
	return strconv.FormatInt(w.resourceVersion.Add(1), 10)
}

// managedStatus is what the API server makes of an apply of a status: the fields, and the keys of lists that are maps.
func managedStatus(t *testing.T, status wasmv1alpha1.WasmPluginStatus) metav1.ManagedFieldsEntry {
	t.Helper()
	owned := map[string]any{}
	var values map[string]any
	raw, err := json.Marshal(status)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &values); err != nil {
		t.Fatal(err)
	}
	for name, value := range values {
		owned["f:"+name] = managedValue(value)
	}
	raw, err = json.Marshal(map[string]any{"f:status": owned})
	if err != nil {
		t.Fatal(err)
	}
	fields := &metav1.FieldsV1{}
	fields.SetRawBytes(raw)
	return metav1.ManagedFieldsEntry{
		Manager: wasmv1alpha1.FieldManager, Operation: metav1.ManagedFieldsOperationApply, Subresource: "status", FieldsV1: fields,
	}
}

// managedValue takes an item of a list for one with keys: type, or hash and name.
func managedValue(value any) map[string]any {
	owned := map[string]any{}
	switch value := value.(type) {
	case map[string]any:
		for name, member := range value {
			owned["f:"+name] = managedValue(member)
		}
	case []any:
		for _, item := range value {
			fields, _ := item.(map[string]any)
			key := fmt.Sprintf(`k:{"type":%q}`, fields["type"])
			if fields["hash"] != nil {
				key = fmt.Sprintf(`k:{"hash":%q,"name":%q}`, fields["hash"], fields["name"])
			}
			owned[key] = managedValue(item)
		}
	}
	return owned
}
