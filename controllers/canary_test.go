// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/proxies"
)

var (
	canaryPair = []string{"EnvoyFilter auth-config-canary", "EnvoyFilter auth-filter-canary"}
	canaryGone = []string{"delete auth-filter-canary", "delete auth-config-canary"}
)

// newCanaryWorld has a plugin in force, and sends its changes to canaries first.
func newCanaryWorld(t *testing.T) *rolledWorld {
	t.Helper()
	w := newRolledWorld(t)
	w.plugin.Spec.Rollout.Canary = wasmv1alpha1.Canary{
		Selector:    wasmv1alpha1.WorkloadSelector{MatchLabels: map[string]wasmv1alpha1.LabelValue{"track": "canary"}},
		HoldSeconds: 3600,
	}
	w.proxies.matching, w.proxies.onCanary = []string{gateway, "gw-2.shop"}, pending
	w.inForce()
	return w
}

// toCanary brings a change as far as the canary proxies.
func (w *rolledWorld) toCanary() {
	w.t.Helper()
	w.change()
	w.step("changed", trialPair...)
	w.proxies.onTrial = accepted
	w.step("accepted on trial", canaryPair...)
	w.step("not acknowledged")
	w.programmed("not acknowledged", wasmv1alpha1.ReasonOnCanary, "0/2")
	w.proxies.onCanary = accepted
	w.step("acknowledged", append([]string{"EnvoyFilter auth-config-canary"}, trialGone...)...)
	w.quiet("held")
	w.programmed("held", wasmv1alpha1.ReasonOnCanary, "1/2")
	w.proxies.onTrial = pending
}

func (w *rolledWorld) annotate(key, value string) {
	w.plugin.Annotations = map[string]string{key: value}
	w.plugin.ResourceVersion = w.nextVersion()
}

// content is what the change is called.
func (w *rolledWorld) content() string {
	return w.children["auth-config-canary"].Annotations[wasmv1alpha1.AnnotationContent]
}

func TestCanaryIsPromoted(t *testing.T) {
	w := newCanaryWorld(t)
	before := w.children["auth-filter"].ResourceVersion
	w.toCanary()
	if w.children["auth-filter"].ResourceVersion != before {
		t.Error("the pair in force is touched")
	}
	w.restart()
	w.quiet("after a restart")
	w.annotate(wasmv1alpha1.AnnotationPromote, w.content())
	w.step("promoted", append([]string{"EnvoyFilter auth-config", "EnvoyFilter auth-filter"}, canaryGone...)...)
	w.quiet("done")
	w.programmed("done", wasmv1alpha1.ReasonProgrammed, "1/1")
	w.change()
	w.plugin.Spec.Rules.Raw = []byte(`{"basic_auth_rules":[{"credentials":["a:third"]}]}`)
	w.step("the next change is tried", trialPair...)
	w.proxies.onTrial, w.proxies.onCanary = accepted, pending
	w.step("and goes to the canaries, whatever was said of the last one", canaryPair...)
}

func TestCanaryIsPromotedInTime(t *testing.T) {
	w := newCanaryWorld(t)
	w.toCanary()
	config := w.children["auth-config-canary"]
	memory := standingCanary(map[wasmv1alpha1.EnvoyFilterRole]*metav1.PartialObjectMetadata{wasmv1alpha1.EnvoyFilterCanaryConfig: config}).CanaryMemory
	memory.Since = memory.Since.Add(-time.Hour)
	text, err := json.Marshal(memory)
	if err != nil {
		t.Fatal(err)
	}
	config.Annotations[wasmv1alpha1.AnnotationCanary] = string(text)
	w.step("promoted", append([]string{"EnvoyFilter auth-config", "EnvoyFilter auth-filter"}, canaryGone...)...)
}

func TestCanaryIsTakenBack(t *testing.T) {
	for name, test := range map[string]struct {
		happens func(w *rolledWorld)
		says    string
	}{
		"refused": {func(w *rolledWorld) { w.proxies.onCanary = rejected }, "proxy gw.shop refused it"},
		"aborted": {func(w *rolledWorld) { w.annotate(wasmv1alpha1.AnnotationAbort, w.content()) }, "an annotation asked for it"},
		"failing": {func(w *rolledWorld) {
			w.proxies.counted = map[string]proxies.Counts{gateway: {Requests: 100}}
			w.step("counted", "EnvoyFilter auth-config-canary")
			w.proxies.counted = map[string]proxies.Counts{gateway: {Requests: 200, Failed: 100}}
		}, "more of their requests failed"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newCanaryWorld(t)
			w.toCanary()
			test.happens(w)
			w.step("taken back", "delete auth-filter-canary", "EnvoyFilter auth-config-canary")
			w.quiet("remembered")
			w.restart()
			w.quiet("after a restart")
			condition := w.condition(wasmv1alpha1.ConditionReady)
			if condition.Reason != wasmv1alpha1.ReasonTakenBack || !strings.Contains(condition.Message, test.says) {
				t.Errorf("Ready %s: %s", condition.Reason, condition.Message)
			}
			if spec, _ := w.specs["auth-config-canary"].(map[string]any); spec["configPatches"] != nil {
				t.Errorf("the memory delivers %v", spec)
			}
			w.proxies.counted, w.proxies.onCanary = nil, pending
			w.annotate(wasmv1alpha1.AnnotationRefresh, "again")
			w.step("asked for again", trialPair...)
		})
	}
}

// TestCanaryMeetsAnotherChange: it is taken away, whatever comes of that one.
func TestCanaryMeetsAnotherChange(t *testing.T) {
	w := newCanaryWorld(t)
	w.toCanary()
	w.plugin.Spec.Rules.Raw = []byte(`{"basic_auth_rules":[{"credentials":["a:third"]}]}`)
	w.plugin.Generation++
	w.step("changed again", append(append([]string{}, trialPair...), canaryGone...)...)

	w = newCanaryWorld(t)
	w.toCanary()
	w.plugin.Spec.Rules.Raw = []byte(`{"basic_auth_rules":[{"credentials":["ok:test"]}]}`)
	w.plugin.Generation++
	w.step("changed back", append([]string{"EnvoyFilter auth-filter"}, canaryGone...)...)
	w.quiet("as before")
}

// TestCanaryIsLost: somebody deletes or edits what stands.
func TestCanaryIsLost(t *testing.T) {
	for name, test := range map[string]struct {
		lost []string
		want []string
	}{
		"the filter":   {[]string{"auth-filter-canary"}, []string{"EnvoyFilter auth-config-canary", "EnvoyFilter auth-filter-canary"}},
		"the config":   {[]string{"auth-config-canary"}, append(append([]string{}, trialPair...), "delete auth-filter-canary")},
		"both":         {[]string{"auth-filter-canary", "auth-config-canary"}, trialPair},
		"what stands":  {[]string{"auth-filter"}, append([]string{"EnvoyFilter auth-config", "EnvoyFilter auth-filter"}, canaryGone...)},
		"all of these": {[]string{"auth-filter", "auth-config"}, append([]string{"EnvoyFilter auth-config", "EnvoyFilter auth-filter"}, canaryGone...)},
	} {
		t.Run(name, func(t *testing.T) {
			w := newCanaryWorld(t)
			w.toCanary()
			w.drop(test.lost...)
			w.step(name, test.want...)
		})
	}
	w := newCanaryWorld(t)
	w.toCanary()
	w.children["auth-filter-canary"].Generation++
	// Twice, since the first write guesses another generation than this world's.
	w.step("an edit of it", "EnvoyFilter auth-filter-canary", "EnvoyFilter auth-filter-canary")
	w.quiet("mended")
}

// TestSilencedPluginHasNoCanary: nothing of it is in the chains, so that there is nothing to replace.
func TestSilencedPluginHasNoCanary(t *testing.T) {
	w := newCanaryWorld(t)
	w.offThoughRefused()
	w.plugin.Spec.Activation.Mode = ""
	w.plugin.Spec.Rules.Raw = []byte(`{"basic_auth_rules":[{"credentials":["a:third"]}]}`)
	w.plugin.Generation++
	w.proxies.onTrial = pending
	w.step("on, with other content", trialPair...)
	w.proxies.onTrial = accepted
	w.step("accepted", stablePair...)
}

// TestNewPluginHasNoCanary: there is nothing that it could replace.
func TestNewPluginHasNoCanary(t *testing.T) {
	w := newCanaryWorld(t)
	if len(w.children) != 2 {
		t.Errorf("%d children", len(w.children))
	}
}
