// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

func TestReadErrorOfASourceIsTriedAgain(t *testing.T) {
	for _, what := range []string{"ConfigMap users", "Secret creds (metadata)", "Secret creds"} {
		t.Run(what, func(t *testing.T) {
			world := newWorldWith(t, fromConfigMap("users"), fromSecret("creds"))
			world.sources.setConfigMap("users", `{}`)
			world.sources.setSecret(secretRules, true)
			world.sources.errs[what] = apierrors.NewServiceUnavailable("away")
			if _, err := world.reconcile(); !apierrors.IsServiceUnavailable(err) {
				t.Errorf("returns %v", err)
			}
			world.wantWrites()
		})
	}
}

func TestConfigMapWithoutRights(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "users", errors.New("no"))
	t.Run("to read it", func(t *testing.T) {
		world := newWorldWith(t, fromConfigMap("users"))
		world.sources.setConfigMap("users", `{}`)
		world.sources.errs["ConfigMap users"] = forbidden
		world.mustReconcile()
		world.wantRejected(wasmv1alpha1.ReasonReferenceNotPermitted, "configmaps")
	})
	t.Run("to watch it", func(t *testing.T) {
		world := newWorldWith(t, fromConfigMap("users"))
		world.sources.setConfigMap("users", `{"a":"one"}`)
		world.sources.watchErr = forbidden
		world.mustReconcile()
		world.wantReady()
		world.sources.woken()
		if result := world.mustReconcile(); result.RequeueAfter == 0 {
			t.Error("isn't looked at again")
		}
		world.sources.read()
		world.letTimePass()
		world.mustReconcile()
		world.wantReads("ConfigMap users (metadata)")
		world.sources.setConfigMap("users", `{"a":"two"}`)
		world.letTimePass()
		world.mustReconcile()
		if !world.delivers("two") {
			t.Error("the change isn't noticed")
		}
	})
}
