// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/rules"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

const secretRules = `{"users":{"alice":"wonderland"}}`

func fromConfigMap(name string) wasmv1alpha1.RulesSource {
	return wasmv1alpha1.RulesSource{ConfigMapKeyRef: keyOfRules(name)}
}

func fromSecret(name string) wasmv1alpha1.RulesSource {
	return wasmv1alpha1.RulesSource{SecretKeyRef: keyOfRules(name)}
}

func keyOfRules(name string) wasmv1alpha1.RulesKeyReference {
	return wasmv1alpha1.RulesKeyReference{KeyReference: wasmv1alpha1.KeyReference{Name: name, Key: "rules.json"}}
}

// newWorldWith has a plugin that takes rules from these.
func newWorldWith(t *testing.T, sources ...wasmv1alpha1.RulesSource) *world {
	t.Helper()
	world := newWorld(t)
	world.plugin.Spec.RulesFrom = sources
	return world
}

// wakeAndReconcile waits until the plugin is woken, and reconciles it.
func (w *world) wakeAndReconcile() {
	w.t.Helper()
	if woken := w.sources.woken(); woken != w.plugin.Name {
		w.t.Fatalf("wakes %s", woken)
	}
	w.mustReconcile()
}

// settle brings the plugin to where nothing is left to do, and forgets what was written and read on the way.
func (w *world) settle() {
	w.t.Helper()
	w.mustReconcile()
	w.wakeAndReconcile() // by the first answer of its watch
	w.writes, w.liveReads = nil, 0
	w.sources.read()
}

func (w *world) wantWrites(want ...string) {
	w.t.Helper()
	if !slices.Equal(w.writes, want) {
		w.t.Errorf("writes %v, want %v", w.writes, want)
	}
	w.writes = nil
}

func (w *world) wantReads(want ...string) {
	w.t.Helper()
	if got := w.sources.read(); !slices.Equal(got, want) {
		w.t.Errorf("reads %v, want %v", got, want)
	}
}

func (w *world) wantRejected(reason string, words ...string) {
	w.t.Helper()
	accepted, ready := w.condition(wasmv1alpha1.ConditionAccepted), w.condition(wasmv1alpha1.ConditionReady)
	if accepted.Status != metav1.ConditionFalse || accepted.Reason != reason || ready.Reason != reason {
		w.t.Fatalf("Accepted %s %s, Ready %s: %s", accepted.Status, accepted.Reason, ready.Reason, accepted.Message)
	}
	for _, word := range words {
		if !strings.Contains(accepted.Message, word) {
			w.t.Errorf("the message doesn't say %q: %s", word, accepted.Message)
		}
	}
}

func (w *world) wantReady() {
	w.t.Helper()
	if ready := w.condition(wasmv1alpha1.ConditionReady); ready.Status != metav1.ConditionTrue {
		w.t.Errorf("Ready %s %s: %s", ready.Status, ready.Reason, ready.Message)
	}
}

// delivers says whether the configuration that stands has these words.
func (w *world) delivers(words string) bool {
	w.t.Helper()
	spec, err := json.Marshal(w.specs["auth-config"])
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.Contains(string(spec), words)
}

func TestConfigMapIsFollowed(t *testing.T) {
	world := newWorldWith(t, fromConfigMap("users"), fromConfigMap("users"))
	world.sources.setConfigMap("users", `{"a":"one"}`)
	world.mustReconcile()
	world.wantWrites("EnvoyFilter auth-config", "EnvoyFilter auth-filter", "status")
	world.wantReads("ConfigMap users")
	world.liveReads = 0
	world.wakeAndReconcile() // by the watch's first answer
	world.wantWrites()
	world.wantReads()

	world.sources.setConfigMap("users", `{"a":"two"}`)
	world.wakeAndReconcile()
	world.wantWrites("EnvoyFilter auth-config", "status")
	world.wantReads("ConfigMap users")
	if world.liveReads != 1 || !world.delivers("two") {
		t.Errorf("reads %d specs, delivers the change: %t", world.liveReads, world.delivers("two"))
	}
}

func TestTouchOfConfigMapIsOneWrite(t *testing.T) {
	world := newWorldWith(t, fromConfigMap("users"))
	world.sources.setConfigMap("users", `{"a":"one"}`)
	world.settle()
	for range 2 {
		generation := world.children["auth-config"].Generation
		world.sources.setConfigMap("users", `{"a":"one"}`)
		world.wakeAndReconcile()
		world.wantWrites("EnvoyFilter auth-config")
		if now := world.children["auth-config"].Generation; now != generation {
			t.Errorf("the spec is written too: generation %d after %d", now, generation)
		}
		world.mustReconcile()
		world.wantWrites()
	}
}

func TestConfigMapComesAndGoes(t *testing.T) {
	world := newWorldWith(t, fromConfigMap("users"))
	world.mustReconcile()
	world.wantRejected(wasmv1alpha1.ReasonReferenceNotFound, "users", "spec.rulesFrom[0]")
	world.wantWrites("status")
	world.wakeAndReconcile()
	world.wantWrites()

	world.sources.setConfigMap("users", `{"a":"one"}`)
	world.wakeAndReconcile()
	world.wantReady()

	world.sources.remove("ConfigMap users")
	world.wakeAndReconcile()
	world.wantRejected(wasmv1alpha1.ReasonReferenceNotFound, "stays in effect")
	if len(world.children) != 2 || !world.delivers("one") {
		t.Error("the last good pair is gone")
	}
}

func TestBadSourceKeepsThePair(t *testing.T) {
	world := newWorldWith(t, fromConfigMap("users"))
	world.sources.setConfigMap("users", `{"a":"one"}`)
	world.settle()
	world.sources.setConfigMap("users", `{"hush": `)
	world.wakeAndReconcile()
	world.wantRejected(wasmv1alpha1.ReasonInvalidRules, "users", "rules.json", "stays in effect")
	world.wantWrites("status")
	if message := world.condition(wasmv1alpha1.ConditionReady).Message; strings.Contains(message, "hush") || !world.delivers("one") {
		t.Errorf("delivers the last good rules: %t; says %s", world.delivers("one"), message)
	}

	world.sources.setConfigMap("users", `{"a":"one"}`)
	world.wakeAndReconcile()
	world.wantReady()
	world.wantWrites("EnvoyFilter auth-config", "status")
}

func TestOptionalSource(t *testing.T) {
	optional, absent := true, fromConfigMap("absent")
	absent.ConfigMapKeyRef.Optional = &optional
	world := newWorldWith(t, absent)
	world.settle()
	world.wantReady()
	world.sources.setConfigMap("absent", `{"a":"here"}`)
	world.wakeAndReconcile()
	world.wantWrites("EnvoyFilter auth-config", "status")
	if !world.delivers("here") {
		t.Error("what appeared isn't delivered")
	}
}

// TestRestartReadsNothing lets an operator without memory meet a plugin with both kinds of sources, unchanged and changed.
func TestRestartReadsNothing(t *testing.T) {
	world := newWorldWith(t, fromConfigMap("users"), fromSecret("creds"))
	world.sources.setConfigMap("users", `{"a":"one"}`)
	world.sources.setSecret(secretRules, true)
	world.settle()
	world.restart()
	if result := world.mustReconcile(); result.RequeueAfter <= 0 || result.RequeueAfter > time.Hour {
		t.Errorf("looks at the Secret in %s", result.RequeueAfter)
	}
	world.wakeAndReconcile()
	world.wantWrites()
	world.wantReads()
	if world.liveReads > 0 {
		t.Errorf("reads %d specs", world.liveReads)
	}

	world.restart()
	world.sources.setConfigMap("users", `{"a":"two"}`)
	world.mustReconcile()
	world.wantReads() // what a watch will show isn't known yet
	world.wakeAndReconcile()
	world.wantWrites("EnvoyFilter auth-config", "status")
}

func TestTooMuchToRead(t *testing.T) {
	var sources []wasmv1alpha1.RulesSource
	for _, name := range []string{"a", "b", "c"} {
		sources = append(sources, fromConfigMap(name))
	}
	world := newWorldWith(t, sources...)
	world.sources.padding = make([]byte, rules.MaxSourceBytes/3)
	for _, name := range []string{"a", "b", "c"} {
		world.sources.setConfigMap(name, "{}")
	}
	world.mustReconcile()
	world.wantRejected(wasmv1alpha1.ReasonReferenceNotPermitted, "spec.rulesFrom[2]", "8 MiB")
}

func TestTooManySourcesAreNotRead(t *testing.T) {
	world := newWorldWith(t)
	for i := range translate.MaxReferences + 1 {
		world.plugin.Spec.RulesFrom = append(world.plugin.Spec.RulesFrom, fromConfigMap(fmt.Sprintf("users-%d", i)))
	}
	world.mustReconcile()
	world.wantRejected(wasmv1alpha1.ReasonInvalidSpec, "at most 64")
	world.wantReads()
}

func TestDeletionEndsTheWatch(t *testing.T) {
	for name, end := range map[string]func(*world){
		"gone":              func(w *world) { w.plugin = nil },
		"going":             func(w *world) { w.plugin.DeletionTimestamp = &metav1.Time{Time: time.Now()} },
		"without reference": func(w *world) { w.plugin.Spec.RulesFrom, w.plugin.Generation = nil, 2 },
	} {
		t.Run(name, func(t *testing.T) {
			world := newWorldWith(t, fromConfigMap("users"))
			world.sources.setConfigMap("users", `{}`)
			world.settle()
			end(world)
			world.mustReconcile()
			watches := world.reconciler.sources.watches
			if len(watches.byNamespace) > 0 {
				t.Errorf("watches %v", watches.byNamespace)
			}
		})
	}
}
