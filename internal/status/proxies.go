// SPDX-License-Identifier: Apache-2.0

package status

import (
	"fmt"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// Progress is how far a change is on its way into the proxies.
type Progress string

// Values of Progress.
const (
	// InForce: the pair of this generation stands.
	InForce Progress = "InForce"
	// OnTrial: it stands where no request passes.
	OnTrial Progress = "OnTrial"
	// Queued: another plugin is on trial in the same proxies.
	Queued Progress = "Queued"
	// Blind: it isn't known which proxies there are.
	Blind Progress = "Blind"
	// Refused: a proxy refused it on trial.
	Refused Progress = "Refused"
	// TimedOut: a proxy didn't answer in time.
	TimedOut Progress = "TimedOut"
	// OnCanary: some proxies have it.
	OnCanary Progress = "OnCanary"
	// TakenBack: they had it.
	TakenBack Progress = "TakenBack"
)

// Crowd is how many plugins of this operator may be in one proxy before their statuses warn: the time in which istiod makes
// the listeners of a proxy grows about with the square of the EnvoyFilters that match it (measured with Istio 1.31 and 20
// listeners: 1.3 ms with 10 plugins, 19 ms with 100, 3.2 s with 1,000).
const Crowd = 50

// Proxies is what is known of the proxies.
type Proxies struct {
	Progress Progress
	// Stands says that an earlier generation is in force.
	Stands bool
	// Matched, Programmed and Idle are numbers of proxies: of those that are to run it, that do, and that match and have no
	// listener for it.
	Matched, Programmed, Idle int
	// Uncertain have acknowledged it, and may have refused it unseen.
	Uncertain int
	// Fullest is the matched proxy with the most plugins of this operator, Plugins how many those are.
	Fullest string
	Plugins int
	// Rejections are refusals, at most as many as a status holds, and RejectedTotal how many there are.
	Rejections    []wasmv1alpha1.ProxyRejection
	RejectedTotal int
	// Blocked refuse something else in the same push.
	Blocked []wasmv1alpha1.ProxyRejection
	// Waiting have not answered; Unread says why proxies aren't known.
	Waiting, Unread []string
	// Canary is about the canary proxies, where the change is, or was, with them.
	Canary *Canary
}

// programmed is the verdict on the proxies.
func (p Proxies) programmed() Verdict {
	switch {
	case p.Progress == OnCanary:
		return p.onCanary()
	case p.Progress == TakenBack:
		return p.takenBack()
	case p.Progress == Refused || len(p.Rejections) > 0:
		return p.rejected()
	case p.Progress == Blind:
		return Verdict{
			Status: metav1.ConditionUnknown, Reason: wasmv1alpha1.ReasonWaiting, Retrying: true,
			Message: "The change waits for a trial, for which istiod must say what its proxies do: " + strings.Join(p.Unread, "; ") + "." + inEffect(p.Stands),
		}
	case p.Progress == Queued:
		return Verdict{
			Status: metav1.ConditionUnknown, Reason: wasmv1alpha1.ReasonWaiting, Retrying: true,
			Message: "The change waits for its turn: another plugin is on trial in the same proxies." + inEffect(p.Stands),
		}
	case p.Progress == OnTrial || p.Progress == TimedOut:
		return Verdict{
			Status: metav1.ConditionUnknown, Reason: wasmv1alpha1.ReasonWaiting, Retrying: true,
			Message: fmt.Sprintf("The change is on trial, where no request passes; these have not accepted it yet: %s.%s", p.unanswered(), inEffect(p.Stands)),
		}
	default:
		return p.inForce()
	}
}

func (p Proxies) rejected() Verdict {
	first, words := "a proxy", ""
	if len(p.Rejections) > 0 {
		first, words = "proxy "+p.Rejections[0].Proxy, ": "+p.Rejections[0].Message
	}
	message := first + " refuses it" + words
	if p.RejectedTotal > 1 {
		message = fmt.Sprintf("%d proxies refuse it, first %s%s", p.RejectedTotal, first, words)
	}
	message = Sentence(message)
	if p.Progress == Refused {
		message += " That was on trial, where no request passes." + inEffect(p.Stands)
		if !p.Stands {
			message += " Nothing was brought into force."
		}
	}
	return Verdict{Status: metav1.ConditionFalse, Reason: wasmv1alpha1.ReasonRejected, Message: message}
}

func (p Proxies) inForce() Verdict {
	switch {
	case len(p.Blocked) > 0:
		return Verdict{
			Status: metav1.ConditionFalse, Reason: wasmv1alpha1.ReasonBlockedByOther, Retrying: true,
			Message: fmt.Sprintf("Proxy %s refuses what it is sent because of something else, and so this, too: %s", p.Blocked[0].Proxy, p.Blocked[0].Message),
		}
	case len(p.Unread) > 0:
		return Verdict{
			Status: metav1.ConditionUnknown, Reason: wasmv1alpha1.ReasonNotObserved,
			Message: "What the proxies do can't be read: " + strings.Join(p.Unread, "; ") + ".",
		}
	case p.Matched == 0 && p.Idle > 0:
		return Verdict{
			Status: metav1.ConditionUnknown, Reason: wasmv1alpha1.ReasonNoMatchingProxies,
			Message: fmt.Sprintf("The selected proxies (%d) have no listener for the plugin: see match, phase and placement.", p.Idle),
		}
	case p.Matched == 0:
		return Verdict{
			Status: metav1.ConditionUnknown, Reason: wasmv1alpha1.ReasonNoMatchingProxies,
			Message: "No proxy that is connected to istiod is selected.",
		}
	case p.Uncertain > 0 && len(p.Waiting) == 0:
		return Verdict{
			Status: metav1.ConditionUnknown, Reason: wasmv1alpha1.ReasonWaiting,
			Message: fmt.Sprintf("Proxies (%d) have acknowledged it, but may have refused it a moment before, which istiod doesn't remember; "+
				"a trial tells (spec.activation.mode Safe).", p.Uncertain),
		}
	case p.Programmed < p.Matched:
		return Verdict{
			Status: metav1.ConditionUnknown, Reason: wasmv1alpha1.ReasonWaiting, Retrying: true,
			Message: "These proxies have not acknowledged it yet: " + p.unanswered() + ".",
		}
	default:
		return Verdict{
			Status: metav1.ConditionTrue, Reason: wasmv1alpha1.ReasonProgrammed,
			Message: fmt.Sprintf("%d of %d proxies run it.%s", p.Programmed, p.Matched, p.crowded()),
		}
	}
}

// crowded warns of a proxy with so many plugins that they slow down what istiod sends it.
func (p Proxies) crowded() string {
	if p.Plugins <= Crowd {
		return ""
	}
	return fmt.Sprintf(" Proxy %s has %d plugins of this operator: istiod's work for each push to it grows with the square of that; "+
		"narrow their selectors, or let one plugin do the work of several.", p.Fullest, p.Plugins)
}

// unanswered names the proxies that are waited for, not all of many.
func (p Proxies) unanswered() string {
	const some = 8
	names := append([]string(nil), p.Waiting...)
	for _, blocked := range p.Blocked {
		names = append(names, blocked.Proxy+" (refuses what another plugin sends)")
	}
	if len(p.Unread) > 0 {
		names = append([]string{"istiod can't be asked (" + strings.Join(p.Unread, "; ") + ")"}, names...)
	}
	if len(names) == 0 {
		return "none is known"
	}
	if more := len(names) - some; more > 0 {
		return strings.Join(names[:some], ", ") + " and " + strconv.Itoa(more) + " more"
	}
	return strings.Join(names, ", ")
}

// AppliedOnTrial is the verdict on the pair while the spec's isn't in force; ok is false where it is.
func AppliedOnTrial(p Proxies) (verdict Verdict, ok bool) {
	switch p.Progress {
	case Refused, TimedOut, OnTrial, Queued, Blind:
	case OnCanary, TakenBack:
		return Verdict{
			Status: metav1.ConditionUnknown, Reason: wasmv1alpha1.ReasonOnCanary, Retrying: p.Progress == OnCanary,
			Message: "The EnvoyFilters of an earlier time stand until the change has proven itself on canary proxies.",
		}, true
	default:
		return Verdict{}, false
	}
	message := "The EnvoyFilters are written when the proxies have accepted them on trial."
	if p.Stands {
		message = "The EnvoyFilters of an earlier time stand until the proxies have accepted the new ones on trial."
	}
	return Verdict{Status: metav1.ConditionUnknown, Reason: wasmv1alpha1.ReasonOnTrial, Message: message, Retrying: p.Progress != Refused}, true
}

// status is what status.proxies says.
func (p Proxies) status() wasmv1alpha1.ProxiesStatus {
	if len(p.Unread) > 0 && p.Matched == 0 {
		return wasmv1alpha1.ProxiesStatus{}
	}
	number := func(n int) *int32 {
		value := int32(n) //nolint:gosec // a mesh has fewer proxies
		return &value
	}
	return wasmv1alpha1.ProxiesStatus{
		Summary: fmt.Sprintf("%d/%d", p.Programmed, p.Matched),
		Matched: number(p.Matched), Programmed: number(p.Programmed), RejectedTotal: number(p.RejectedTotal),
		Rejections: p.Rejections,
	}
}
