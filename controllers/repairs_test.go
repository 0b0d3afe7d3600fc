// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"
	"testing"
	"time"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

func (w *world) heard() string {
	select {
	case event := <-w.events:
		return event
	default:
		return ""
	}
}

// TestWarOverAChild: the first repairs come at once, those of a war with pauses, and a change of the spec at once again.
func TestWarOverAChild(t *testing.T) {
	for name, attack := range map[string]func(w *world){
		"edits":     func(w *world) { w.children["auth-filter"].Generation++ },
		"deletions": func(w *world) { delete(w.children, "auth-filter") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.mustReconcile()
			w.heard() // that it is ready
			var paused time.Duration
			repaired := 0
			for ; repaired < 3*quickRepairs && paused == 0; repaired++ {
				w.reconciler.written = writtenVersions{} // the cache has shown it
				attack(w)
				w.writes = nil
				if result := w.mustReconcile(); len(w.writes) == 0 {
					paused = result.RequeueAfter
				}
			}
			if paused <= 0 || paused > repairPause || repaired-1 < quickRepairs {
				t.Errorf("after %d repairs a pause of %s", repaired-1, paused)
			}
			if event := w.heard(); !strings.Contains(event, reasonContested) {
				t.Errorf("the event is %q", event)
			}
			if w.mustReconcile(); len(w.writes) != 0 || w.heard() != "" {
				t.Errorf("the pause ends early with %q, or is told twice", w.writes)
			}
			w.plugin.Generation++
			w.plugin.Spec.URL = "https://plugins.example.com/other.wasm"
			if w.mustReconcile(); len(w.writes) == 0 {
				t.Error("a change of the spec waits for the end of the war")
			}
			if reason := w.condition(wasmv1alpha1.ConditionReady).Reason; reason != wasmv1alpha1.ReasonApplied {
				t.Errorf("Ready %s", reason)
			}
		})
	}
}

func TestPeaceIsForgotten(t *testing.T) {
	w := newWorld(t)
	w.mustReconcile()
	w.children["auth-filter"].Generation++
	w.mustReconcile()
	r := &w.reconciler.repairs
	if len(r.byPlugin) != 1 {
		t.Fatalf("%d wars are known", len(r.byPlugin))
	}
	if r.forgetPeace(time.Now().Add(time.Hour)); len(r.byPlugin) != 0 {
		t.Error("a war of an hour ago is known still")
	}
}
