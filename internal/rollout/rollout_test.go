// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"testing"
	"time"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

var start = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

const deadline = 2 * time.Minute

// safe is a plugin whose change waits to be tried: two proxies match, and it is its turn.
func safe(change func(*State)) State {
	s := State{
		Mode: wasmv1alpha1.ActivationSafe, Wanted: "new", Standing: "old", Matched: 2, Known: true, Turn: true,
		Now: start.Add(time.Second), Deadline: deadline,
	}
	change(&s)
	return s
}

func trialOf(content string) Trial {
	return Trial{Exists: true, Stands: true, Content: content, Memory: Memory{Since: start}}
}

func refusedTrial(content string) Trial {
	trial := trialOf(content)
	trial.Stands, trial.Rejections, trial.Total = false, []Rejection{{"gw", "no"}}, 1
	return trial
}

func TestDecide(t *testing.T) {
	tests := map[string]struct {
		state State
		want  Decision
	}{
		// Nothing stands yet.
		"a new plugin is tried": {safe(func(s *State) { s.Standing = "" }), Decision{Action: Try, Phase: OnTrial}},
		"a change is tried":     {safe(func(*State) {}), Decision{Action: Try, Phase: OnTrial}},
		"a change of a plugin that is off is tried": {
			safe(func(s *State) { s.Mode = wasmv1alpha1.ActivationOff }), Decision{Action: Try, Phase: OnTrial, Silence: true},
		},
		"immediate is brought":                          {safe(func(s *State) { s.Mode = wasmv1alpha1.ActivationImmediate }), Decision{Action: Bring, Phase: InForce}},
		"immediate is brought where istiod isn't known": {safe(func(s *State) { s.Mode, s.Known = wasmv1alpha1.ActivationImmediate, false }), Decision{Action: Bring, Phase: InForce}},
		"no proxy matches":                              {safe(func(s *State) { s.Matched = 0 }), Decision{Action: Bring, Phase: InForce}},
		"no proxy is known":                             {safe(func(s *State) { s.Matched, s.Known = 0, false }), Decision{Action: Hold, Phase: Blind}},
		"it isn't its turn":                             {safe(func(s *State) { s.Turn = false }), Decision{Action: Hold, Phase: Queued}},
		"the same content needs no trial":               {safe(func(s *State) { s.Standing = "new" }), Decision{Action: Bring, Phase: InForce}},
		"off and on with the same content needs none": {
			safe(func(s *State) { s.Mode, s.Standing = wasmv1alpha1.ActivationOff, "new" }), Decision{Action: Bring, Phase: InForce},
		},
		"the same content while istiod is away": {safe(func(s *State) { s.Known, s.Standing = false, "new" }), Decision{Action: Bring, Phase: InForce}},

		// The trial stands.
		"waiting":  {safe(func(s *State) { s.Trial = trialOf("new") }), Decision{Action: Hold, Phase: OnTrial, Wake: deadline - time.Second}},
		"accepted": {safe(func(s *State) { s.Trial, s.OnTrial.Complete = trialOf("new"), true }), Decision{Action: Bring, Phase: InForce}},
		"accepted after the deadline": {safe(func(s *State) {
			s.Trial, s.OnTrial.Complete, s.Now = trialOf("new"), true, start.Add(time.Hour)
		}), Decision{Action: Bring, Phase: InForce}},
		"refused":                    {safe(func(s *State) { s.Trial, s.OnTrial.Rejected = trialOf("new"), true }), Decision{Action: Refuse, Phase: Refused}},
		"refused by one of two":      {safe(func(s *State) { s.Trial, s.OnTrial = trialOf("new"), Answers{Rejected: true} }), Decision{Action: Refuse, Phase: Refused}},
		"refused after the deadline": {safe(func(s *State) { s.Trial, s.OnTrial.Rejected, s.Now = trialOf("new"), true, start.Add(time.Hour) }), Decision{Action: Refuse, Phase: Refused}},
		"timed out":                  {safe(func(s *State) { s.Trial, s.Now = trialOf("new"), start.Add(deadline) }), Decision{Action: Hold, Phase: TimedOut}},
		"timed out, to proceed": {safe(func(s *State) {
			s.Trial, s.Now, s.OnDeadline = trialOf("new"), start.Add(deadline), wasmv1alpha1.OnDeadlineProceed
		}), Decision{Action: Bring, Phase: InForce}},
		"timed out, to proceed, refused": {safe(func(s *State) {
			s.Trial, s.Now, s.OnDeadline, s.OnTrial.Rejected = trialOf("new"), start.Add(deadline), wasmv1alpha1.OnDeadlineProceed, true
		}), Decision{Action: Refuse, Phase: Refused}},
		"blocked by another waits": {safe(func(s *State) { s.Trial, s.OnTrial.Blocked = trialOf("new"), true }), Decision{Action: Hold, Phase: OnTrial, Wake: deadline - time.Second}},
		"asked anew when the other is gone": {
			safe(func(s *State) { s.Trial, s.OnTrial.Unblocked = trialOf("new"), true }),
			Decision{Action: Try, Phase: OnTrial, Memory: Memory{Attempt: 1}, Wake: deadline - time.Second},
		},
		"asked anew where a refusal may be hidden": {
			safe(func(s *State) { s.Trial, s.OnTrial.Uncertain = trialOf("new"), true }),
			Decision{Action: Try, Phase: OnTrial, Memory: Memory{Attempt: 1}, Wake: deadline - time.Second},
		},
		"but not for ever": {
			safe(func(s *State) { s.Trial, s.OnTrial.Uncertain = trialOf("new"), true; s.Trial.Attempt = maxAttempts }),
			Decision{Action: Bring, Phase: InForce},
		},
		"all proxies go":           {safe(func(s *State) { s.Trial, s.Matched = trialOf("new"), 0 }), Decision{Action: Bring, Phase: InForce}},
		"istiod goes":              {safe(func(s *State) { s.Trial, s.Matched, s.Known = trialOf("new"), 0, false }), Decision{Action: Hold, Phase: OnTrial, Wake: deadline - time.Second}},
		"immediate while on trial": {safe(func(s *State) { s.Trial, s.Mode = trialOf("new"), wasmv1alpha1.ActivationImmediate }), Decision{Action: Bring, Phase: InForce}},
		"half of it is lost":       {safe(func(s *State) { s.Trial = Trial{Exists: true} }), Decision{Action: Try, Phase: OnTrial}},
		"the spec changes again":   {safe(func(s *State) { s.Trial = trialOf("other") }), Decision{Action: Try, Phase: OnTrial}},
		"it is refused as the spec changes": {
			safe(func(s *State) { s.Trial = trialOf("other"); s.OnTrial = Answers{} }), Decision{Action: Try, Phase: OnTrial},
		},
		"the spec changes back": {safe(func(s *State) { s.Trial, s.Standing = trialOf("other"), "new" }), Decision{Action: Bring, Phase: InForce, EndTrial: true}},

		// It stands, and the trial too.
		"in force, not acknowledged": {safe(func(s *State) { s.Trial, s.Standing = trialOf("new"), "new" }), Decision{Action: Bring, Phase: InForce}},
		"in force, acknowledged":     {safe(func(s *State) { s.Trial, s.Standing, s.InForce.Complete = trialOf("new"), "new", true }), Decision{Action: Bring, Phase: InForce, EndTrial: true}},
		"in force, refused":          {safe(func(s *State) { s.Trial, s.Standing, s.InForce.Rejected = trialOf("new"), "new", true }), Decision{Action: Bring, Phase: InForce, EndTrial: true}},
		"in force, never acknowledged": {
			safe(func(s *State) { s.Trial, s.Standing, s.Now = trialOf("new"), "new", start.Add(2*deadline) }), Decision{Action: Bring, Phase: InForce, EndTrial: true},
		},
		"in force, half of the trial is left": {safe(func(s *State) { s.Trial, s.Standing = Trial{Exists: true, Content: "new"}, "new" }), Decision{Action: Bring, Phase: InForce, EndTrial: true}},

		// It was refused.
		"stays refused": {
			safe(func(s *State) { s.Trial = refusedTrial("new") }),
			Decision{Action: Hold, Phase: Refused},
		},
		"switched off, though refused": {
			safe(func(s *State) { s.Trial, s.Mode = refusedTrial("new"), wasmv1alpha1.ActivationOff }), Decision{Action: Hold, Phase: Refused, Silence: true},
		},
		"a new plugin that is off": {
			safe(func(s *State) { s.Standing, s.Mode = "", wasmv1alpha1.ActivationOff }), Decision{Action: Try, Phase: OnTrial},
		},
		"stays refused where no proxy is known": {safe(func(s *State) { s.Trial, s.Known = refusedTrial("new"), false }), Decision{Action: Hold, Phase: Refused}},
		"asked for again":                       {safe(func(s *State) { s.Trial, s.Refresh = refusedTrial("new"), "again" }), Decision{Action: Try, Phase: OnTrial}},
		"mended":                                {safe(func(s *State) { s.Trial = refusedTrial("bad") }), Decision{Action: Try, Phase: OnTrial}},
		"taken back":                            {safe(func(s *State) { s.Trial, s.Standing = refusedTrial("bad"), "new" }), Decision{Action: Bring, Phase: InForce, EndTrial: true}},
		"immediate after a refusal":             {safe(func(s *State) { s.Trial, s.Mode = refusedTrial("new"), wasmv1alpha1.ActivationImmediate }), Decision{Action: Bring, Phase: InForce, EndTrial: true}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := Decide(test.state)
			if got.Action != test.want.Action || got.Phase != test.want.Phase || got.Memory.Attempt != test.want.Memory.Attempt ||
				got.EndTrial != test.want.EndTrial || got.Silence != test.want.Silence || got.EndCanary != test.want.EndCanary || got.CanaryMemory.Ended != test.want.CanaryMemory.Ended {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			if test.want.Wake != 0 && got.Wake != test.want.Wake {
				t.Errorf("wakes after %s, want %s", got.Wake, test.want.Wake)
			}
		})
	}
}

// TestEveryStateIsDecided goes through all combinations: whatever happens, a proxy never meets content in force that it
// could have been asked about and wasn't, and a trial never stays for ever beside the pair that it was about.
func TestEveryStateIsDecided(t *testing.T) {
	bools := []bool{false, true}
	trials := []Trial{{}, trialOf("new"), trialOf("other"), refusedTrial("new"), refusedTrial("other"), {Exists: true}}
	for _, mode := range []wasmv1alpha1.ActivationMode{wasmv1alpha1.ActivationSafe, wasmv1alpha1.ActivationOff, wasmv1alpha1.ActivationImmediate} {
		for _, standing := range []string{"", "old", "new"} {
			for _, trial := range trials {
				for _, known := range bools {
					for _, matched := range []int{0, 2} {
						for bits := range 32 {
							on := func(bit int) bool { return bits&(1<<bit) != 0 }
							s := State{
								Mode: mode, Wanted: "new", Standing: standing, Trial: trial, Known: known, Matched: matched, Now: start.Add(time.Second), Deadline: deadline,
								OnTrial: Answers{Complete: on(0), Rejected: on(1), Unblocked: on(2)}, InForce: Answers{Complete: on(3)}, Turn: on(4),
							}
							mustBeSound(t, s, Decide(s))
						}
					}
				}
			}
		}
	}
}

func mustBeSound(t *testing.T, s State, d Decision) {
	t.Helper()
	asked := s.Mode == wasmv1alpha1.ActivationImmediate || s.Standing == s.Wanted || (s.Known && s.Matched == 0) ||
		(s.Trial.Stands && s.Trial.Content == s.Wanted && s.OnTrial.Complete && !s.OnTrial.Rejected)
	switch {
	case d.Action == "" || d.Phase == "":
		t.Errorf("%+v isn't decided: %+v", s, d)
	case d.Action == Bring && !asked:
		t.Errorf("%+v comes into force untried: %+v", s, d)
	case d.Action == Try && !s.Turn && (!s.Trial.Stands || s.Trial.Content != s.Wanted):
		t.Errorf("%+v is tried out of turn: %+v", s, d)
	case s.Mode == wasmv1alpha1.ActivationImmediate && d.Action == Hold:
		t.Errorf("%+v is held up: %+v", s, d)
	case s.Standing == s.Wanted && s.Trial.Exists && s.InForce.Complete && !d.EndTrial:
		t.Errorf("%+v leaves the trial: %+v", s, d)
	}
}

// TestSilentProxyIsWaitedForAWhile: a trial in force that a proxy never takes over goes, and the operator looks again for that.
func TestSilentProxyIsWaitedForAWhile(t *testing.T) {
	got := Decide(safe(func(s *State) { s.Trial, s.Standing = trialOf("new"), "new" }))
	if got.EndTrial || got.Wake != 2*deadline-time.Second {
		t.Errorf("got %+v", got)
	}
}
