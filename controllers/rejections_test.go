// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"
	"testing"
	"time"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/proxies"
)

// TestRefusalIsMaskedInMemory: Envoy repeats a plugin's words, and those a credential.
func TestRefusalIsMaskedInMemory(t *testing.T) {
	w := newRolledWorld(t)
	w.step("new", trialPair...)
	w.proxies.onTrial = proxies.Report{Matched: 1, Rejections: []proxies.Rejection{{Proxy: gateway, Message: "can't read ok:test"}}, Age: 1}
	w.step("refused", "delete auth-filter-trial", "EnvoyFilter auth-config-trial")
	for key, value := range w.children["auth-config-trial"].Annotations {
		if strings.Contains(value, "ok:test") {
			t.Errorf("%s: %s", key, value)
		}
	}
	for _, rejection := range w.status.Proxies.Rejections {
		if strings.Contains(rejection.Message, "ok:test") {
			t.Errorf("the status: %s", rejection.Message)
		}
	}
	if len(w.status.Proxies.Rejections) != 1 {
		t.Errorf("%d rejections", len(w.status.Proxies.Rejections))
	}
}

// TestAnotherIsRefused: what is a credential of something else isn't known, so that nothing is repeated that may be one.
func TestAnotherIsRefused(t *testing.T) {
	w := newRolledWorld(t)
	w.proxies.matching, w.proxies.onTrial, w.proxies.inUse = nil, proxies.Report{Age: 1}, proxies.Report{Age: 1}
	w.step("new", stablePair...)
	words := `Error adding/updating listener(s) 0.0.0.0_8080: in {"rules": "{\"password\": \"hunter2\"}"}: Unable to create Wasm plugin native "hunter2`
	w.proxies.inUse = proxies.Report{Matched: 1, Blocked: []proxies.Rejection{{Proxy: gateway, Message: words}}, Age: time.Minute, Waited: time.Minute}
	w.mustReconcile()
	ready := w.condition(wasmv1alpha1.ConditionReady)
	if ready.Reason != wasmv1alpha1.ReasonBlockedByOther || strings.Contains(ready.Message, "hunter2") ||
		!strings.Contains(ready.Message, "0.0.0.0_8080") || !strings.Contains(ready.Message, "Unable to create Wasm plugin native") {
		t.Errorf("%s: %s", ready.Reason, ready.Message)
	}
}
