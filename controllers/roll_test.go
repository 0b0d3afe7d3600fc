// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/proxies"
)

func TestTriedThenBroughtThenCleared(t *testing.T) {
	w := newRolledWorld(t)
	w.step("new", trialPair...)
	if !w.proxies.follows(true) || w.proxies.follows(false) {
		t.Errorf("follows %v", w.proxies.followed)
	}
	w.step("waiting")
	w.programmed("waiting", wasmv1alpha1.ReasonWaiting, "0/1")
	w.proxies.onTrial = accepted
	w.step("accepted", stablePair...)
	if w.proxies.forgottenTrials > 0 {
		t.Error("the trial is forgotten while its VM is kept")
	}
	w.proxies.inUse = accepted
	w.step("in use", trialGone...)
	w.quiet("done")
	w.programmed("done", wasmv1alpha1.ReasonProgrammed, "1/1")
	if w.proxies.follows(true) || !w.proxies.follows(false) || len(w.children) != 2 {
		t.Errorf("follows %v, %d children", w.proxies.followed, len(w.children))
	}
}

func TestRefusedIsNotBrought(t *testing.T) {
	w := newRolledWorld(t)
	w.step("new", trialPair...)
	w.proxies.onTrial = rejected
	w.step("refused", "delete auth-filter-trial", "EnvoyFilter auth-config-trial")
	w.quiet("refused")
	w.programmed("refused", wasmv1alpha1.ReasonRejected, "0/1")
	if len(w.children) != 1 || w.proxies.follows(true) {
		t.Errorf("%d children, follows %v", len(w.children), w.proxies.followed)
	}
	if spec, _ := w.specs["auth-config-trial"].(map[string]any); spec["configPatches"] != nil {
		t.Errorf("the memory delivers %v", spec)
	}
	w.restart()
	w.quiet("after a restart")
	w.programmed("after a restart", wasmv1alpha1.ReasonRejected, "0/1")

	w.proxies.onTrial = pending
	w.plugin.Annotations = map[string]string{wasmv1alpha1.AnnotationRefresh: "again"}
	w.plugin.ResourceVersion = w.nextVersion()
	w.step("asked for again", trialPair...)
}

// TestRefusedChange leaves what was in force, and another change is tried again.
func TestRefusedChange(t *testing.T) {
	w := newRolledWorld(t)
	w.inForce()
	before := w.specs["auth-config"]
	w.change()
	w.step("changed", trialPair...)
	w.proxies.onTrial = rejected
	w.step("refused", "delete auth-filter-trial", "EnvoyFilter auth-config-trial")
	w.quiet("refused")
	programmed := w.condition(wasmv1alpha1.ConditionProgrammed)
	if programmed.Reason != wasmv1alpha1.ReasonRejected || !strings.Contains(programmed.Message, "redentials") || w.specs["auth-config"] == nil {
		t.Errorf("Programmed %s: %s", programmed.Reason, programmed.Message)
	}
	w.plugin.Spec.Rules.Raw = []byte(`{"basic_auth_rules":[{"credentials":["a:third"]}]}`)
	w.plugin.Generation++
	w.proxies.onTrial = pending
	w.step("another change", trialPair...)
	if after := w.specs["auth-config"]; before == nil || !equality.Semantic.DeepEqual(before, after) {
		t.Errorf("what was in force is now %v", after)
	}
}

// TestNobodyMayAsk: an installation without the right to ask brings changes at once, and says so.
func TestNobodyMayAsk(t *testing.T) {
	w := newRolledWorld(t)
	w.proxies.refused, w.proxies.known, w.proxies.matching = true, false, nil
	w.proxies.unread = []string{"istiod a: refuses to say what its proxies do"}
	w.proxies.inUse = proxies.Report{Unread: w.proxies.unread}
	w.step("new", stablePair...)
	if w.status.Activation.Mode != wasmv1alpha1.ActivationImmediate {
		t.Errorf("mode %q", w.status.Activation.Mode)
	}
	w.programmed("new", wasmv1alpha1.ReasonNotObserved, "")
	if accepted := w.condition(wasmv1alpha1.ConditionAccepted); !strings.Contains(accepted.Message, "without a trial, since istiod refuses") {
		t.Errorf("Accepted: %s", accepted.Message)
	}
	w.quiet("done")
}

func TestBlindWaits(t *testing.T) {
	w := newRolledWorld(t)
	w.proxies.known, w.proxies.unread = false, []string{"no istiod has been asked yet"}
	w.step("new")
	if condition := w.condition(wasmv1alpha1.ConditionProgrammed); condition.Reason != wasmv1alpha1.ReasonWaiting || !strings.Contains(condition.Message, w.proxies.unread[0]) {
		t.Errorf("Programmed %s: %s", condition.Reason, condition.Message)
	}
	w.proxies.known = true
	w.step("known", trialPair...)
}

func TestNoProxyMatches(t *testing.T) {
	w := newRolledWorld(t)
	w.proxies.matching, w.proxies.inUse = nil, proxies.Report{Age: 1}
	w.step("new", stablePair...)
	w.programmed("new", wasmv1alpha1.ReasonNoMatchingProxies, "0/0")
}

func TestRestartWithAStandingTrial(t *testing.T) {
	w := newRolledWorld(t)
	w.step("new", trialPair...)
	since := w.children["auth-config-trial"].Annotations[wasmv1alpha1.AnnotationTrial]
	w.restart()
	w.step("after a restart")
	if got := w.children["auth-config-trial"].Annotations[wasmv1alpha1.AnnotationTrial]; got != since || since == "" {
		t.Errorf("began at %q, now %q", since, got)
	}
	if !w.proxies.follows(true) || w.reconciler.Rollouts.takeTurn(named("other"), []string{gateway}, false) {
		t.Error("it has lost its turn")
	}
	w.proxies.onTrial = accepted
	w.step("accepted", stablePair...)
}

// TestRestartBeforeIstiodAnswers: what proxies do isn't known for a moment, and that is no news.
func TestRestartBeforeIstiodAnswers(t *testing.T) {
	tests := map[string]func(*rolledWorld){
		"in force": func(*rolledWorld) {},
		"refused": func(w *rolledWorld) {
			w.change()
			w.step("changed", trialPair...)
			w.proxies.onTrial = rejected
			w.step("refused", "delete auth-filter-trial", "EnvoyFilter auth-config-trial")
		},
		"on trial": func(w *rolledWorld) {
			w.change()
			w.step("changed", trialPair...)
		},
	}
	for name, arrange := range tests {
		t.Run(name, func(t *testing.T) {
			w := newRolledWorld(t)
			w.inForce()
			arrange(w)
			w.quiet("before")
			answering := *w.proxies
			w.restart()
			w.proxies.early, w.proxies.known, w.proxies.matching = true, false, nil
			w.proxies.unread = []string{"istiod a has not answered yet"}
			w.proxies.inUse, w.proxies.onTrial = proxies.Report{Unread: w.proxies.unread}, proxies.Report{Unread: w.proxies.unread}
			w.writes = nil
			if result := w.mustReconcile(); result.RequeueAfter <= 0 || result.RequeueAfter > grace || len(w.writes) > 0 {
				t.Errorf("early: looks again after %s, writes %q", result.RequeueAfter, w.writes)
			}
			silent := *w.proxies
			*w.proxies = answering
			w.writes = nil
			if w.mustReconcile(); len(w.writes) > 0 {
				t.Errorf("answered: writes %q", w.writes)
			}
			*w.proxies, w.proxies.early = silent, false
			w.writes = nil
			w.mustReconcile()
			if !slices.Equal(w.writes, []string{"status"}) {
				t.Errorf("silent for long: writes %q", w.writes)
			}
		})
	}
}

// TestRestartWithIdleProxies: that a proxy has no listener for a plugin isn't sure before some time, but it was.
func TestRestartWithIdleProxies(t *testing.T) {
	w := newRolledWorld(t)
	w.inForce()
	w.proxies.inUse = proxies.Report{Idle: 1, Age: time.Minute}
	w.step("idle")
	w.programmed("idle", wasmv1alpha1.ReasonNoMatchingProxies, "0/0")
	w.restart()
	w.proxies.inUse = proxies.Report{Matched: 1, Waiting: []string{gateway}, Unasked: 1, Age: grace, Waited: grace}
	w.writes = nil
	if result := w.mustReconcile(); result.RequeueAfter <= 0 || len(w.writes) > 0 {
		t.Errorf("maybe idle: looks again after %s, writes %q", result.RequeueAfter, w.writes)
	}
	w.proxies.inUse.Unasked = 0
	w.step("asks")
	w.programmed("asks", wasmv1alpha1.ReasonWaiting, "0/1")
	// Of other content the status has said nothing yet.
	w.proxies.inUse.Unasked = 1
	w.plugin.Spec.Activation.Mode = wasmv1alpha1.ActivationImmediate
	w.change()
	w.step("changed", stablePair...)
	w.programmed("changed", wasmv1alpha1.ReasonWaiting, "0/1")
}

// TestDeletedPairIsRepaired without a trial: it was in force a moment ago.
func TestDeletedPairIsRepaired(t *testing.T) {
	tests := map[string][]string{
		"both":          stablePair,
		"configuration": {"auth-config"},
		"filter":        {"auth-filter"},
	}
	for name, gone := range tests {
		t.Run(name, func(t *testing.T) {
			w := newRolledWorld(t)
			w.inForce()
			var want []string
			for _, child := range gone {
				child = strings.TrimPrefix(child, "EnvoyFilter ")
				w.drop(child)
				want = append(want, "EnvoyFilter "+child)
			}
			w.writes = nil
			w.mustReconcile()
			for _, write := range w.writes {
				if strings.Contains(write, "trial") {
					t.Errorf("writes %q, want %q", w.writes, want)
				}
			}
			if len(w.children) != 2 || len(w.writes) < len(want) {
				t.Errorf("writes %q, %d children", w.writes, len(w.children))
			}
		})
	}
}

// TestRejectionIsRemembered: istiod forgets it when the proxy acknowledges anything else.
func TestRejectionIsRemembered(t *testing.T) {
	w := newRolledWorld(t)
	w.plugin.Spec.Activation.Mode = wasmv1alpha1.ActivationImmediate
	w.step("new", stablePair...)
	w.proxies.inUse = rejected
	w.step("refused", "EnvoyFilter auth-config")
	w.programmed("refused", wasmv1alpha1.ReasonRejected, "0/1")
	w.proxies.inUse = accepted
	w.restart()
	w.step("after a restart")
	w.programmed("after a restart", wasmv1alpha1.ReasonRejected, w.status.Proxies.Summary)

	w.proxies.inUse = pending
	w.change()
	w.step("changed", stablePair...)
	w.programmed("changed", wasmv1alpha1.ReasonWaiting, "0/1")
}

// TestWaitsForItsTurn: whoever waits for its turn is looked at when it comes.
func TestWaitsForItsTurn(t *testing.T) {
	w := newRolledWorld(t)
	w.reconciler.Rollouts.takeTurn(named("other"), []string{gateway}, false)
	w.step("new")
	if condition := w.condition(wasmv1alpha1.ConditionProgrammed); !strings.Contains(condition.Message, "turn") {
		t.Errorf("Programmed %s: %s", condition.Reason, condition.Message)
	}
	w.reconciler.Rollouts.endTurn(named("other"))
	w.step("its turn", trialPair...)
	w.proxies.onTrial = rejected
	w.step("refused", "delete auth-filter-trial", "EnvoyFilter auth-config-trial")
	if !w.reconciler.Rollouts.takeTurn(named("other"), []string{gateway}, false) {
		t.Error("a refused trial keeps its turn")
	}
}

// TestTurnIsGivenBack by a plugin that doesn't go on with its trial, or needs none any more.
func TestTurnIsGivenBack(t *testing.T) {
	for what, test := range map[string]struct {
		begin, give func(*rolledWorld)
	}{
		"the spec is refused": {
			func(w *rolledWorld) { w.step("new", trialPair...) },
			func(w *rolledWorld) { w.plugin.Spec.URL = "%" },
		},
		"it can't be written": {
			func(w *rolledWorld) { w.childErr = apierrors.NewBadRequest("denied") },
			func(*rolledWorld) {},
		},
		"it waited, and is immediate now": {
			func(w *rolledWorld) {
				w.reconciler.Rollouts.takeTurn(named("other"), []string{gateway}, false)
				w.step("waits")
			},
			func(w *rolledWorld) { w.plugin.Spec.Activation.Mode = wasmv1alpha1.ActivationImmediate },
		},
	} {
		t.Run(what, func(t *testing.T) {
			w := newRolledWorld(t)
			rollouts := w.reconciler.Rollouts
			test.begin(w)
			test.give(w)
			w.plugin.Generation++
			_, _ = w.reconcile()
			rollouts.endTurn(named("other"))
			if len(rollouts.turns.queue) > 0 || !rollouts.takeTurn(named("next"), []string{gateway}, false) {
				t.Errorf("%v hold and %v wait", rollouts.turns.holder, rollouts.turns.queue)
			}
		})
	}
}

func TestForgottenWithThePlugin(t *testing.T) {
	w := newRolledWorld(t)
	w.step("new", trialPair...)
	w.plugin = nil
	w.step("gone")
	if len(w.proxies.followed) > 0 || !w.reconciler.Rollouts.takeTurn(named("other"), []string{gateway}, false) {
		t.Errorf("follows %v", w.proxies.followed)
	}
}
