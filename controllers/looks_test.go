// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

const lookInterval = 10 * time.Minute

// TestLooks: a tag that is followed is looked at once in each interval, and never twice at once.
func TestLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks, plugin := newLooks(lookInterval), pluginNamed("auth")
		if looks.looked(plugin) {
			t.Error("was looked at before the start")
		}
		wait, due := looks.until(plugin, true)
		if due || wait <= 0 || wait > lookInterval {
			t.Fatalf("at first in %s, due %t", wait, due)
		}
		for range 5 {
			pass(wait - 1)
			if _, due := looks.until(plugin, true); due || looks.wish(plugin) != (wish{}) {
				t.Error("is looked at early")
			}
			pass(1)
			if _, due := looks.until(plugin, true); !due {
				t.Fatal("isn't looked at")
			}
			wished := looks.wish(plugin)
			if _, due := looks.until(plugin, true); !due || !wished.look || looks.wish(plugin) != wished {
				t.Errorf("wished %+v, then %+v", wished, looks.wish(plugin))
			}
			looks.done(plugin, wished, true)
			if wait, due = looks.until(plugin, true); due || wait < lookInterval*9/10 || wait > lookInterval*11/10 {
				t.Fatalf("next in %s, due %t", wait, due)
			}
		}
		if wait, due := looks.until(plugin, false); due || wait != 0 || looks.looked(plugin) {
			t.Errorf("a tag that is not followed any more: in %s, due %t", wait, due)
		}
	})
}

// TestLooksAreSpread over the interval after a start, so that a registry isn't asked for all at once.
func TestLooksAreSpread(t *testing.T) {
	looks := newLooks(lookInterval)
	thirds := map[time.Duration]int{}
	for i := range 300 {
		wait, _ := looks.until(types.NamespacedName{Name: string(rune('a' + i))}, true)
		thirds[wait/(lookInterval/3)]++
	}
	for third := range time.Duration(3) {
		if thirds[third] < 50 {
			t.Errorf("of 300 in each third of the interval: %v", thirds)
		}
	}
}

// TestFirstLook: a plugin whose module was just resolved has an interval until the next look; what is done about it for
// another reason doesn't postpone that.
func TestFirstLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks, plugin := newLooks(lookInterval), pluginNamed("auth")
		looks.done(plugin, wish{}, true)
		first, _ := looks.until(plugin, true)
		if first < lookInterval*9/10 {
			t.Errorf("in %s", first)
		}
		pass(lookInterval / 2)
		looks.done(plugin, wish{}, true)
		if wait, _ := looks.until(plugin, true); wait != first-lookInterval/2 {
			t.Errorf("then in %s, want %s", wait, first-lookInterval/2)
		}
	})
}

// TestRestoreWish: what the store lost is put back once for each time that it says so, whatever else is wished for.
func TestRestoreWish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks, plugin := newLooks(lookInterval), pluginNamed("auth")
		looks.restore(plugin)
		first := looks.wish(plugin)
		looks.restore(plugin)
		if !first.restore || first.look || looks.wish(plugin) != first {
			t.Errorf("wished %+v, then %+v", first, looks.wish(plugin))
		}
		if _, due := looks.until(plugin, false); !due {
			t.Error("a tag that isn't followed is not restored")
		}
		looks.done(plugin, first, false)
		if _, due := looks.until(plugin, false); due {
			t.Error("is restored again and again")
		}

		wait, _ := looks.until(plugin, true)
		pass(wait)
		looks.until(plugin, true)
		look := looks.wish(plugin)
		looks.restore(plugin)
		both := looks.wish(plugin)
		looks.done(plugin, look, true)
		if !both.look || !both.restore || both.number == look.number || looks.wish(plugin) != both {
			t.Errorf("what came meanwhile: %+v, of which %+v is left", both, looks.wish(plugin))
		}
		looks.forget(plugin)
		if looks.wish(plugin) != (wish{}) || looks.looked(plugin) {
			t.Error("remembers a plugin that is gone")
		}
	})
}
