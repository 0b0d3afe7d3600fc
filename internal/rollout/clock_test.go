// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"testing"
	"time"
)

// TestRow43OtherClocks: what an operator decides whose clock is an hour off from that of the one before is what it would
// decide anyway, or waits; it never looks again at once, and never for longer than the hour more.
func TestRow43OtherClocks(t *testing.T) {
	tests := map[string]State{
		"a trial that waits":     safe(func(s *State) { s.Trial = trialOf("new") }),
		"a trial of old content": safe(func(s *State) { s.Trial = trialOf("other") }),
		"an accepted trial":      safe(func(s *State) { s.Trial, s.OnTrial.Complete = trialOf("new"), true }),
		"a refused trial":        safe(func(s *State) { s.Trial, s.OnTrial.Rejected = trialOf("new"), true }),
		"a refusal of before":    safe(func(s *State) { s.Trial = refusedTrial("new") }),
		"asked anew":             safe(func(s *State) { s.Trial, s.OnTrial.Unblocked = trialOf("new"), true }),
		"in force":               safe(func(s *State) { s.Standing = "new" }),
		"in force, still taken":  safe(func(s *State) { s.Standing, s.Trial = "new", trialOf("new") }),
		"nobody is known":        safe(func(s *State) { s.Known = false }),
	}
	for name, state := range tests {
		t.Run(name, func(t *testing.T) {
			usual := Decide(state)
			for _, off := range []time.Duration{-time.Hour, time.Hour} {
				state.Now = start.Add(time.Second + off)
				decision := Decide(state)
				if decision.Wake < 0 || (decision.Wake > 0 && decision.Wake < time.Second) || decision.Wake > usual.Wake+time.Hour {
					t.Errorf("%s off: looks again after %s, else %s", off, decision.Wake, usual.Wake)
				}
				timedOut := usual.Phase == OnTrial && decision.Phase == TimedOut && off > 0
				if decision.Action != usual.Action || (decision.Phase != usual.Phase && !timedOut) {
					t.Errorf("%s off: %s %s, else %s %s", off, decision.Action, decision.Phase, usual.Action, usual.Phase)
				}
			}
		})
	}
}
