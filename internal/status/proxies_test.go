// SPDX-License-Identifier: Apache-2.0

package status

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

func refusals(proxies ...string) []wasmv1alpha1.ProxyRejection {
	var rejections []wasmv1alpha1.ProxyRejection
	for _, proxy := range proxies {
		rejections = append(rejections, wasmv1alpha1.ProxyRejection{Proxy: proxy, Message: "No credentials."})
	}
	return rejections
}

// seen is what is known of the proxies, with the verdicts on them and in short, as STATUS REASON, and a part of the
// former's message. A * tells that the operator goes on by itself.
type seen struct {
	proxies                 Proxies
	programmed, ready, says string
}

var everyProgress = map[string]seen{
	"in force, all run it": {Proxies{Progress: InForce, Matched: 2, Programmed: 2}, "True Programmed", "True Programmed", "2 of 2 proxies run it."},
	"in force, some wait": {
		Proxies{Progress: InForce, Matched: 3, Programmed: 1, Waiting: []string{"a.shop", "b.shop"}},
		"Unknown Waiting*", "Unknown Waiting*", "not acknowledged it yet: a.shop, b.shop.",
	},
	"in force, many wait": {
		Proxies{Progress: InForce, Matched: 10, Waiting: strings.Split("a b c d e f g h i j", " ")},
		"Unknown Waiting*", "Unknown Waiting*", "f, g, h and 2 more.",
	},
	"in force, refused by one": {
		Proxies{Progress: InForce, Matched: 2, Programmed: 1, Rejections: refusals("a.shop"), RejectedTotal: 1},
		"False Rejected", "False Rejected", ".shop refuses it: No credentials.",
	},
	"in force, refused by many": {
		Proxies{Progress: InForce, Matched: 20, Rejections: refusals("a.shop", "b.shop"), RejectedTotal: 17},
		"False Rejected", "False Rejected", "17 proxies refuse it, first proxy a.shop: No credentials.",
	},
	"in force, held up": {
		Proxies{Progress: InForce, Matched: 1, Blocked: refusals("a.shop")},
		"False BlockedByOther*", "False BlockedByOther*", "a.shop refuses what it is sent because of something else, and so this, too: No credentials.",
	},
	"in force, refused and held up": {
		Proxies{Progress: InForce, Matched: 2, Rejections: refusals("b.shop"), RejectedTotal: 1, Blocked: refusals("a.shop")},
		"False Rejected", "False Rejected", ".shop refuses it",
	},
	"in force, not read":  {Proxies{Progress: InForce, Unread: []string{"x", "y"}}, "Unknown NotObserved", "True NotObserved", "can't be read: x; y."},
	"in force, none":      {Proxies{Progress: InForce}, "Unknown NoMatchingProxies", "True NoMatchingProxies", "No proxy that is connected to istiod is selected."},
	"in force, idle ones": {Proxies{Progress: InForce, Idle: 2}, "Unknown NoMatchingProxies", "True NoMatchingProxies", "The selected proxies (2) have no listener"},
	"in force, some idle": {Proxies{Progress: InForce, Idle: 2, Matched: 1, Programmed: 1}, "True Programmed", "True Programmed", "1 of 1 proxies"},
	"in force, not sure":  {Proxies{Progress: InForce, Matched: 2, Programmed: 1, Uncertain: 1}, "Unknown Waiting", "Unknown Waiting", "Proxies (1) have acknowledged it, but may"},
	"in force, both":      {Proxies{Progress: InForce, Matched: 2, Uncertain: 1, Waiting: []string{"a"}}, "Unknown Waiting*", "Unknown Waiting*", "yet: a."},
	"in force, a crowd": {
		Proxies{Progress: InForce, Matched: 2, Programmed: 2, Fullest: "a.shop", Plugins: 51},
		"True Programmed", "True Programmed",
		"2 of 2 proxies run it. Proxy a.shop has 51 plugins of this operator: ",
	},
	"on trial":             {Proxies{Progress: OnTrial, Matched: 1, Waiting: []string{"a.shop"}}, "Unknown Waiting*", "Unknown Waiting*", "not accepted it yet: a.shop."},
	"on trial, all held":   {Proxies{Progress: OnTrial, Matched: 1, Blocked: refusals("a.shop")}, "Unknown Waiting*", "Unknown Waiting*", "a.shop (refuses what another plugin sends)."},
	"on trial, none known": {Proxies{Progress: OnTrial, Matched: 1}, "Unknown Waiting*", "Unknown Waiting*", "none is known."},
	"on trial, one stands": {Proxies{Progress: OnTrial, Stands: true}, "Unknown Waiting*", "Unknown Waiting*", ". What was applied last stays in effect."},
	"queued":               {Proxies{Progress: Queued, Matched: 1}, "Unknown Waiting*", "Unknown Waiting*", "waits for its turn"},
	"queued, one stands":   {Proxies{Progress: Queued, Stands: true}, "Unknown Waiting*", "Unknown Waiting*", "proxies. What was applied last stays in effect."},
	"blind":                {Proxies{Progress: Blind, Unread: []string{"istiod a: x"}}, "Unknown Waiting*", "Unknown Waiting*", "must say what its proxies do: istiod a: x."},
	"blind, one stands":    {Proxies{Progress: Blind, Unread: []string{"x"}, Stands: true}, "Unknown Waiting*", "Unknown Waiting*", "x. What was applied last stays in effect."},
	"refused": {
		Proxies{Progress: Refused, Matched: 1, Rejections: refusals("a.shop"), RejectedTotal: 1},
		"False Rejected", "False Rejected", "That was on trial, where no request passes. Nothing was brought into force.",
	},
	"refused, one stands": {
		Proxies{Progress: Refused, Matched: 1, Rejections: refusals("a.shop"), RejectedTotal: 1, Stands: true},
		"False Rejected", "False Rejected", "no request passes. What was applied last stays in effect.",
	},
	"refused by whom nobody remembers": {Proxies{Progress: Refused}, "False Rejected", "False Rejected", "A proxy refuses it."},
	"timed out": {
		Proxies{Progress: TimedOut, Matched: 1, Waiting: []string{"a.shop"}},
		"Unknown Waiting*", "False NotEnforced*", "not accepted it yet: a.shop.",
	},
	"timed out, one stands": {Proxies{Progress: TimedOut, Stands: true}, "Unknown Waiting*", "False NotEnforced*", "stays in effect."},
}

func TestProgrammed(t *testing.T) {
	for name, test := range everyProgress {
		t.Run(name, func(t *testing.T) {
			observation := observed(Accepted(nil), Applied(), pair)
			if verdict, onTrial := AppliedOnTrial(test.proxies); onTrial {
				observation.Applied = verdict
			}
			programmed := test.proxies.programmed()
			ready := readyWith(observation, test.proxies, programmed)
			if got := brief(programmed); got != test.programmed {
				t.Errorf("Programmed %s, want %s", got, test.programmed)
			}
			if got := brief(ready); got != test.ready {
				t.Errorf("Ready %s, want %s", got, test.ready)
			}
			if !strings.Contains(programmed.Message, test.says) {
				t.Errorf("says %q, want %q", programmed.Message, test.says)
			}
			for _, verdict := range []Verdict{programmed, ready, observation.Applied} {
				if !strings.HasSuffix(verdict.Message, ".") || strings.Contains(verdict.Message, "..") || strings.Contains(verdict.Message, "  ") {
					t.Errorf("no sentence: %q", verdict.Message)
				}
			}
		})
	}
}

func brief(verdict Verdict) string {
	text := fmt.Sprintf("%s %s", verdict.Status, verdict.Reason)
	if verdict.Retrying {
		text += "*"
	}
	return text
}

// TestReadyWith sums up what else may be wrong beside what proxies do.
func TestReadyWith(t *testing.T) {
	run, wait := Proxies{Progress: InForce, Matched: 1, Programmed: 1}, Proxies{Progress: InForce, Matched: 1, Waiting: []string{"a"}}
	refuse := Proxies{Progress: InForce, Matched: 1, Rejections: refusals("a.shop"), RejectedTotal: 1}
	failed := ApplyFailed(wasmv1alpha1.ReasonApplyFailed, "No.", true)
	unknown := Verdict{Status: metav1.ConditionUnknown, Reason: wasmv1alpha1.ReasonOnTrial, Message: "Later.", Retrying: true}
	tests := map[string]struct {
		proxies Proxies
		applied Verdict
		mode    wasmv1alpha1.ActivationMode
		want    string
	}{
		"not applied, though they run it":     {run, failed, wasmv1alpha1.ActivationSafe, "False ApplyFailed*"},
		"not applied, and refused":            {refuse, failed, wasmv1alpha1.ActivationSafe, "False ApplyFailed*"},
		"refused":                             {refuse, unknown, wasmv1alpha1.ActivationSafe, "False Rejected"},
		"waiting":                             {wait, unknown, wasmv1alpha1.ActivationSafe, "Unknown Waiting*"},
		"not applied yet, though they run it": {run, unknown, wasmv1alpha1.ActivationSafe, "Unknown OnTrial*"},
		"off, and they run it":                {run, Applied(), wasmv1alpha1.ActivationOff, "False Off"},
		"off, and they wait":                  {wait, Applied(), wasmv1alpha1.ActivationOff, "Unknown Waiting*"},
		"off, and refused":                    {refuse, Applied(), wasmv1alpha1.ActivationOff, "False Rejected"},
		"immediate":                           {run, Applied(), wasmv1alpha1.ActivationImmediate, "True Programmed"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			observation := observed(Accepted(nil), test.applied, pair)
			observation.Mode = test.mode
			if got := brief(readyWith(observation, test.proxies, test.proxies.programmed())); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestAppliedOnTrial(t *testing.T) {
	for progress, want := range map[Progress]string{
		InForce: "", OnTrial: "Unknown OnTrial*", Queued: "Unknown OnTrial*", Blind: "Unknown OnTrial*", Refused: "Unknown OnTrial", TimedOut: "Unknown OnTrial*",
	} {
		for _, stands := range []bool{false, true} {
			verdict, onTrial := AppliedOnTrial(Proxies{Progress: progress, Stands: stands})
			if onTrial != (want != "") || (onTrial && brief(verdict) != want) || (onTrial && strings.Contains(verdict.Message, "stand") != stands) {
				t.Errorf("%s: %t, %s: %s", progress, onTrial, brief(verdict), verdict.Message)
			}
		}
	}
}
