// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/solarmesh/wasmplugin-operator/internal/module"
)

// TestTurn: whoever waits for a turn has not failed, asks again soon, and doesn't wait longer for it once it did fail.
func TestTurn(t *testing.T) {
	inJobWorld(t, func(w *jobWorld) {
		w.answer = failure(module.Busy, true, 2*time.Second)
		found := w.settle("a")
		for range 12 {
			if !found.resolving || found.Failure != nil || found.wait <= 0 || found.wait > firstAttempt+firstAttempt/5 {
				t.Fatalf("got %+v", found)
			}
			for before := w.attempts; w.attempts == before; synctest.Wait() {
				pass(found.wait)
				found = w.ask("a")
			}
			if woken := w.take(); len(woken) != 1 {
				t.Fatalf("woken %v", woken)
			}
			if found = w.ask("a"); found.quiet {
				t.Errorf("still not worth telling: %+v", found)
			}
		}
		w.answer = failure(module.Unreachable, true, 0)
		for before := w.attempts; w.attempts == before; synctest.Wait() {
			pass(found.wait)
			w.ask("a")
		}
		if found = w.ask("a"); found.resolving || found.Failure == nil || found.wait > firstAttempt+firstAttempt/5 {
			t.Errorf("got %+v", found)
		}
	})
}
