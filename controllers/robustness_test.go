// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"net/http"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// TestRow31NamespaceTerminating: what can't be created because all is about to go is neither reported nor tried again.
func TestRow31NamespaceTerminating(t *testing.T) {
	world := newWorld(t)
	refused := apierrors.NewForbidden(envoyFilters, "auth-config", errors.New("the namespace is being terminated"))
	refused.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause, Message: "namespace shop is being terminated"}}
	world.childErr = refused
	if result, err := world.reconcile(); err != nil || result.RequeueAfter != 0 {
		t.Errorf("looks again: %v, %v", result, err)
	}
	if world.status != nil || len(world.events) > 0 {
		t.Errorf("reports %v", world.status)
	}
}

// TestRow45OtherVersions: another version of the operator, which renders otherwise, writes each child once; so does the one
// before when it comes back; and neither writes again.
func TestRow45OtherVersions(t *testing.T) {
	world := newWorld(t)
	world.reconciler.Renderer = "older"
	world.mustReconcile()
	for _, renderer := range []string{"newer", "older", "newer"} {
		world.reconciler.Renderer = renderer
		world.restart()
		world.writes = nil
		world.mustReconcile()
		want := []string{"EnvoyFilter auth-config", "EnvoyFilter auth-filter"}
		if !slices.Equal(world.writes, want) {
			t.Errorf("%s writes %q, want %q", renderer, world.writes, want)
		}
		for range 3 {
			world.writes = nil
			if world.mustReconcile(); len(world.writes) > 0 {
				t.Errorf("%s writes again: %q", renderer, world.writes)
			}
			world.restart()
		}
	}
}

// TestRow32StatusRefused: whatever becomes of the status, the children stand, and are not written again with it.
func TestRow32StatusRefused(t *testing.T) {
	plugins := schema.GroupResource{Group: "wasm.solarmesh.io", Resource: "wasmplugins"}
	invalid := apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "patch", envoyFilters, "auth", "no", 0, true)
	for name, refusal := range map[string]error{
		"404": apierrors.NewNotFound(plugins, "auth"), "409": apierrors.NewConflict(plugins, "auth", errors.New("old")), "422": invalid,
	} {
		t.Run(name, func(t *testing.T) {
			world := newWorld(t)
			world.statusErr = refusal
			for range 3 {
				result, err := world.reconcile()
				if err == nil && result.IsZero() {
					t.Error("isn't tried again")
				}
			}
			if want := []string{"EnvoyFilter auth-config", "EnvoyFilter auth-filter"}; !slices.Equal(world.writes, want) {
				t.Errorf("writes %q, want %q", world.writes, want)
			}
			world.statusErr = nil
			if world.mustReconcile(); world.status == nil || len(world.writes) != 3 {
				t.Errorf("the status comes by %q", world.writes)
			}
		})
	}
}
