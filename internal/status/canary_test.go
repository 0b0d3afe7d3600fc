// SPDX-License-Identifier: Apache-2.0

package status

import (
	"strings"
	"testing"
	"time"
)

func TestCanaries(t *testing.T) {
	noon := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	const byHand = " Annotation wasm.solarmesh.io/promote or wasm.solarmesh.io/abort with value 1a2b ends that by hand. What was applied last stays in effect."
	tests := map[string]struct {
		proxies                    Proxies
		programmed, ready, applied string
		says                       string
	}{
		"asked": {
			Proxies{Progress: OnCanary, Matched: 3, Stands: true, Waiting: []string{"a.shop"}, Canary: &Canary{Change: "1a2b", Matched: 1}},
			"Unknown OnCanary*", "Unknown OnCanary*", "Unknown OnCanary*",
			"Change 1a2b is on canary; these proxies have not acknowledged it yet: a.shop." + byHand,
		},
		"none there": {
			Proxies{Progress: OnCanary, Matched: 3, Stands: true, Canary: &Canary{Change: "1a2b"}},
			"Unknown OnCanary*", "Unknown OnCanary*", "Unknown OnCanary*", "Change 1a2b waits for canary proxies: none that is connected",
		},
		"acknowledged just now": {
			Proxies{Progress: OnCanary, Matched: 3, Stands: true, Canary: &Canary{Change: "1a2b", Matched: 1, Programmed: 1}},
			"Unknown OnCanary*", "Unknown OnCanary*", "Unknown OnCanary*", "Change 1a2b is on canary in 1 proxies." + byHand,
		},
		"held": {
			Proxies{Progress: OnCanary, Matched: 3, Stands: true, Canary: &Canary{Change: "1a2b", Matched: 1, Programmed: 1, Until: noon}},
			"Unknown OnCanary*", "Unknown OnCanary*", "Unknown OnCanary*", "in 1 proxies; the others get it at 2026-11-28T12:00:00Z." + byHand,
		},
		"held, uncounted": {
			Proxies{Progress: OnCanary, Matched: 3, Stands: true, Canary: &Canary{Change: "1a2b", Matched: 1, Programmed: 1, Until: noon, Uncounted: true}},
			"Unknown OnCanary*", "Unknown OnCanary*", "Unknown OnCanary*", "tell of no request, so that their acknowledgement alone counts." + byHand,
		},
		"refused": {
			Proxies{Progress: TakenBack, Matched: 3, Stands: true, Rejections: refusals("a.shop"), RejectedTotal: 1, Canary: &Canary{Change: "1a2b", Ended: "Refused"}},
			"False TakenBack", "False TakenBack", "Unknown OnCanary", "from the canary proxies: proxy a.shop refused it: No credentials. What was applied last stays in effect.",
		},
		"failing": {
			Proxies{Progress: TakenBack, Stands: true, Canary: &Canary{Change: "1a2b", Ended: "Failing"}},
			"False TakenBack", "False TakenBack", "Unknown OnCanary", "more of their requests failed than before",
		},
		"aborted": {
			Proxies{Progress: TakenBack, Stands: true, Canary: &Canary{Change: "1a2b", Ended: "Aborted"}},
			"False TakenBack", "False TakenBack", "Unknown OnCanary", "an annotation asked for it. What",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			observation := observed(Accepted(nil), Applied(), pair)
			applied, ok := AppliedOnTrial(test.proxies)
			observation.Applied = applied
			programmed := test.proxies.programmed()
			ready := readyWith(observation, test.proxies, programmed)
			if !ok || brief(applied) != test.applied || brief(programmed) != test.programmed || brief(ready) != test.ready {
				t.Errorf("Applied %s, Programmed %s, Ready %s", brief(applied), brief(programmed), brief(ready))
			}
			if !strings.Contains(programmed.Message, test.says) {
				t.Errorf("says %q, want %q", programmed.Message, test.says)
			}
		})
	}
}
