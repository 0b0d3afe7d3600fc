// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// TestOffThoughRefused: who switches a plugin off means the one that runs, though its rules are gone from the spec.
func TestOffThoughRefused(t *testing.T) {
	w := newRolledWorld(t)
	w.inForce()
	since := len(w.proxies.moved)
	w.offThoughRefused()
	w.quiet("off")
	if moved := len(w.proxies.moved); moved != since+1 {
		t.Errorf("%d times the chains changed", moved-since)
	}
	if spec, _ := w.specs["auth-filter"].(map[string]any); spec["configPatches"] != nil || w.status.Activation.State != wasmv1alpha1.StateOff {
		t.Errorf("it is %s: %v", w.status.Activation.State, spec)
	}
	w.plugin.Spec.Activation.Mode = ""
	w.plugin.Generation++
	w.quiet("on, and still refused")
	if ready := w.condition(wasmv1alpha1.ConditionReady); w.status.Activation.State != wasmv1alpha1.StateOff || strings.Contains(ready.Message, "stays in effect") {
		t.Errorf("it is %s: %s", w.status.Activation.State, ready.Message)
	}
	w.plugin.Spec.Rules.Raw = []byte(`{"basic_auth_rules":[{"credentials":["ok:test"]}]}`)
	w.plugin.Generation++
	w.step("on, as it was", "EnvoyFilter auth-filter", "delete auth-config-trial")
	w.quiet("on")
	if spec, _ := w.specs["auth-filter"].(map[string]any); spec["configPatches"] == nil {
		t.Error("it is still off")
	}
}

// TestOffThoughNotAccepted: who switches a plugin off doesn't wait for a spec that can be rendered.
func TestOffThoughNotAccepted(t *testing.T) {
	w := newRolledWorld(t)
	w.inForce()
	since := len(w.proxies.moved)
	before, _ := w.specs["auth-filter"].(map[string]any)
	w.plugin.Spec.Rules.Raw = []byte(`[]`)
	w.plugin.Spec.Activation.Mode = wasmv1alpha1.ActivationOff
	w.plugin.Generation++
	w.step("off", "EnvoyFilter auth-filter")
	w.quiet("off")
	if moved := len(w.proxies.moved); moved != since+1 {
		t.Errorf("%d times the chains changed", moved-since)
	}
	after, _ := w.specs["auth-filter"].(map[string]any)
	if after["configPatches"] != nil || w.status.Activation.State != wasmv1alpha1.StateOff {
		t.Errorf("it is %s: %v", w.status.Activation.State, after)
	}
	if !equality.Semantic.DeepEqual(before["workloadSelector"], after["workloadSelector"]) || before["workloadSelector"] == nil {
		t.Errorf("it selects %v, not %v", after["workloadSelector"], before["workloadSelector"])
	}
	accepted, applied := w.condition(wasmv1alpha1.ConditionAccepted), w.condition(wasmv1alpha1.ConditionApplied)
	if accepted.Reason != wasmv1alpha1.ReasonInvalidRules || strings.Contains(accepted.Message, "stays in effect") || !strings.Contains(applied.Message, "switched off") {
		t.Errorf("%s: %s %s", accepted.Reason, accepted.Message, applied.Message)
	}
	w.plugin.Spec.Activation.Mode = ""
	w.plugin.Generation++
	w.quiet("on, and still not accepted")
	accepted, applied = w.condition(wasmv1alpha1.ConditionAccepted), w.condition(wasmv1alpha1.ConditionApplied)
	if w.status.Activation.State != wasmv1alpha1.StateOff || strings.Contains(accepted.Message, "stays in effect") || !strings.Contains(applied.Message, "switched off") {
		t.Errorf("it is %s: %s %s", w.status.Activation.State, accepted.Message, applied.Message)
	}
	w.plugin.Spec.Rules.Raw = []byte(`{"basic_auth_rules":[{"credentials":["ok:test"]}]}`)
	w.plugin.Generation++
	w.step("on, as it was", "EnvoyFilter auth-filter")
	if spec, _ := w.specs["auth-filter"].(map[string]any); spec["configPatches"] == nil {
		t.Error("it is still off")
	}
}

// TestNetworkFiltersStay: they can't be off.
func TestNetworkFiltersStay(t *testing.T) {
	w := newRolledWorld(t)
	w.plugin.Spec.Type = wasmv1alpha1.PluginTypeNetwork
	w.proxies.inUse = accepted
	w.step("new", stablePair...)
	w.plugin.Spec.Activation.Mode = wasmv1alpha1.ActivationOff
	w.plugin.Generation++
	w.quiet("off")
	if accepted := w.condition(wasmv1alpha1.ConditionAccepted); accepted.Reason != wasmv1alpha1.ReasonNotSupported || w.status.Activation.State != wasmv1alpha1.StateOn {
		t.Errorf("%s, it is %s", accepted.Reason, w.status.Activation.State)
	}
}
