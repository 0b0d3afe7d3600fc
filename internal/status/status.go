// SPDX-License-Identifier: Apache-2.0

// Package status turns what happened to a WasmPlugin into its status. It is pure: nobody else sets a condition.
package status

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/equality"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// Verdict is what came of a stage.
type Verdict struct {
	Status metav1.ConditionStatus
	// Reason is one of api/v1alpha1's.
	Reason string
	// Message is a sentence, or several; the first letter and the full stop are seen to here.
	Message string
	// Retrying says that the operator goes on by itself.
	Retrying bool
}

// Observation is what happened to one generation.
type Observation struct {
	Generation int64
	Accepted   Verdict
	// ModuleResolved is the zero value where the operator doesn't look at modules.
	ModuleResolved Verdict
	Applied        Verdict
	// Module is the one in effect, Delivery where proxies fetch it.
	Module   wasmv1alpha1.ModuleStatus
	Delivery wasmv1alpha1.Delivery
	// Mode is the one in effect. Proxies is what is known of them, nil where nobody looks.
	Mode    wasmv1alpha1.ActivationMode
	Proxies *Proxies
	// Untouched: nothing was written, so that what stands is on or off as it was. Silent: it is off.
	Untouched, Silent bool
	// EnvoyFilters stand for the plugin, whatever generation they were rendered from.
	EnvoyFilters []wasmv1alpha1.EnvoyFilterStatus
}

// Stands says whether something of an earlier time stays in effect.
func (o Observation) Stands() bool {
	return len(o.EnvoyFilters) > 0 && !o.Silent
}

// maxMessage keeps a status small, whoever's words it repeats.
const maxMessage = 2048

// maxNote is how long an event's text may be to the API server, which refuses a longer one for good.
const maxNote = 1024

// Of returns the status that says it. A condition of current whose status doesn't change keeps its transition time;
// the others get now.
func Of(observation Observation, current wasmv1alpha1.WasmPluginStatus, now metav1.Time) wasmv1alpha1.WasmPluginStatus {
	moduleResolved := observation.ModuleResolved
	if moduleResolved.Status == "" {
		moduleResolved = Verdict{
			Status: metav1.ConditionUnknown, Reason: wasmv1alpha1.ReasonNotObserved,
			Message: "The proxies fetch the module themselves; the operator doesn't look at it.",
		}
	}
	programmed := Verdict{
		Status: metav1.ConditionUnknown, Reason: wasmv1alpha1.ReasonNotObserved,
		Message: "Whether the proxies run the plugin isn't observed.",
	}
	if observation.Proxies != nil && observation.Accepted.Status == metav1.ConditionTrue {
		programmed = observation.Proxies.programmed()
	}
	ready := readyOf(observation, programmed)
	verdicts := []struct {
		conditionType string
		verdict       Verdict
	}{
		{wasmv1alpha1.ConditionAccepted, observation.Accepted},
		{wasmv1alpha1.ConditionModuleResolved, moduleResolved},
		{wasmv1alpha1.ConditionApplied, observation.Applied},
		{wasmv1alpha1.ConditionProgrammed, programmed},
		{wasmv1alpha1.ConditionReady, ready},
	}
	if kstatus, ok := kstatusOf(ready); ok {
		verdicts = append(verdicts, struct {
			conditionType string
			verdict       Verdict
		}{kstatus, Verdict{Status: metav1.ConditionTrue, Reason: ready.Reason, Message: ready.Message}})
	}
	status := wasmv1alpha1.WasmPluginStatus{ObservedGeneration: observation.Generation, EnvoyFilters: observation.EnvoyFilters}
	for _, v := range verdicts {
		status.Conditions = append(status.Conditions, condition(v.conditionType, v.verdict, observation.Generation, current.Conditions, now))
	}
	if len(observation.EnvoyFilters) > 0 {
		status.Module, status.Delivery = observation.Module, observation.Delivery
		status.Activation = activation(observation, current.Activation, now)
	}
	if observation.Proxies != nil {
		status.Proxies = observation.Proxies.status()
	}
	return status
}

// activation says whether the plugin runs on requests, and since when.
func activation(observation Observation, current wasmv1alpha1.ActivationStatus, now metav1.Time) wasmv1alpha1.ActivationStatus {
	next := wasmv1alpha1.ActivationStatus{Mode: cmp.Or(observation.Mode, wasmv1alpha1.ActivationImmediate), State: wasmv1alpha1.StateOn}
	proxies := observation.Proxies
	switch {
	case observation.Untouched && current.State != "":
		next.State, next.Message = current.State, current.Message
	case next.Mode == wasmv1alpha1.ActivationOff:
		next.State = wasmv1alpha1.StateOff
	case proxies != nil && proxies.Progress != InForce && !proxies.Stands:
		next.State, next.Message = wasmv1alpha1.StateOff, "It is on trial, and has not been in force."
	}
	if proxies == nil {
		return next
	}
	next.Since = current.Since
	if next.Since == nil || current.State != next.State {
		next.Since = &now
	}
	return next
}

// readyOf sums up. The first thing that isn't well gives the reason, since that is what a user must see first.
func readyOf(observation Observation, programmed Verdict) Verdict {
	if observation.Accepted.Status != metav1.ConditionTrue {
		return observation.Accepted
	}
	if module := observation.ModuleResolved; module.Status != "" && module.Status != metav1.ConditionTrue {
		return module
	}
	if proxies := observation.Proxies; proxies != nil {
		return readyWith(observation, *proxies, programmed)
	}
	if observation.Applied.Status != metav1.ConditionTrue {
		return observation.Applied
	}
	if observation.Mode == wasmv1alpha1.ActivationOff {
		return switchedOff()
	}
	return Verdict{
		Status: metav1.ConditionTrue, Reason: wasmv1alpha1.ReasonApplied,
		Message: "The spec is accepted and both EnvoyFilters stand. Whether the proxies run the plugin isn't observed.",
	}
}

// readyWith sums up where it is known what proxies do.
func readyWith(observation Observation, proxies Proxies, programmed Verdict) Verdict {
	switch {
	case observation.Applied.Status == metav1.ConditionFalse:
		return observation.Applied
	case programmed.Status == metav1.ConditionFalse:
		return programmed
	case proxies.Progress == TimedOut:
		return Verdict{
			Status: metav1.ConditionFalse, Reason: wasmv1alpha1.ReasonNotEnforced, Retrying: true,
			Message: "The trial has passed its deadline. " + programmed.Message,
		}
	case programmed.Reason == wasmv1alpha1.ReasonWaiting, programmed.Reason == wasmv1alpha1.ReasonOnCanary:
		return programmed
	case observation.Applied.Status != metav1.ConditionTrue:
		return observation.Applied
	case observation.Mode == wasmv1alpha1.ActivationOff:
		return switchedOff()
	default:
		return Verdict{Status: metav1.ConditionTrue, Reason: programmed.Reason, Message: programmed.Message}
	}
}

func switchedOff() Verdict {
	return Verdict{
		Status: metav1.ConditionFalse, Reason: wasmv1alpha1.ReasonOff,
		Message: "The plugin is switched off (spec.activation.mode): it is loaded and runs on no request.",
	}
}

// kstatusOf names the condition by which kstatus (helm --wait, Flux, Argo CD) tells work in progress from failure.
func kstatusOf(ready Verdict) (string, bool) {
	switch {
	case ready.Status == metav1.ConditionTrue:
		return "", false
	case ready.Retrying:
		return wasmv1alpha1.ConditionReconciling, true
	default:
		return wasmv1alpha1.ConditionStalled, true
	}
}

func condition(conditionType string, verdict Verdict, generation int64, current []metav1.Condition, now metav1.Time) metav1.Condition {
	transition := now
	if old := apimeta.FindStatusCondition(current, conditionType); old != nil && old.Status == verdict.Status {
		transition = old.LastTransitionTime
	}
	return metav1.Condition{
		Type: conditionType, Status: verdict.Status, Reason: verdict.Reason, Message: Sentence(verdict.Message),
		ObservedGeneration: generation, LastTransitionTime: transition,
	}
}

// Sentence makes a sentence of an error's text: a capital, a full stop, a bounded length, and no control characters,
// which could rewrite a terminal.
func Sentence(text string) string {
	text = Words(text)
	if text == "" {
		return ""
	}
	if len(text) > maxMessage {
		return shortened(text, maxMessage) + "…"
	}
	first, size := utf8.DecodeRuneInString(text)
	if word, _, _ := strings.Cut(text, " "); !isVerbatim(word) {
		text = string(unicode.ToUpper(first)) + text[size:]
	}
	if !slices.Contains([]rune{'.', '!', '?', '…'}, lastRune(text)) {
		text += "."
	}
	return text
}

// Note is a condition's message as the text of an event.
func Note(message string) string {
	const end = "…"
	if len(message) <= maxNote {
		return message
	}
	return shortened(message, maxNote-len(end)) + end
}

// shortened is a text's beginning of at most so many bytes, without half a character.
func shortened(text string, limit int) string {
	for !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}

// Words are somebody else's, on one line and without control characters.
func Words(text string) string {
	return strings.TrimSpace(strings.Map(func(char rune) rune {
		if unicode.IsControl(char) || unicode.Is(unicode.Cf, char) {
			return ' '
		}
		return char
	}, strings.ToValidUTF8(text, "?")))
}

// isVerbatim keeps spec.url: and oci://… as they are.
func isVerbatim(word string) bool {
	return strings.HasPrefix(word, "spec") || strings.HasPrefix(word, "metadata.") || strings.Contains(word, "://")
}

func lastRune(text string) rune {
	last, _ := utf8.DecodeLastRuneInString(text)
	return last
}

// Equal says whether writing next over current would change nothing.
func Equal(current, next wasmv1alpha1.WasmPluginStatus) bool {
	return equality.Semantic.DeepEqual(current, next)
}

// Transition returns the new Ready condition if a user should hear of it: it isn't True for the first time, or its
// status or reason differs from what was reported. A plugin that is well from the start is no news.
func Transition(current, next wasmv1alpha1.WasmPluginStatus) (metav1.Condition, bool) {
	ready := apimeta.FindStatusCondition(next.Conditions, wasmv1alpha1.ConditionReady)
	old := apimeta.FindStatusCondition(current.Conditions, wasmv1alpha1.ConditionReady)
	switch {
	case ready == nil:
		return metav1.Condition{}, false
	case old == nil:
		return *ready, ready.Status != metav1.ConditionTrue
	default:
		return *ready, ready.Status != old.Status || ready.Reason != old.Reason
	}
}
