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

// NotApplied is the verdict on the pair of a spec that isn't accepted.
func NotApplied(pairStands bool) Verdict {
	message := "Nothing is applied, since the spec isn't accepted."
	if pairStands {
		message = "The EnvoyFilters of the last accepted spec stand; this one isn't accepted."
	}
	return Verdict{Status: metav1.ConditionUnknown, Reason: wasmv1alpha1.ReasonNotAccepted, Message: message}
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
