// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// TestGoneIsLookedAtAgain: a 404 may come from what stands before the API server, and no event follows it.
func TestGoneIsLookedAtAgain(t *testing.T) {
	for what, lose := range map[string]func(*world){
		"the spec": func(w *world) { w.goneLive = true },
		"the status": func(w *world) {
			w.statusErr = apierrors.NewNotFound(schema.GroupResource{Resource: "wasmplugins"}, "auth")
		},
	} {
		t.Run(what, func(t *testing.T) {
			world := newWorld(t)
			lose(world)
			if result, err := world.reconcile(); err != nil || result.RequeueAfter != cachePatience {
				t.Errorf("looks again in %s, %v", result.RequeueAfter, err)
			}
			world.goneLive, world.statusErr = false, nil
			if world.mustReconcile(); world.status == nil {
				t.Error("has no status then")
			}
		})
	}
}

// TestGoneIsForgotten: a plugin that is deleted before the cache shows what was written to it leaves nothing in memory.
func TestGoneIsForgotten(t *testing.T) {
	world := newWorld(t)
	world.mustReconcile()
	if len(world.reconciler.written.byPlugin) != 1 {
		t.Fatal("no write is remembered")
	}
	world.plugin = nil
	if world.mustReconcile(); len(world.reconciler.written.byPlugin) != 0 {
		t.Error("the write is still remembered")
	}
}
