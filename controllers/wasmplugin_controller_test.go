// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

var envoyFilters = schema.GroupResource{Group: "networking.istio.io", Resource: "envoyfilters"}

// TestWriteErrors answers the write of an EnvoyFilter with each error that an API server gives, and expects what the
// user is told and whether it is tried again.
func TestWriteErrors(t *testing.T) {
	kind := translate.EnvoyFilterKind.GroupKind()
	tests := map[string]struct {
		err    error
		reason string // of Applied; empty where nothing is reported
		retry  bool
	}{
		"400":                       {apierrors.NewBadRequest("admission webhook denied the request"), wasmv1alpha1.ReasonRefused, false},
		"401":                       {apierrors.NewUnauthorized("no"), wasmv1alpha1.ReasonApplyFailed, true},
		"403":                       {apierrors.NewForbidden(envoyFilters, "auth-config", errors.New("no")), wasmv1alpha1.ReasonApplyFailed, true},
		"404":                       {apierrors.NewNotFound(envoyFilters, "auth-config"), wasmv1alpha1.ReasonApplyFailed, true},
		"409, a stale precondition": {apierrors.NewConflict(envoyFilters, "auth-config", errors.New("old")), "", true},
		"409, another's field": {apierrors.NewApplyConflict([]metav1.StatusCause{{
			Type: metav1.CauseTypeFieldManagerConflict, Message: "conflict with \"kubectl\"", Field: ".spec.configPatches",
		}}, "conflict"), wasmv1alpha1.ReasonConflict, false},
		"413":                {apierrors.NewRequestEntityTooLargeError("too large"), wasmv1alpha1.ReasonRefused, false},
		"422":                {apierrors.NewInvalid(kind, "auth-config", nil), wasmv1alpha1.ReasonRefused, false},
		"429":                {apierrors.NewTooManyRequests("later", 1), wasmv1alpha1.ReasonApplyFailed, true},
		"500":                {apierrors.NewInternalError(errors.New("etcdserver: no leader")), wasmv1alpha1.ReasonApplyFailed, true},
		"503":                {apierrors.NewServiceUnavailable("down"), wasmv1alpha1.ReasonApplyFailed, true},
		"504":                {apierrors.NewServerTimeout(envoyFilters, "patch", 1), wasmv1alpha1.ReasonApplyFailed, true},
		"connection refused": {errors.New("dial tcp: connection refused"), wasmv1alpha1.ReasonApplyFailed, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			world := newWorld(t)
			world.childErr = test.err
			result, err := world.reconcile()
			if (err != nil) != test.retry {
				t.Errorf("returns %v, want an error: %t", err, test.retry)
			}
			if test.reason == "" {
				if world.status != nil {
					t.Errorf("reports %s", world.condition(wasmv1alpha1.ConditionApplied).Reason)
				}
				return
			}
			applied, ready := world.condition(wasmv1alpha1.ConditionApplied), world.condition(wasmv1alpha1.ConditionReady)
			if applied.Status != metav1.ConditionFalse || applied.Reason != test.reason || ready.Reason != test.reason {
				t.Errorf("Applied %s %s, Ready %s", applied.Status, applied.Reason, ready.Reason)
			}
			if refused := test.reason == wasmv1alpha1.ReasonRefused; refused != (result.RequeueAfter >= refusedRetry) {
				t.Errorf("looks again after %s", result.RequeueAfter)
			}
			if event := <-world.events; !strings.Contains(event, "Warning "+test.reason) {
				t.Errorf("event %q", event)
			}
		})
	}
}

func TestRefusalIsMasked(t *testing.T) {
	world := newWorld(t)
	world.childErr = apierrors.NewBadRequest(`denied: "credentials":["ok:test"]`)
	if _, err := world.reconcile(); err != nil {
		t.Fatal(err)
	}
	for _, condition := range world.status.Conditions {
		if strings.Contains(condition.Message, "ok:test") {
			t.Errorf("%s tells a credential: %s", condition.Type, condition.Message)
		}
	}
	if event := <-world.events; strings.Contains(event, "ok:test") || !strings.Contains(event, "***") {
		t.Errorf("event %s", event)
	}
}

func TestStatusWriteErrors(t *testing.T) {
	tests := map[string]struct {
		err   error
		retry bool
	}{
		"the plugin went": {apierrors.NewNotFound(schema.GroupResource{Resource: "wasmplugins"}, "auth"), false},
		"it was touched":  {apierrors.NewConflict(schema.GroupResource{Resource: "wasmplugins"}, "auth", errors.New("the object has been modified")), false},
		"server error":    {apierrors.NewInternalError(errors.New("x")), true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			world := newWorld(t)
			world.statusErr = test.err
			result, err := world.reconcile()
			if (err != nil) != test.retry || (err == nil && result.IsZero()) {
				t.Errorf("returns %v and looks again by %v, want an error: %t", err, result, test.retry)
			}
			if len(world.children) != 2 {
				t.Errorf("%d children stand", len(world.children))
			}
			select {
			case event := <-world.events:
				t.Errorf("an event without a status: %s", event)
			default:
			}
		})
	}
}

func TestApplyErrorAndStatusErrorAreBothReturned(t *testing.T) {
	world := newWorld(t)
	world.childErr = apierrors.NewInternalError(errors.New("first"))
	world.statusErr = apierrors.NewInternalError(errors.New("second"))
	_, err := world.reconcile()
	if err == nil || !strings.Contains(err.Error(), "first") || !strings.Contains(err.Error(), "second") {
		t.Errorf("returns %v", err)
	}
}

func TestNothingToDo(t *testing.T) {
	tests := map[string]func(*world){
		"the plugin is gone":                func(w *world) { w.plugin = nil },
		"the plugin is being deleted":       func(w *world) { w.plugin.DeletionTimestamp = &metav1.Time{Time: time.Now()} },
		"the plugin goes before it is read": func(w *world) { w.goneLive = true },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			world := newWorld(t)
			change(world)
			if _, err := world.reconcile(); err != nil {
				t.Error(err)
			}
			if len(world.writes) > 0 {
				t.Errorf("writes %v", world.writes)
			}
		})
	}
}

func TestReadErrors(t *testing.T) {
	for _, kind := range []string{translate.PluginKind.Kind, translate.EnvoyFilterKind.Kind} {
		world := newWorld(t)
		world.readErr = map[string]error{kind: errors.New("the cache is gone")}
		if _, err := world.reconcile(); err == nil || len(world.writes) > 0 {
			t.Errorf("%s: returns %v, writes %v", kind, err, world.writes)
		}
	}
}

func TestWritesOnce(t *testing.T) {
	world := newWorld(t)
	world.mustReconcile()
	want := []string{"EnvoyFilter auth-config", "EnvoyFilter auth-filter", "status"}
	if !slices.Equal(world.writes, want) {
		t.Errorf("writes %v, want %v", world.writes, want)
	}
	reads := world.liveReads
	world.mustReconcile()
	if len(world.writes) != len(want) || world.liveReads != reads {
		t.Errorf("a second time it writes %v and reads %d specs", world.writes[len(want):], world.liveReads-reads)
	}
}

// TestStaleCache lets a reconcile see the world as it was before the last one's writes.
func TestStaleCache(t *testing.T) {
	world := newWorld(t)
	before := world.snapshot()
	world.mustReconcile()
	writes := len(world.writes)
	world.cached = before
	if result := world.mustReconcile(); result.RequeueAfter == 0 || len(world.writes) > writes {
		t.Errorf("waits %s and writes %v", result.RequeueAfter, world.writes[writes:])
	}
	world.cached = nil
	if result := world.mustReconcile(); result.RequeueAfter != 0 || len(world.writes) > writes {
		t.Errorf("waits %s and writes %v", result.RequeueAfter, world.writes[writes:])
	}
}

func TestPluginsOf(t *testing.T) {
	controlledBy := func(apiVersion, kind, name string) []metav1.OwnerReference {
		yes := true
		return []metav1.OwnerReference{{APIVersion: apiVersion, Kind: kind, Name: name, Controller: &yes}}
	}
	ours := wasmv1alpha1.SchemeGroupVersion.String()
	tests := map[string]struct {
		name   string
		owners []metav1.OwnerReference
		want   []string
	}{
		"ours":                      {"auth-config", controlledBy(ours, "WasmPlugin", "auth"), []string{"auth"}},
		"ours without its owner":    {"auth-filter", nil, []string{"auth"}},
		"another's of our name":     {"auth-filter", controlledBy("apps/v1", "Deployment", "x"), []string{"auth"}},
		"controlled, another name":  {"b-filter", controlledBy(ours, "WasmPlugin", "a"), []string{"a", "b"}},
		"Istio's kind of that name": {"x", controlledBy("extensions.istio.io/v1alpha1", "WasmPlugin", "a"), nil},
		"no name of ours":           {"gateway", nil, nil},
		"no plugin's name":          {"-config", nil, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			child := partial(translate.EnvoyFilterKind)
			child.Name, child.Namespace, child.OwnerReferences = test.name, "shop", test.owners
			var got []string
			for _, request := range pluginsOf(t.Context(), child) {
				got = append(got, request.Name)
				if request.Namespace != "shop" {
					t.Errorf("namespace %s", request.Namespace)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
