// SPDX-License-Identifier: Apache-2.0

// Package rollout decides what of a plugin is written now: the pair that is in force, or the one that is on trial. It is
// pure, and nobody else decides that.
package rollout

import (
	"fmt"
	"strconv"
	"time"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// State is all that a decision is made of.
type State struct {
	// Mode is the one in effect, Safe, Immediate or Off.
	Mode wasmv1alpha1.ActivationMode
	// Wanted is the content of the pair that the spec asks for, and Standing that of the one that is in force, empty where
	// there is none.
	Wanted, Standing string
	// Trial is what stands, or is remembered, of a trial.
	Trial Trial
	// Matched says how many proxies the plugin matches. It counts only where Known.
	Matched int
	Known   bool
	// Canary is what stands of a canary, and Canaries how changes are brought to canary proxies first.
	Canary   Canary
	Canaries Canaries
	// OnTrial, OnCanary and InForce say what the proxies made of the trial, the canary, and the pair that is in force.
	OnTrial, OnCanary, InForce Answers
	// Turn says that no other plugin is on trial in a proxy of this one.
	Turn bool
	Now  time.Time
	// Deadline is how long a trial may take, OnDeadline what happens then.
	Deadline   time.Duration
	OnDeadline wasmv1alpha1.OnDeadline
	// Refresh is the value of the plugin's annotation by which a user asks for another attempt.
	Refresh string
}

// Trial is what the EnvoyFilters of a trial tell.
type Trial struct {
	// Exists says that one of them does; Stands that proxies are sent them, and Content what.
	Exists, Stands bool
	Content        string
	Memory
}

// Memory is what is remembered of a trial, beside its EnvoyFilters.
type Memory struct {
	Since   time.Time `json:"since"`
	Attempt int       `json:"attempt,omitempty"`
	// Refresh is State.Refresh at the time.
	Refresh string `json:"refresh,omitempty"`
	// Rejections are the refusals that ended it.
	Rejections []Rejection `json:"rejections,omitempty"`
	// Total is how many there were.
	Total int `json:"total,omitempty"`
}

// ID tells one attempt from every other.
func (m Memory) ID() string {
	return fmt.Sprintf("%s.%d", strconv.FormatInt(m.Since.UnixMilli(), 36), m.Attempt)
}

// Rejection is a proxy's refusal, in Envoy's words.
type Rejection struct {
	Proxy   string `json:"proxy"`
	Message string `json:"message"`
}

// Answers are what proxies made of something.
type Answers struct {
	// Complete says that every proxy that matches runs it.
	Complete bool
	// Rejected says that one refused it; Blocked that one refused something else in the same breath, so that it isn't known
	// what it would say of this; Unblocked that it has since accepted something.
	Rejected, Blocked, Unblocked bool
	// Uncertain says that all have acknowledged it, and that one may have refused it unseen.
	Uncertain bool
}

// Action is what is to be done now.
type Action string

// The actions.
const (
	// Bring writes the pair that the spec asks for, where it differs from what stands.
	Bring Action = "Bring"
	// Try writes the trial.
	Try Action = "Try"
	// Refuse takes the trial away and remembers who refused it.
	Refuse Action = "Refuse"
	// ToCanary writes the canary.
	ToCanary Action = "ToCanary"
	// TakeBack takes the canary away and remembers why.
	TakeBack Action = "TakeBack"
	// Hold writes nothing.
	Hold Action = "Hold"
)

// Phase is how far a change is, for the status.
type Phase string

// The phases.
const (
	InForce  Phase = "InForce"
	OnTrial  Phase = "OnTrial"
	Queued   Phase = "Queued"
	Blind    Phase = "Blind"
	Refused  Phase = "Refused"
	TimedOut Phase = "TimedOut"
	// OnCanary and TakenBack are of a change that has passed its trial.
	OnCanary  Phase = "OnCanary"
	TakenBack Phase = "TakenBack"
)

// Decision is what is to be done, why, and when to look again where nothing happens, 0 for never.
type Decision struct {
	Action Action
	Phase  Phase
	// Memory and CanaryMemory are what is to be remembered of a trial, and of a canary.
	Memory       Memory
	CanaryMemory CanaryMemory
	Wake         time.Duration
	// EndTrial and EndCanary take away what is left of them, after the action.
	EndTrial, EndCanary bool
	// Silence switches off what is in force, before the action, where that isn't what the spec asks for.
	Silence bool
}

// Decide decides.
func Decide(s State) Decision {
	decision := decide(s)
	// Who switches a plugin off means what runs, and doesn't wait for a trial of what doesn't.
	decision.Silence = s.Mode == wasmv1alpha1.ActivationOff && s.Standing != "" && decision.Phase != InForce
	// A canary of other content, or of what is in force everywhere, has nothing more to tell.
	decision.EndCanary = s.Canary.Exists && (decision.Phase == InForce || s.Canary.Content != s.Wanted)
	return decision
}

func decide(s State) Decision {
	if s.Mode == wasmv1alpha1.ActivationImmediate || s.Wanted == s.Standing {
		return inForce(s)
	}
	if decision, ok := onCanary(s); ok {
		return decision
	}
	return onTheWay(s)
}

// onTheWay is for content that isn't in force anywhere.
func onTheWay(s State) Decision {
	switch trial := s.Trial; {
	case trial.Exists && !trial.Stands && trial.Content == s.Wanted && len(trial.Rejections) > 0 && trial.Refresh == s.Refresh:
		return Decision{Action: Hold, Phase: Refused, Memory: trial.Memory}
	case trial.Stands && trial.Content == s.Wanted && len(trial.Rejections) == 0:
		return onTrial(s)
	default:
		return begin(s)
	}
}

// inForce is for content that needs no trial: it is brought, and what is left of a trial goes when the proxies run it. The
// VM of the trial is kept until then: it becomes the pair's.
func inForce(s State) Decision {
	decision := Decision{Action: Bring, Phase: InForce}
	switch {
	case !s.Trial.Exists || (s.Wanted != s.Standing && s.Mode != wasmv1alpha1.ActivationImmediate):
	case needed(s):
		// A proxy that doesn't answer is waited for no longer than that.
		decision.Wake = max(2*s.Deadline-s.Now.Sub(s.Trial.Since), 0)
	default:
		decision.EndTrial = true
	}
	return decision
}

// needed says whether the trial still keeps a VM that proxies are about to take over.
func needed(s State) bool {
	if !s.Trial.Stands || s.Trial.Content != s.Wanted || s.InForce.Complete || s.InForce.Rejected {
		return false
	}
	return s.Wanted != s.Standing || s.Now.Sub(s.Trial.Since) < 2*s.Deadline
}

// lookAgain is when to see whether proxies are known by now.
const lookAgain = 2 * time.Second

// begin starts a trial, or ends one of other content by starting this one in its place.
func begin(s State) Decision {
	waiting := Decision{Action: Hold, Phase: Queued}
	switch {
	case !s.Known:
		waiting.Phase, waiting.Wake = Blind, lookAgain
		return waiting
	case s.Matched == 0:
		// Nobody is there to ask, and nobody's requests to spare.
		return Decision{Action: Bring, Phase: InForce}
	case !s.Turn:
		return waiting
	default:
		return Decision{Action: Try, Phase: OnTrial, Memory: Memory{Since: s.Now, Refresh: s.Refresh}, Wake: s.Deadline}
	}
}

// maxAttempts bounds how often proxies are asked again where their acknowledgement may hide a refusal.
const maxAttempts = 3

// onTrial goes by what the proxies say. A refusal counts before a deadline, and one proxy's before all acceptances.
func onTrial(s State) Decision {
	left := s.Deadline - s.Now.Sub(s.Trial.Since)
	switch {
	case s.OnTrial.Rejected:
		return Decision{Action: Refuse, Phase: Refused, Memory: s.Trial.Memory}
	case s.Known && s.Matched == 0:
		return Decision{Action: Bring, Phase: InForce}
	case s.OnTrial.Complete:
		return passed(s)
	case s.OnTrial.Uncertain && s.Trial.Attempt >= maxAttempts:
		// A mesh with that many pushes would never give a better answer.
		return passed(s)
	case s.OnTrial.Unblocked, s.OnTrial.Uncertain:
		// What a proxy refused in the same breath covers this content as well: it is asked anew, under another name.
		again := s.Trial.Memory
		again.Attempt++
		return Decision{Action: Try, Phase: OnTrial, Memory: again, Wake: max(left, 0)}
	case left > 0:
		return Decision{Action: Hold, Phase: OnTrial, Wake: left}
	case s.OnDeadline == wasmv1alpha1.OnDeadlineProceed:
		return passed(s)
	default:
		// The trial goes on: whoever answers late still counts.
		return Decision{Action: Hold, Phase: TimedOut}
	}
}
