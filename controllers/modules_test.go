// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"maps"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/module"
)

func (w *world) wantCondition(conditionType string, status metav1.ConditionStatus, reason string, words ...string) {
	w.t.Helper()
	condition := w.condition(conditionType)
	if condition.Status != status || condition.Reason != reason {
		w.t.Fatalf("%s %s %s: %s", conditionType, condition.Status, condition.Reason, condition.Message)
	}
	for _, word := range words {
		if !strings.Contains(condition.Message, word) {
			w.t.Errorf("the message doesn't say %q: %s", word, condition.Message)
		}
	}
}

// TestModule: the pair is written once the module is known, with the module in it, and its status once.
func TestModule(t *testing.T) {
	inModuleWorld(t, func(world *moduleWorld) {
		world.reconcileAll()
		world.wantWrites("EnvoyFilter auth-config", "EnvoyFilter auth-filter", "status")
		world.wantReady()
		world.wantModule(metav1.ConditionTrue, wasmv1alpha1.ReasonResolved, "fetched and started on trial")
		if got := world.status.Module; got.Digest != digestOf("one") || got.ShortDigest != digestOf("one")[7:15] || got.ABI != "0.2.1" {
			t.Errorf("the status has %+v", got)
		}
		if !world.delivers(digestOf("image of one")) || world.delivers("auth:1") {
			t.Error("proxies don't fetch by digest")
		}
		world.wantAsked(1, 1)
	})
}

// TestSlowModule: for a second nothing is said, then that it is on its way, and once it is there all is written.
func TestSlowModule(t *testing.T) {
	inModuleWorld(t, func(world *moduleWorld) {
		world.slow = time.Minute
		world.run(patience - time.Millisecond)
		world.wantWrites()
		world.run(time.Second)
		world.wantWrites("status")
		world.wantModule(metav1.ConditionUnknown, wasmv1alpha1.ReasonResolving)
		world.wantCondition(wasmv1alpha1.ConditionReconciling, metav1.ConditionTrue, wasmv1alpha1.ReasonResolving)
		world.run(50 * time.Second)
		world.wantWrites()
		pass(10 * time.Second)
		world.reconcileAll()
		world.wantWrites("EnvoyFilter auth-config", "EnvoyFilter auth-filter", "status")
		world.wantReady()
		world.wantAsked(1, 1)
	})
}

// TestModuleFails: what stands stays, the status says why, and the operator goes on by itself.
func TestModuleFails(t *testing.T) {
	inModuleWorld(t, func(world *moduleWorld) {
		world.stand()
		before := maps.Clone(world.specs)
		world.loseModule()
		world.wantModule(metav1.ConditionFalse, "Unreachable", "refuses connections", "stays in effect")
		world.wantCondition(wasmv1alpha1.ConditionReady, metav1.ConditionFalse, "Unreachable")
		world.wantCondition(wasmv1alpha1.ConditionReconciling, metav1.ConditionTrue, "Unreachable")
		if got := world.status.Module.Digest; got != digestOf("one") {
			t.Errorf("in effect is said to be %s", got)
		}
		world.run(10 * time.Minute)
		world.wantWrites()
		if world.fetches < 6 || world.fetches > 12 {
			t.Errorf("tries %d times in 10 minutes", world.fetches)
		}
		for name, spec := range before {
			if jsonOf(spec) != jsonOf(world.specs[name]) {
				t.Errorf("%s was changed", name)
			}
		}
		world.err, world.content = nil, "two"
		world.run(3 * time.Minute)
		world.wantReady()
		if got := world.status.Module.Digest; got != digestOf("two") {
			t.Errorf("in effect is %s", got)
		}
	})
}

// TestModuleRefusesRules: the last pair stays, and nothing is tried again until the rules change.
func TestModuleRefusesRules(t *testing.T) {
	inModuleWorld(t, func(world *moduleWorld) {
		world.stand()
		world.refuses = "it wants a list"
		world.changeSpec(func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Rules = &apiextensionsv1.JSON{Raw: []byte(`{"a":1}`)} })
		world.reconcileAll()
		world.wantWrites("status")
		world.wantRejected(wasmv1alpha1.ReasonRulesRejected, "spec.rules: ", "it wants a list", "stays in effect")
		world.wantModule(metav1.ConditionTrue, wasmv1alpha1.ReasonResolved)
		world.wantAsked(0, 1)
		world.run(24 * time.Hour)
		world.wantWrites()
		world.wantAsked(0, 0)
		if world.delivers(`{\"a\":1}`) {
			t.Error("the refused rules are delivered")
		}
		world.refuses = ""
		world.changeSpec(func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Rules = &apiextensionsv1.JSON{Raw: []byte(`{"a":2}`)} })
		world.reconcileAll()
		world.wantReady()
		world.wantWrites("EnvoyFilter auth-config", "status")
	})
}

// TestModuleSurvives: what a pair remembers is neither fetched nor tried again by a restart, nor is what was known of one
// that somebody deleted or edited.
func TestModuleSurvives(t *testing.T) {
	inModuleWorld(t, func(world *moduleWorld) {
		world.stand()
		world.startOver()
		world.reconcileAll()
		world.wantWrites()
		world.wantAsked(0, 0)

		world.content = "two"
		delete(world.children, "auth-config")
		world.reconcileAll()
		world.wantWrites("EnvoyFilter auth-config")
		world.wantAsked(0, 0)

		for name, edit := range map[string]func(string) string{
			"taken out":       func(string) string { return "" },
			"made nonsense":   func(string) string { return "{" },
			"another digest":  func(s string) string { return strings.Replace(s, digestOf("one"), digestOf("two"), 1) },
			"another request": func(s string) string { return strings.Replace(s, `"request":"`, `"request":"0`, 1) },
		} {
			t.Log(name)
			config := world.children["auth-config"].DeepCopy()
			good := config.Annotations[wasmv1alpha1.AnnotationModule]
			config.Annotations[wasmv1alpha1.AnnotationModule] = edit(good)
			world.children["auth-config"] = config
			world.reconcileAll()
			if got := world.children["auth-config"].Annotations[wasmv1alpha1.AnnotationModule]; got != good {
				t.Errorf("is %s, was %s", got, good)
			}
			world.wantAsked(0, 0)
		}
		world.wantReady()
	})
}

// TestTagIsNotFollowed: without imagePullPolicy Always a tag stays what it was until somebody asks. Each asking counts.
func TestTagIsNotFollowed(t *testing.T) {
	inModuleWorld(t, func(world *moduleWorld) {
		world.stand()
		world.content = "two"
		world.run(24 * time.Hour)
		world.changeSpec(func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Priority = new(int32(5)) })
		world.run(time.Hour)
		world.wantAsked(0, 0)
		if got := world.status.Module.Digest; got != digestOf("one") {
			t.Errorf("in effect is %s", got)
		}
		for i, content := range []string{"two", "two", "three"} {
			world.content = content
			world.refresh(strings.Repeat("x", i+1))
			world.reconcileAll()
			if world.looks != 1 {
				t.Errorf("asking %d: looks %d times", i, world.looks)
			}
			if got := world.status.Module.Digest; got != digestOf(content) {
				t.Errorf("asking %d: in effect is %s", i, got)
			}
			world.looks = 0
		}
		world.wantReady()
	})
}

// TestTagIsFollowed with imagePullPolicy Always: once in each interval, for ever, whatever comes of it, and without a write
// or a read where nothing is new.
func TestTagIsFollowed(t *testing.T) {
	inModuleWorld(t, func(world *moduleWorld) {
		world.plugin.Spec.ImagePullPolicy = wasmv1alpha1.PullAlways
		world.stand()
		world.run(10 * followInterval)
		world.wantWrites()
		if world.looks < 8 || world.looks > 11 || world.fetches != 0 {
			t.Errorf("in ten intervals: looks %d times, fetches %d times", world.looks, world.fetches)
		}

		world.err = module.NewError(module.Unreachable, "the server refuses connections")
		world.run(2 * followInterval)
		world.wantWrites("status")
		world.wantReady()
		world.wantModule(metav1.ConditionTrue, wasmv1alpha1.ReasonResolved, "newer module could not be found out", "refuses connections")

		world.err, world.content = nil, "two"
		world.run(2 * followInterval)
		world.wantWrites("EnvoyFilter auth-config", "status")
		world.wantReady()

		world.content, world.refuses = "three", "it wants a list"
		world.run(2 * followInterval)
		world.wantWrites("status")
		world.wantRejected(wasmv1alpha1.ReasonRulesRejected, "it wants a list", "stays in effect")
		if got := world.status.Module.Digest; got != digestOf("two") {
			t.Errorf("in effect is said to be %s", got)
		}
		world.content = "two"
		world.run(2 * followInterval)
		world.wantReady()
		world.wantWrites("status")
	})
}

// TestFollowedAfterRestart: the looks go on, and none is due at once.
func TestFollowedAfterRestart(t *testing.T) {
	inModuleWorld(t, func(world *moduleWorld) {
		world.plugin.Spec.ImagePullPolicy = wasmv1alpha1.PullAlways
		world.stand()
		world.startOver()
		world.reconcileAll()
		world.wantAsked(0, 0)
		world.run(3 * followInterval)
		if world.looks < 2 || world.looks > 4 {
			t.Errorf("in three intervals: looks %d times", world.looks)
		}
		world.wantWrites()
	})
}

// TestRejectedSpecAsksNobody: what can't be used as it is costs no request.
func TestRejectedSpecAsksNobody(t *testing.T) {
	inModuleWorld(t, func(world *moduleWorld) {
		world.plugin.Spec.Rules = &apiextensionsv1.JSON{Raw: []byte(`{`)}
		world.run(time.Hour)
		world.wantCondition(wasmv1alpha1.ConditionAccepted, metav1.ConditionFalse, wasmv1alpha1.ReasonInvalidRules)
		world.wantModule(metav1.ConditionUnknown, wasmv1alpha1.ReasonNotAccepted)
		world.wantAsked(0, 0)
		world.wantWrites("status")
	})
}

// TestPluginGoes: a plugin that is deleted while its module is on its way leaves nothing behind.
func TestPluginGoes(t *testing.T) {
	inModuleWorld(t, func(world *moduleWorld) {
		world.slow = time.Minute
		world.mustReconcile()
		world.plugin.DeletionTimestamp = &metav1.Time{Time: time.Now()}
		world.mustReconcile()
		pass(2 * time.Minute)
		modules := world.reconciler.Modules
		if woken := world.take(); woken != nil || len(modules.jobs.byPlugin) != 0 || len(modules.known) != 0 {
			t.Errorf("woken %v, left %v, %v", woken, modules.jobs.byPlugin, modules.known)
		}
		world.wantWrites()
	})
}
