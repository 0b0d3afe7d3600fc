// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
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
		world.wakes("a") // when it is known what they are
		watches.follow(inShop("a"), slices.Clone(names))
		world.wakes()
	}
	watches.follow(inShop("b"), []string{"two"})
	world.wakes("b")
	world.setConfigMap("one", "{}")
	world.wakes("a")
	world.setConfigMap("two", "{}")
	world.wakes("a", "b")
	world.setConfigMap("three", "{}")
	world.remove("ConfigMap two")
	world.wakes("a", "b")

	watches.follow(inShop("a"), []string{"one"})
	world.wakes("a")
	world.setConfigMap("two", "{}")
	world.wakes("b")
}

func TestWatchBeginsAndEndsWithItsPlugins(t *testing.T) {
	world, watches := newWatchedWorld(t)
	watches.follow(inShop("a"), nil)
	if len(watches.byNamespace) > 0 {
		t.Error("watches for a plugin that names none")
	}
	for range 2 {
		watches.follow(inShop("a"), []string{"one"})
		world.wakes("a")
		watches.follow(inShop("b"), []string{"two"})
		world.wakes("b")
		watching := watches.byNamespace["shop"]
		end, ended := watching.end, false
		watching.end = func() { end(); ended = true }
		watches.follow(inShop("a"), nil)
		if ended {
			t.Fatal("ends before the last plugin")
		}
		watches.follow(inShop("b"), nil)
		if !ended || len(watches.byNamespace) > 0 {
			t.Errorf("ended: %t; still watches %v", ended, watches.byNamespace)
		}
	}
	if world.lists != 2 {
		t.Errorf("lists %d times, want once for each begin", world.lists)
	}
}

// TestFollowedAfterTheList is a plugin that comes to name a ConfigMap when the watch is there already, as most do after a
// restart.
func TestFollowedAfterTheList(t *testing.T) {
	world, watches := newWatchedWorld(t)
	world.setConfigMap("two", "{}") // version 1, that was before; 2 is while the operator was down
	world.setConfigMap("two", "{}")
	watches.follow(inShop("a"), []string{"one"})
	world.wakes("a")
	watches.follow(inShop("b"), []string{"two"})
	world.wakes("b")
	if version := watches.version(inShop("two"), "1"); version != "2" || world.lists != 1 {
		t.Errorf("the version is %q, after %d lists", version, world.lists)
	}
}

// TestListAfterALapse is what a reflector does when its watch is too old to go on.
func TestListAfterALapse(t *testing.T) {
	world, watches := newWatchedWorld(t)
	world.setConfigMap("one", "{}")
	world.setConfigMap("two", "{}")
	for plugin, name := range map[string]string{"a": "one", "b": "two", "c": "absent"} {
		watches.follow(inShop(plugin), []string{name})
		world.wakes(plugin)
	}
	two := metaOf(world.objects["ConfigMap two"])
	two.ResourceVersion = "1000"
	if err := watches.byNamespace["shop"].Replace([]any{two}, "1001"); err != nil {
		t.Fatal(err)
	}
	world.wakes("a", "b") // one went, two changed
}

func TestWatchThatBreaks(t *testing.T) {
	world, watches := newWatchedWorld(t)
	world.setConfigMap("one", "{}")
	watches.follow(inShop("a"), []string{"one"})
	world.wakes("a")
	watching := watches.byNamespace["shop"]
	for range 2 {
		watching.fail(t.Context(), errors.New("gone"))
	}
	world.wakes("a")
	if !watches.fails(inShop("one")) || watches.version(inShop("one"), "0") != "0" {
		t.Error("a watch that broke is believed")
	}
	if err := watching.Replace([]any{metaOf(world.objects["ConfigMap one"])}, "1000"); err != nil {
		t.Fatal(err)
	}
	world.wakes("a") // though nothing changed: it is watched again
	if watches.fails(inShop("one")) || watches.version(inShop("one"), "0") != "1" {
		t.Error("a watch that recovered isn't believed")
	}
}

// TestWatchKeepsVersionsOnly bounds what a namespace costs, however large the metadata of its ConfigMaps are.
func TestWatchKeepsVersionsOnly(t *testing.T) {
	_, watches := newWatchedWorld(t)
	watching := &configMapWatch{all: watches, namespace: "shop"}
	const configMaps, most = 1000, 1 << 20
	before := heap()
	initial := toolscache.NewStore(toolscache.MetaNamespaceKeyFunc, toolscache.WithTransformer(watching.Transformer()))
	for i := range configMaps {
		configMap := metaOf(&corev1.ConfigMap{ObjectMeta: inShopMeta(i)})
		configMap.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: strings.Repeat("x", 10<<10)}
		if err := initial.Add(configMap); err != nil {
			t.Fatal(err)
		}
	}
	if held := heap() - before; held > most {
		t.Errorf("holds %d bytes while %d ConfigMaps arrive", held, configMaps)
	}
	if err := watching.Replace(initial.List(), "2000"); err != nil {
		t.Fatal(err)
	}
	if held := heap() - before; held > most || len(watching.versions) != configMaps {
		t.Errorf("holds %d bytes for %d ConfigMaps", held, len(watching.versions))
	}
	runtime.KeepAlive(initial)
}

func inShopMeta(i int) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprintf("rules-of-a-plugin-%d", i), ResourceVersion: strconv.Itoa(1000 + i)}
}

// heap is what is in use of it.
func heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc) //nolint:gosec // far below its bound
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
