// SPDX-License-Identifier: Apache-2.0

package status

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// Accepted is the verdict on a good spec; the notes are further sentences.
func Accepted(notes []string) Verdict {
	return Verdict{
		Status: metav1.ConditionTrue, Reason: wasmv1alpha1.ReasonAccepted,
		Message: strings.Join(append([]string{"The spec is accepted."}, notes...), " "),
	}
}

// Rejected is the verdict on a spec that can't be used. Where a pair stands, from an earlier time, it says so.
func Rejected(reason, problem string, pairStands bool) Verdict {
	message := Sentence(problem)
	if pairStands {
		message += " The last accepted spec stays in effect."
	}
	if pairStands && reason == wasmv1alpha1.ReasonReferenceNotPermitted {
		// Who took a consent back must know that it isn't the end of it.
		message += " The rules that were made while it was allowed stay in effect until the source is allowed again or taken out of the spec."
	}
	return Verdict{Status: metav1.ConditionFalse, Reason: reason, Message: message}
}

// RulesRejected is the verdict on rules with which the plugin doesn't start.
func RulesRejected(problem string, pairStands bool) Verdict {
	return Rejected(wasmv1alpha1.ReasonRulesRejected, problem, pairStands)
}

// Resolved is the verdict on a module that is there; the notes are further sentences.
func Resolved(notes ...string) Verdict {
	return Verdict{
		Status: metav1.ConditionTrue, Reason: wasmv1alpha1.ReasonResolved,
		Message: strings.Join(notes, " "),
	}
}

// Resolving is the verdict on a module that is on its way.
func Resolving(pairStands bool) Verdict {
	return Verdict{
		Status: metav1.ConditionUnknown, Reason: wasmv1alpha1.ReasonResolving, Retrying: true,
		Message: "The module is being fetched and tried." + inEffect(pairStands),
	}
}

// NotLookedAt is the verdict on the module of a spec that isn't accepted.
func NotLookedAt() Verdict {
	return Verdict{
		Status: metav1.ConditionUnknown, Reason: wasmv1alpha1.ReasonNotAccepted,
		Message: "The module isn't looked at, since the spec isn't accepted.",
	}
}

// NotResolved is the verdict on a module that can't be had. Retrying says that the operator goes on by itself.
func NotResolved(reason, problem string, pairStands, retrying bool) Verdict {
	return Verdict{
		Status: metav1.ConditionFalse, Reason: reason, Retrying: retrying,
		Message: Sentence(problem) + inEffect(pairStands),
	}
}

func inEffect(pairStands bool) string {
	if pairStands {
		return " What was applied last stays in effect."
	}
	return ""
}

// WithoutModule is the verdict on the pair of a spec whose module isn't there.
func WithoutModule(pairStands bool) Verdict {
	message := "Nothing is applied until the module is there."
	if pairStands {
		message = "The EnvoyFilters of an earlier time stand, until the module is there."
	}
	return Verdict{Status: metav1.ConditionUnknown, Reason: wasmv1alpha1.ReasonNotResolved, Message: message}
}

// NotApplied is the verdict on the pair of a spec that isn't accepted.
func NotApplied(pairStands bool) Verdict {
	message := "Nothing is applied, since the spec isn't accepted."
	if pairStands {
		message = "The EnvoyFilters of the last accepted spec stand; this one isn't accepted."
	}
	return Verdict{Status: metav1.ConditionUnknown, Reason: wasmv1alpha1.ReasonNotAccepted, Message: message}
}

// SwitchedOff is the verdict on the pair of an earlier time where there is no new one, for a reason, and nothing is to run.
func SwitchedOff(reason string) Verdict {
	return Verdict{Status: metav1.ConditionUnknown, Reason: reason, Message: "What was applied last is switched off."}
}

// Applied is the verdict on a pair that stands.
func Applied() Verdict {
	return Verdict{
		Status: metav1.ConditionTrue, Reason: wasmv1alpha1.ReasonApplied,
		Message: "Both EnvoyFilters stand as rendered.",
	}
}

// ApplyFailed is the verdict on a pair that could not be written. Retrying says that the operator goes on by itself.
func ApplyFailed(reason, problem string, retrying bool) Verdict {
	return Verdict{Status: metav1.ConditionFalse, Reason: reason, Message: problem, Retrying: retrying}
}
