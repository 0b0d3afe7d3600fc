// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

func newWatchedWorld(t *testing.T) (*sourceWorld, *configMapWatches) {
	t.Helper()
	var version atomic.Int64
	world := newSourceWorld(t, func() string { return strconv.FormatInt(version.Add(1), 10) })
	return world, world.newWatches()
}

func inShop(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: "shop", Name: name}
}

// wakes waits for these plugins, in any order, and asserts that no other one is woken.
func (w *sourceWorld) wakes(want ...string) {
	w.t.Helper()
	var got []string
	for range want {
		got = append(got, w.woken())
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		w.t.Errorf("wakes %v, want %v", got, want)
	}
	if more := w.queue.Len(); more > 0 {
		w.t.Errorf("wakes %d more", more)
	}
}

func TestWatchWakesThoseThatNameIt(t *testing.T) {
	world, watches := newWatchedWorld(t)
	for _, names := range [][]string{{"one"}, {"one", "two"}} {
		watches.follow(inShop("a"), names)
		world.wakes("a") // by the first answer
	}
	watches.follow(inShop("b"), []string{"two"})
	if watched := world.watched(); !slices.Equal(watched, []string{"ConfigMap one", "ConfigMap two"}) {
		t.Errorf("watches %v", watched)
	}
	world.setConfigMap("one", "{}")
	world.wakes("a")
	world.setConfigMap("two", "{}")
	world.wakes("a", "b")
	world.setConfigMap("three", "{}")
	world.remove("ConfigMap two")
	world.wakes("a", "b")

	watches.follow(inShop("a"), []string{"one"})
	world.setConfigMap("two", "{}")
	world.wakes("b")
	watches.follow(inShop("b"), nil)
	watches.follow(inShop("a"), nil)
	if len(watches.watches)+len(watches.byPlugin) > 0 {
		t.Errorf("still watches %v for %v", watches.watches, watches.byPlugin)
	}
	for range 2 {
		watches.follow(inShop("c"), []string{"one"}) // also twice
	}
	world.wakes("c")
	watches.follow(inShop("c"), nil)
}

func TestWatchedVersion(t *testing.T) {
	world, watches := newWatchedWorld(t)
	one := inShop("one")
	expect := func(when, known, want string) {
		t.Helper()
		if got := watches.version(one, known); got != want {
			t.Errorf("%s: the version after %q is %q, want %q", when, known, got, want)
		}
	}
	expect("nobody follows it", "7", "7")
	world.setConfigMap("one", "{}") // version 1
	watches.follow(inShop("a"), []string{"one"})
	world.wakes("a")
	expect("unchanged", "1", "1")
	expect("it appeared", "", "1")
	expect("read later than the watch shows", "1000", "1000")
	world.setConfigMap("one", "{}")
	world.wakes("a")
	changed := world.objects["ConfigMap one"].GetResourceVersion()
	expect("changed", "1", changed)
	world.remove("ConfigMap one")
	world.wakes("a")
	expect("it is gone", changed, "")
	expect("it is still gone", "", "")
}

func TestWatchThatIsForbidden(t *testing.T) {
	world, watches := newWatchedWorld(t)
	world.setConfigMap("one", "{}")
	world.watchErr = apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "one", errors.New("no"))
	watches.follow(inShop("a"), []string{"one"})
	world.wakes("a")
	if !watches.fails(inShop("one")) || watches.version(inShop("one"), "7") != "7" {
		t.Error("a watch that can't be had is believed")
	}
	world.mutex.Lock()
	world.watchErr = nil
	world.mutex.Unlock()
	world.wakes("a") // after the pause
	if watches.fails(inShop("one")) || watches.version(inShop("one"), "0") != "1" {
		t.Error("a watch that recovered isn't believed")
	}
}
