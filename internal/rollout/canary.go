// SPDX-License-Identifier: Apache-2.0

package rollout

import "time"

// Canary is what the EnvoyFilters of a canary tell.
type Canary struct {
	// Exists says that one of them does; Stands that proxies are sent them, and Content what.
	Exists, Stands bool
	Content        string
	CanaryMemory
}

// CanaryMemory is what is remembered of a canary, beside its EnvoyFilters.
type CanaryMemory struct {
	// Since is when all canary proxies were first known to run it; zero until then.
	Since time.Time `json:"since,omitzero"`
	// Before is what the canary proxies had counted by then, or when that could first be read; nil until it can.
	Before Failures `json:"before,omitempty"`
	// Attempt counts how often its proxies were asked anew.
	Attempt int `json:"attempt,omitempty"`
	// Refresh is State.Refresh at the time.
	Refresh string `json:"refresh,omitempty"`
	// Ended is why it was taken back; empty where it wasn't.
	Ended Ended `json:"ended,omitempty"`
	// Rejections are the refusals that ended it, and Total how many there were.
	Rejections []Rejection `json:"rejections,omitempty"`
	Total      int         `json:"total,omitempty"`
}

// Ended is why a canary was taken back.
type Ended string

// Values of Ended.
const (
	// Refused: a canary proxy refused what it had accepted on trial.
	EndedRefused Ended = "Refused"
	// Failing: more requests fail than did before.
	EndedFailing Ended = "Failing"
	// Aborted: a user said so.
	EndedAborted Ended = "Aborted"
)

// Canaries is how changes are brought to canary proxies first, and what is known of these.
type Canaries struct {
	// Wanted says that they are: the spec asks for it, and the pair that stands can be replaced.
	Wanted bool
	// Hold is how long all canary proxies must have run a change.
	Hold time.Duration
	// Promote and Abort are a user's word on this very content.
	Promote, Abort bool
	// Failures is what the canary proxies have counted by now; nil where that can't be read.
	Failures Failures
	// Asked says that they were asked for that since the operator's start.
	Asked bool
}

// onCanary goes by what the canary proxies say; ok is false where it isn't with them.
func onCanary(s State) (decision Decision, ok bool) {
	canary := s.Canary
	switch {
	case !canary.Exists || canary.Content != s.Wanted:
		return Decision{}, false
	case canary.Ended != "":
		// It is gone through again, from the trial on, where it was asked for again. A trial is left where the operator died
		// while it took all of it back.
		decision := Decision{Action: Hold, Phase: TakenBack, CanaryMemory: canary.CanaryMemory, EndTrial: s.Trial.Exists}
		return decision, s.Canaries.Wanted && canary.Refresh == s.Refresh
	}
	if decision, ended := endOf(s); ended {
		return decision, true
	}
	if !canary.Stands {
		return passed(s), true
	}
	return held(s), true
}

// endOf says whether a canary ends now. A user's word counts before the proxies', and a refusal before the time.
func endOf(s State) (Decision, bool) {
	canary := s.Canary
	switch {
	case s.Canaries.Promote, !s.Canaries.Wanted:
		// It has passed its trial.
		return Decision{Action: Bring, Phase: InForce}, true
	case s.Canaries.Abort:
		return takeBack(s, EndedAborted), true
	case s.OnCanary.Rejected:
		return takeBack(s, EndedRefused), true
	case !canary.Since.IsZero() && s.Canaries.Failures.worseThan(canary.Before):
		return takeBack(s, EndedFailing), true
	default:
		return Decision{}, false
	}
}

// held waits until all canary proxies run it, and then for its time to pass.
func held(s State) Decision {
	decision := Decision{Action: Hold, Phase: OnCanary, CanaryMemory: s.Canary.CanaryMemory}
	memory := &decision.CanaryMemory
	// The VM of the trial is kept until the canary proxies have taken it over, but not for those that never do.
	keep := s.Deadline - s.Now.Sub(s.Trial.Since)
	decision.EndTrial = s.Trial.Exists && (s.OnCanary.Complete || s.Trial.Content != s.Wanted || keep <= 0)
	if !s.OnCanary.Complete {
		if s.Trial.Exists {
			decision.Wake = max(keep, 0)
		}
		if s.OnCanary.Unblocked {
			// What a proxy refused in the same breath covers this content as well.
			decision.Action = ToCanary
			memory.Attempt++
		}
		return decision
	}
	if memory.Since.IsZero() {
		decision.Action, memory.Since = ToCanary, s.Now
	}
	if len(memory.Before) == 0 && len(s.Canaries.Failures) > 0 {
		decision.Action, memory.Before = ToCanary, s.Canaries.Failures
	}
	decision.Wake = s.Canaries.Hold - s.Now.Sub(memory.Since)
	if decision.Wake <= 0 {
		return heldEnough(s, decision)
	}
	return decision
}

// heldEnough promotes a canary, but not before its failures were asked for: the operator may have been away meanwhile.
func heldEnough(s State, decision Decision) Decision {
	if !s.Canaries.Asked {
		decision.Wake = lookAgain
		return decision
	}
	return Decision{Action: Bring, Phase: InForce}
}

// passed is for content that has passed its trial.
func passed(s State) Decision {
	if !s.Canaries.Wanted {
		return Decision{Action: Bring, Phase: InForce}
	}
	return Decision{Action: ToCanary, Phase: OnCanary, CanaryMemory: CanaryMemory{Refresh: s.Refresh}}
}

func takeBack(s State, why Ended) Decision {
	memory := s.Canary.CanaryMemory
	memory.Ended, memory.Refresh = why, s.Refresh
	return Decision{Action: TakeBack, Phase: TakenBack, CanaryMemory: memory, EndTrial: s.Trial.Exists}
}
