// SPDX-License-Identifier: Apache-2.0

package status

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// Canary is how far a change is with the canary proxies.
type Canary struct {
	// Change is by which a user names it.
	Change string
	// Matched and Programmed are numbers of canary proxies.
	Matched, Programmed int
	// Until is when the others get it; zero where that isn't known yet.
	Until time.Time
	// Uncounted says that their statistics don't tell how many requests fail.
	Uncounted bool
	// Ended is why it was taken back: Refused, Failing or Aborted.
	Ended string
}

func (p Proxies) onCanary() Verdict {
	canary := p.Canary
	byHand := fmt.Sprintf(" Annotation %s or %s with value %s ends that by hand.", wasmv1alpha1.AnnotationPromote, wasmv1alpha1.AnnotationAbort, canary.Change)
	verdict := Verdict{Status: metav1.ConditionUnknown, Reason: wasmv1alpha1.ReasonOnCanary, Retrying: true}
	switch {
	case len(p.Unread) > 0 || len(p.Waiting)+len(p.Blocked) > 0:
		verdict.Message = fmt.Sprintf("Change %s is on canary; these proxies have not acknowledged it yet: %s.", canary.Change, p.unanswered())
	case canary.Matched == 0:
		verdict.Message = fmt.Sprintf("Change %s waits for canary proxies: none that is connected has the labels of spec.rollout and runs the plugin already.", canary.Change)
	case canary.Until.IsZero():
		verdict.Message = fmt.Sprintf("Change %s is on canary in %d proxies.", canary.Change, canary.Programmed)
	default:
		verdict.Message = fmt.Sprintf("Change %s is on canary in %d proxies; the others get it at %s.", canary.Change, canary.Programmed,
			canary.Until.UTC().Format(time.RFC3339))
	}
	if canary.Uncounted && !canary.Until.IsZero() {
		verdict.Message += " Their statistics tell of no request, so that their acknowledgement alone counts."
	}
	verdict.Message += byHand + inEffect(p.Stands)
	return verdict
}

func (p Proxies) takenBack() Verdict {
	why := "an annotation asked for it"
	switch p.Canary.Ended {
	case "Refused":
		why = "a canary proxy refused it"
		if len(p.Rejections) > 0 {
			why = fmt.Sprintf("proxy %s refused it: %s", p.Rejections[0].Proxy, p.Rejections[0].Message)
		}
	case "Failing":
		why = "more of their requests failed than before (status 500 to 599)"
	}
	return Verdict{
		Status: metav1.ConditionFalse, Reason: wasmv1alpha1.ReasonTakenBack,
		Message: Sentence(fmt.Sprintf("Change %s was taken back from the canary proxies: %s", p.Canary.Change, why)) + inEffect(p.Stands) +
			" To try it again, change annotation " + wasmv1alpha1.AnnotationRefresh + ".",
	}
}
