// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"testing"
	"time"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

const hold = 5 * time.Minute

// withCanary is a plugin of which a change has been with its canary proxies for a minute.
func withCanary(change func(*State)) State {
	return safe(func(s *State) {
		s.Canaries = Canaries{Wanted: true, Hold: hold, Asked: true}
		s.Canary = canaryOf("new")
		s.OnCanary.Complete = true
		s.Now = start.Add(time.Minute)
		change(s)
	})
}

func canaryOf(content string) Canary {
	return Canary{Exists: true, Stands: true, Content: content, CanaryMemory: CanaryMemory{Since: start}}
}

func takenBack(content string) Canary {
	canary := canaryOf(content)
	canary.Stands, canary.Ended = false, EndedRefused
	return canary
}

func TestDecideOnCanaries(t *testing.T) {
	promoted := Decision{Action: Bring, Phase: InForce, EndCanary: true}
	back := func(why Ended) Decision {
		return Decision{Action: TakeBack, Phase: TakenBack, CanaryMemory: CanaryMemory{Ended: why}}
	}
	waits := Decision{Action: Hold, Phase: OnCanary}
	none := func(change func(*State)) State {
		return withCanary(func(s *State) { s.Canary = Canary{}; change(s) })
	}
	trial := func(change func(*State)) State {
		return none(func(s *State) { s.Trial, s.OnTrial.Complete = trialOf("new"), true; change(s) })
	}
	tests := map[string]struct {
		state State
		want  Decision
	}{
		// Before it.
		"a change is tried first":   {none(func(*State) {}), Decision{Action: Try, Phase: OnTrial}},
		"refused on trial":          {trial(func(s *State) { s.OnTrial.Rejected = true }), Decision{Action: Refuse, Phase: Refused}},
		"then it goes to canaries":  {trial(func(*State) {}), Decision{Action: ToCanary, Phase: OnCanary}},
		"no trial, as none matches": {none(func(s *State) { s.Matched = 0 }), Decision{Action: Bring, Phase: InForce}},
		"the place alone changes":   {none(func(s *State) { s.Standing = "new" }), Decision{Action: Bring, Phase: InForce}},
		"a trial that times out, to proceed": {
			trial(func(s *State) {
				s.OnTrial, s.Now, s.OnDeadline = Answers{}, start.Add(deadline), wasmv1alpha1.OnDeadlineProceed
			}), Decision{Action: ToCanary, Phase: OnCanary},
		},

		// It stands.
		"not acknowledged":             {withCanary(func(s *State) { s.OnCanary, s.Canary.Since = Answers{}, time.Time{} }), waits},
		"not acknowledged, with trial": {withCanary(func(s *State) { s.OnCanary, s.Trial = Answers{}, trialOf("new") }), Decision{Action: Hold, Phase: OnCanary, Wake: time.Minute}},
		"never acknowledged, with trial": {
			withCanary(func(s *State) { s.OnCanary, s.Trial, s.Now = Answers{}, trialOf("new"), start.Add(time.Hour) }),
			Decision{Action: Hold, Phase: OnCanary, EndTrial: true},
		},
		"acknowledged":             {withCanary(func(s *State) { s.Canary.Since = time.Time{} }), Decision{Action: ToCanary, Phase: OnCanary, Wake: hold}},
		"acknowledged, with trial": {withCanary(func(s *State) { s.Trial = trialOf("new") }), Decision{Action: Hold, Phase: OnCanary, Wake: hold - time.Minute, EndTrial: true}},
		"held":                     {withCanary(func(*State) {}), Decision{Action: Hold, Phase: OnCanary, Wake: hold - time.Minute}},
		"held long enough":         {withCanary(func(s *State) { s.Now = start.Add(hold) }), promoted},
		"held long enough, but nobody was asked what failed since": {
			withCanary(func(s *State) { s.Now, s.Canaries.Asked = start.Add(time.Hour), false }),
			Decision{Action: Hold, Phase: OnCanary, Wake: lookAgain},
		},
		"held long enough, but one comes anew": {
			withCanary(func(s *State) { s.Now, s.OnCanary.Complete = start.Add(hold), false }), waits,
		},
		"held up by another":  {withCanary(func(s *State) { s.OnCanary = Answers{Blocked: true} }), waits},
		"asked anew":          {withCanary(func(s *State) { s.OnCanary = Answers{Unblocked: true} }), Decision{Action: ToCanary, Phase: OnCanary}},
		"half of it is lost":  {withCanary(func(s *State) { s.Canary.Stands = false }), Decision{Action: ToCanary, Phase: OnCanary}},
		"all of it is lost":   {none(func(*State) {}), Decision{Action: Try, Phase: OnTrial}},
		"its memory is lost":  {withCanary(func(s *State) { s.Canary = Canary{Exists: true} }), Decision{Action: Try, Phase: OnTrial, EndCanary: true}},
		"no proxy is known":   {withCanary(func(s *State) { s.Known, s.OnCanary.Complete = false, false }), waits},
		"restarted, unpolled": {withCanary(func(s *State) { s.OnCanary, s.Now = Answers{}, start.Add(time.Hour) }), waits},

		// It ends.
		"refused":              {withCanary(func(s *State) { s.OnCanary = Answers{Rejected: true} }), back(EndedRefused)},
		"refused in the end":   {withCanary(func(s *State) { s.OnCanary, s.Now = Answers{Rejected: true}, start.Add(hold) }), back(EndedRefused)},
		"promoted by hand":     {withCanary(func(s *State) { s.Canaries.Promote = true }), promoted},
		"promoted unanswered":  {withCanary(func(s *State) { s.Canaries.Promote, s.OnCanary = true, Answers{} }), promoted},
		"aborted by hand":      {withCanary(func(s *State) { s.Canaries.Abort = true }), back(EndedAborted)},
		"without canaries now": {withCanary(func(s *State) { s.Canaries.Wanted = false }), promoted},
		"switched off":         {withCanary(func(s *State) { s.Mode, s.Canaries.Wanted = wasmv1alpha1.ActivationOff, false }), promoted},
		"immediate now":        {withCanary(func(s *State) { s.Mode = wasmv1alpha1.ActivationImmediate }), promoted},
		"failing": {withCanary(func(s *State) {
			s.Canary.Before, s.Canaries.Failures = Failures{"a": {Requests: 9}}, Failures{"a": {Requests: 90, Failed: 80}}
		}), back(EndedFailing)},
		"counted late": {
			withCanary(func(s *State) { s.Canaries.Failures = Failures{"a": {Requests: 90, Failed: 80}} }),
			Decision{Action: ToCanary, Phase: OnCanary, Wake: hold - time.Minute},
		},
		"a second change":              {withCanary(func(s *State) { s.Canary = canaryOf("other") }), Decision{Action: Try, Phase: OnTrial, EndCanary: true}},
		"a second change as it is":     {withCanary(func(s *State) { s.Canary, s.OnCanary = canaryOf("other"), Answers{Rejected: true} }), Decision{Action: Try, Phase: OnTrial, EndCanary: true}},
		"the spec changes back":        {withCanary(func(s *State) { s.Canary, s.Standing = canaryOf("other"), "new" }), promoted},
		"in force, the canary is left": {withCanary(func(s *State) { s.Standing = "new" }), promoted},
		"stays taken back":             {withCanary(func(s *State) { s.Canary = takenBack("new") }), Decision{Action: Hold, Phase: TakenBack}},
		"taken back, the trial is left": {withCanary(func(s *State) { s.Canary, s.Trial = takenBack("new"), trialOf("new") }), Decision{
			Action: Hold, Phase: TakenBack, EndTrial: true,
		}},
		"stays so though it is promoted": {withCanary(func(s *State) { s.Canary, s.Canaries.Promote = takenBack("new"), true }), Decision{Action: Hold, Phase: TakenBack}},
		"asked for again":                {withCanary(func(s *State) { s.Canary, s.Refresh = takenBack("new"), "again" }), Decision{Action: Try, Phase: OnTrial}},
		"asked for again, tried": {withCanary(func(s *State) {
			s.Canary, s.Refresh, s.Trial, s.OnTrial.Complete = takenBack("new"), "again", trialOf("new"), true
		}), Decision{Action: ToCanary, Phase: OnCanary}},
		"taken back, and mended": {withCanary(func(s *State) { s.Canary = takenBack("bad") }), Decision{Action: Try, Phase: OnTrial, EndCanary: true}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := Decide(test.state)
			if got.Action != test.want.Action || got.Phase != test.want.Phase || got.EndTrial != test.want.EndTrial ||
				got.EndCanary != test.want.EndCanary || (got.Action == TakeBack && got.CanaryMemory.Ended != test.want.CanaryMemory.Ended) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			if got.Action != Try && got.Wake != test.want.Wake {
				t.Errorf("wakes after %s, want %s", got.Wake, test.want.Wake)
			}
		})
	}
}

// TestMemoryOfCanaries: the time counts from the acknowledgement, and a proxy is asked anew under another name.
func TestMemoryOfCanaries(t *testing.T) {
	counted := Failures{"a": {Requests: 7, Failed: 1}}
	got := Decide(withCanary(func(s *State) { s.Canary.Since, s.Canaries.Failures = time.Time{}, counted })).CanaryMemory
	if !got.Since.Equal(start.Add(time.Minute)) || got.Before["a"] != counted["a"] {
		t.Errorf("acknowledged: %+v", got)
	}
	got = Decide(withCanary(func(s *State) { s.OnCanary = Answers{Unblocked: true} })).CanaryMemory
	if got.Attempt != 1 || !got.Since.Equal(start) {
		t.Errorf("asked anew: %+v", got)
	}
}

// TestEveryCanaryIsDecided: what was neither tried nor acknowledged never reaches all proxies, but by a user's word.
func TestEveryCanaryIsDecided(t *testing.T) {
	for _, canary := range []Canary{{}, canaryOf("new"), canaryOf("other"), takenBack("new"), {Exists: true}} {
		for _, trial := range []Trial{{}, trialOf("new"), trialOf("other"), refusedTrial("new")} {
			for bits := range 256 {
				on := func(bit int) bool { return bits&(1<<bit) != 0 }
				s := withCanary(func(s *State) {
					s.Canary, s.Trial = canary, trial
					s.OnTrial.Complete, s.OnCanary.Complete, s.OnCanary.Rejected = on(0), on(1), on(2)
					s.Canaries.Promote, s.Canaries.Abort, s.Known, s.Turn = on(3), on(4), on(5), on(6)
					if on(7) {
						s.Now = start.Add(hold)
					}
				})
				d := Decide(s)
				byTime := canary.Stands && s.OnCanary.Complete && on(7)
				tried := trial.Stands && trial.Content == "new" && s.OnTrial.Complete
				byHand := canary.Exists && canary.Content == "new" && canary.Ended == "" && s.Canaries.Promote
				switch {
				case d.Action == Bring && !byTime && !byHand:
					t.Errorf("%+v comes into force untried: %+v", s, d)
				case d.Action == ToCanary && !canary.Exists && !tried:
					t.Errorf("%+v goes to canaries untried: %+v", s, d)
				case d.EndCanary != (canary.Exists && (d.Action == Bring || canary.Content != "new")):
					t.Errorf("%+v ends the canary: %+v", s, d)
				}
			}
		}
	}
}

func TestFailures(t *testing.T) {
	tests := map[string]struct {
		before, now Counts
		want        bool
	}{
		"nothing happens":        {Counts{100, 1}, Counts{100, 1}, false},
		"all fail":               {Counts{100, 1}, Counts{110, 11}, true},
		"the first ones fail":    {Counts{}, Counts{5, 5}, true},
		"a few fail":             {Counts{100, 1}, Counts{104, 5}, false},
		"as many as ever":        {Counts{100, 20}, Counts{200, 40}, false},
		"a few more than before": {Counts{1000, 10}, Counts{2000, 60}, false},
		"clearly more":           {Counts{1000, 10}, Counts{2000, 110}, true},
		"started anew, well":     {Counts{1000, 10}, Counts{50, 0}, false},
		"started anew, failing":  {Counts{1000, 10}, Counts{50, 9}, true},
	}
	for name, test := range tests {
		if got := (Failures{"a": test.now, "b": {9, 9}}).worseThan(Failures{"a": test.before, "c": {}}); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	if Failures(nil).worseThan(nil) {
		t.Error("nothing is known, and that is worse")
	}
}
