// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/apply"
	"github.com/solarmesh/wasmplugin-operator/internal/status"
)

var standing = []wasmv1alpha1.EnvoyFilterStatus{
	{Name: "auth-config", Role: wasmv1alpha1.EnvoyFilterConfig, Hash: "0123456789abcdef"},
	{Name: "auth-filter", Role: wasmv1alpha1.EnvoyFilterFilter, Hash: "fedcba9876543210-3"},
}

// stranger is what the API server says of somebody who changed fields of the status.
func stranger(fields string) metav1.ManagedFieldsEntry {
	set := &metav1.FieldsV1{}
	set.SetRawBytes([]byte(fields))
	return metav1.ManagedFieldsEntry{Manager: "somebody", Operation: metav1.ManagedFieldsOperationUpdate, Subresource: "status", FieldsV1: set}
}

func observed(accepted, applied status.Verdict) status.Observation {
	return status.Observation{Generation: 3, Accepted: accepted, Applied: applied, EnvoyFilters: standing, Delivery: wasmv1alpha1.DeliveryDirect}
}

// TestReported: whether metadata say that the status is as it was written, and that nothing is left to do.
func TestReported(t *testing.T) {
	well := observed(status.Accepted(nil), status.Applied())
	for name, test := range map[string]struct {
		observation status.Observation
		others      []string
		want        bool
	}{
		"well":                       {observation: well, want: true},
		"stalled":                    {observation: observed(status.Rejected(wasmv1alpha1.ReasonReferenceNotFound, "x", true), status.NotApplied(true))},
		"reconciling":                {observation: observed(status.Accepted(nil), status.ApplyFailed(wasmv1alpha1.ReasonApplyFailed, "x", true))},
		"a condition beside ours":    {observation: well, others: []string{`{"f:status":{"f:conditions":{"k:{\"type\":\"Other\"}":{".":{},"f:type":{}}}}}`}},
		"an EnvoyFilter beside ours": {observation: well, others: []string{`{"f:status":{"f:envoyFilters":{"k:{\"hash\":\"a\",\"name\":\"b\"}":{".":{}}}}}`}},
		"a field beside ours":        {observation: well, others: []string{`{"f:status":{"f:module":{".":{},"f:digest":{}}}}`}},
		"a field below ours":         {observation: well, others: []string{`{"f:status":{"f:activation":{"f:message":{}}}}`}},
		"the second of two":          {observation: well, others: []string{`{"f:status":{}}`, `{"f:status":{"f:module":{"f:abi":{}}}}`}},
		// Its value is ours, or it would not be ours.
		"a field of ours that another has too": {observation: well, others: []string{`{"f:status":{"f:delivery":{}}}`}, want: true},
		"a list that another made":             {observation: well, others: []string{`{"f:status":{".":{},"f:conditions":{".":{}}}}`}, want: true},
		"no status":                            {observation: well, others: []string{`{"f:metadata":{"f:labels":{}}}`}, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			plugin := partial(schema.GroupVersionKind{})
			plugin.UID, plugin.Generation = "uid", 3
			plugin.ManagedFields = []metav1.ManagedFieldsEntry{managedStatus(t, status.Of(test.observation, wasmv1alpha1.WasmPluginStatus{}, metav1.Now()))}
			for _, fields := range test.others {
				plugin.ManagedFields = append(plugin.ManagedFields, stranger(fields))
			}
			raw := toldBy(plugin)
			trimmed, err := trimPlugin(plugin)
			if err == nil {
				trimmed, err = trimPlugin(trimmed) // as client-go does
			}
			if err != nil {
				t.Fatal(err)
			}
			owner := apply.Owner{PartialObjectMetadata: trimmed.(*metav1.PartialObjectMetadata)}
			if kept := toldBy(owner.PartialObjectMetadata); kept.String() != raw.String() || owner.ManagedFields != nil {
				t.Errorf("kept %q of %q", kept, raw)
			}
			children := apply.Children{}
			for _, child := range standing {
				hash, stamp, _ := strings.Cut(child.Hash, "-")
				children[child.Role] = &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
					Name:            child.Name,
					OwnerReferences: []metav1.OwnerReference{{UID: "uid", Controller: new(true)}},
					Annotations:     map[string]string{wasmv1alpha1.AnnotationHash: hash, wasmv1alpha1.AnnotationPluginGeneration: stamp},
				}}
			}
			if got := reported(owner, children); got != test.want {
				t.Errorf("reported: %t, want %t", got, test.want)
			}
		})
	}
}

// statusServer answers patches of one plugin's status, to which others may have added.
type statusServer struct {
	t       *testing.T
	others  []metav1.ManagedFieldsEntry
	patches []types.PatchType
	last    string
	err     error
	// another has it answer with another object.
	another bool
}

func (s *statusServer) patch(_ context.Context, _ client.Client, _ string, object client.Object, patch client.Patch, _ ...client.SubResourcePatchOption) error {
	raw, err := patch.Data(object)
	if err != nil {
		s.t.Fatal(err)
	}
	s.patches, s.last = append(s.patches, patch.Type()), string(raw)
	object.SetUID("uid")
	if s.another {
		object.SetUID("another")
	}
	if patch.Type() == types.JSONPatchType {
		if s.err != nil {
			return s.err
		}
		s.others = nil
		return nil
	}
	applied := &wasmv1alpha1.WasmPlugin{}
	if err := json.Unmarshal(raw, applied); err != nil {
		s.t.Fatal(err)
	}
	object.SetResourceVersion("17")
	object.SetManagedFields(append([]metav1.ManagedFieldsEntry{managedStatus(s.t, applied.Status)}, s.others...))
	return nil
}

// reconciler writes its statuses to the server.
func (s *statusServer) reconciler() *WasmPluginReconciler {
	s.t.Helper()
	scheme := runtime.NewScheme()
	if err := wasmv1alpha1.AddToScheme(scheme); err != nil {
		s.t.Fatal(err)
	}
	return &WasmPluginReconciler{
		Client:   interceptor.NewClient(fake.NewClientBuilder().WithScheme(scheme).Build(), interceptor.Funcs{SubResourcePatch: s.patch}),
		Recorder: events.NewFakeRecorder(10),
	}
}

// TestEviction: what a stranger added goes, with one patch of the version that was seen, at most so often.
func TestEviction(t *testing.T) {
	server := &statusServer{t: t}
	reconciler := server.reconciler()
	plugin := &wasmv1alpha1.WasmPlugin{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "auth", UID: "uid"}}
	report := func() (time.Duration, error) {
		return reconciler.report(t.Context(), plugin, observed(status.Accepted(nil), status.Applied()), false)
	}
	addition := []metav1.ManagedFieldsEntry{stranger(`{"f:status":{"f:module":{"f:digest":{}}}}`)}

	if wait, err := report(); wait != 0 || err != nil || !slices.Equal(server.patches, []types.PatchType{types.ApplyPatchType}) {
		t.Errorf("without a stranger: waits %s, patches %v, %v", wait, server.patches, err)
	}
	server.others, server.patches = addition, nil
	if wait, err := report(); wait != 0 || err != nil || !slices.Equal(server.patches, []types.PatchType{types.ApplyPatchType, types.JSONPatchType}) {
		t.Errorf("with a stranger: waits %s, patches %v, %v", wait, server.patches, err)
	}
	if !strings.Contains(server.last, `"path":"/metadata/resourceVersion","value":"17"`) {
		t.Errorf("the patch is for any version: %s", server.last)
	}
	reconciler.evictions.byPlugin[client.ObjectKeyFromObject(plugin)] = eviction{time.Now(), lastRetry}
	server.others, server.patches = addition, nil
	if wait, err := report(); wait == 0 || err != nil || slices.Contains(server.patches, types.JSONPatchType) {
		t.Errorf("again, at once: waits %s, patches %v, %v", wait, server.patches, err)
	}

	reconciler.evictions = evictions{}
	server.err = apierrors.NewConflict(schema.GroupResource{Resource: "wasmplugins"}, "auth", errors.New("old"))
	if _, err := report(); !apierrors.IsConflict(err) || reconciler.evictions.wait(client.ObjectKeyFromObject(plugin), time.Now()) > 0 {
		t.Errorf("returns %v for a version that is old", err)
	}
}

func TestEvictionsSlowDown(t *testing.T) {
	var e evictions
	plugin, other := types.NamespacedName{Namespace: "shop", Name: "auth"}, types.NamespacedName{Namespace: "shop", Name: "other"}
	now := time.Unix(1700000000, 0)
	if wait := e.wait(plugin, now); wait > 0 {
		t.Errorf("the first waits %s", wait)
	}
	count := 0
	for start := now; now.Sub(start) < time.Hour; count++ {
		e.done(plugin, now)
		now = now.Add(e.wait(plugin, now))
	}
	if count > 100 {
		t.Errorf("%d in an hour", count)
	}
	if wait := e.wait(other, now); wait > 0 {
		t.Errorf("another plugin waits %s", wait)
	}
	now = now.Add(time.Hour)
	e.done(other, now)
	if len(e.byPlugin) != 1 {
		t.Errorf("remembers %v for good", e.byPlugin)
	}
	if e.done(plugin, now); e.wait(plugin, now) > firstRetry {
		t.Errorf("waits %s after an hour of peace", e.wait(plugin, now))
	}
}
