// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/apply"
)

// reportedStatus is what a plugin's managedFields tell of its status. They are read once for each event, and not for each
// look at the plugin: that costs more than all the rest of a look that finds nothing to do.
type reportedStatus struct {
	// whole: nothing that every status has was taken from us. inEffect: it says what is in force. module: it names one.
	// waiting: it speaks of something that is to be mended. strangers: somebody else added to it.
	whole, inEffect, module, waiting, strangers bool
	envoyFilters                                []reportedEnvoyFilter
}

// reportedEnvoyFilter is an item of the list status.envoyFilters, which is known by its keys.
type reportedEnvoyFilter struct{ Name, Hash string }

// reported says, by metadata alone, whether the status is the one that was written for these children, and says that all is
// well. It notices a crash between the pair and the status, and a status that somebody else changed or a backup dropped.
// Children that are well don't tell whether what the status waits for was mended: a source that may not be read any more
// leaves them as they are.
func reported(plugin apply.Owner, children apply.Children) bool {
	told := toldBy(plugin.PartialObjectMetadata)
	return (plugin.Module == "" || told.module) && told.isOf(children.Standing(plugin)) && !told.waiting
}

// isOf says whether the whole status is ours, and about these EnvoyFilters.
func (r reportedStatus) isOf(standing []wasmv1alpha1.EnvoyFilterStatus) bool {
	if !r.whole || r.strangers || len(r.envoyFilters) != len(standing) || (!r.inEffect && len(standing) > 0) {
		return false
	}
	return !slices.ContainsFunc(standing, func(child wasmv1alpha1.EnvoyFilterStatus) bool { return !r.names(child) })
}

// names says whether the status is about an EnvoyFilter, where it doesn't matter what it says of the proxies if that isn't
// known.
func (r reportedStatus) names(child wasmv1alpha1.EnvoyFilterStatus) bool {
	hash, open := strings.CutSuffix(child.Hash, "+"+anyReport)
	return slices.ContainsFunc(r.envoyFilters, func(told reportedEnvoyFilter) bool {
		return told.Name == child.Name && (told.Hash == hash || (open && strings.HasPrefix(told.Hash, hash+"+")))
	})
}

// toldAnnotation holds a reportedStatus in the cache, in the place of the managedFields. The API server allows no such name.
const toldAnnotation = "wasm.solarmesh.io/~told"

// keepTold replaces the managedFields by what they tell. It comes twice to what a list holds (client-go 0.37: once into the
// reflector's store and once into its queue), the second time without managedFields.
func keepTold(plugin *metav1.PartialObjectMetadata) {
	if _, kept := plugin.Annotations[toldAnnotation]; kept {
		return
	}
	told := statusTold(plugin.ManagedFields)
	plugin.ManagedFields = nil
	if plugin.Annotations == nil {
		plugin.Annotations = map[string]string{}
	}
	plugin.Annotations[toldAnnotation] = told.String()
}

// toldBy is what a plugin of the cache tells, or one of the API server's.
func toldBy(plugin *metav1.PartialObjectMetadata) reportedStatus {
	if text, kept := plugin.Annotations[toldAnnotation]; kept {
		return parseTold(text)
	}
	return statusTold(plugin.ManagedFields)
}

// toldFlag is a word for something that a reportedStatus says.
type toldFlag struct {
	word string
	says *bool
}

// flags are all words. An array, since each look at a plugin goes through them.
func (r *reportedStatus) flags() [5]toldFlag {
	return [...]toldFlag{{"inEffect", &r.inEffect}, {"module", &r.module}, {"strangers", &r.strangers}, {"waiting", &r.waiting}, {"whole", &r.whole}}
}

// String is short, since it stays in memory.
func (r reportedStatus) String() string {
	var words []string
	for _, flag := range r.flags() {
		if *flag.says {
			words = append(words, flag.word)
		}
	}
	for _, child := range r.envoyFilters {
		words = append(words, child.Name+"="+child.Hash)
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

func parseTold(text string) reportedStatus {
	var told reportedStatus
	flags := told.flags()
	for word := range strings.FieldsSeq(text) {
		if name, hash, ok := strings.Cut(word, "="); ok {
			told.envoyFilters = append(told.envoyFilters, reportedEnvoyFilter{name, hash})
			continue
		}
		for _, flag := range flags {
			*flag.says = *flag.says || flag.word == word
		}
	}
	return told
}

// statusTold reads managedFields.
func statusTold(managed []metav1.ManagedFieldsEntry) reportedStatus {
	ours := ourStatus(managed)
	told := reportedStatus{
		whole:     isWhole(ours),
		inEffect:  ours["f:delivery"] != nil && ours["f:activation"]["f:mode"] != nil && ours["f:activation"]["f:state"] != nil,
		module:    ours["f:module"]["f:digest"] != nil,
		waiting:   conditionFields(ours, wasmv1alpha1.ConditionStalled) != nil || conditionFields(ours, wasmv1alpha1.ConditionReconciling) != nil,
		strangers: hasStrangers(managed),
	}
	for field := range ours["f:envoyFilters"] {
		var key reportedEnvoyFilter
		if text, ok := strings.CutPrefix(field, "k:"); ok && json.Unmarshal([]byte(text), &key) == nil {
			told.envoyFilters = append(told.envoyFilters, key)
		}
	}
	return told
}

// fieldSet is what a manager owns, as managedFields have it: fields as f:name, items of a list by their keys.
type fieldSet map[string]fieldSet

// isWhole says whether nothing that every status has was taken from us.
func isWhole(ours fieldSet) bool {
	for _, conditionType := range []string{
		wasmv1alpha1.ConditionAccepted, wasmv1alpha1.ConditionModuleResolved, wasmv1alpha1.ConditionApplied,
		wasmv1alpha1.ConditionProgrammed, wasmv1alpha1.ConditionReady,
	} {
		condition := conditionFields(ours, conditionType)
		for _, field := range []string{"f:status", "f:reason", "f:message", "f:observedGeneration", "f:lastTransitionTime"} {
			if condition[field] == nil {
				return false
			}
		}
	}
	return ours["f:observedGeneration"] != nil
}

func conditionFields(ours fieldSet, conditionType string) fieldSet {
	return ours["f:conditions"][`k:{"type":"`+conditionType+`"}`]
}

// hasStrangers says whether fields stand in the status that somebody else put there and we didn't. What others own beside
// us has our value.
func hasStrangers(managed []metav1.ManagedFieldsEntry) bool {
	isStrange := func(entry metav1.ManagedFieldsEntry) bool { return isStatus(entry) && !isOurStatus(entry) }
	if !slices.ContainsFunc(managed, isStrange) {
		return false
	}
	ours := ourStatus(managed)
	return slices.ContainsFunc(managed, func(entry metav1.ManagedFieldsEntry) bool {
		return isStrange(entry) && statusOf(entry).goesBeyond(ours)
	})
}

func (s fieldSet) goesBeyond(ours fieldSet) bool {
	for field, below := range s {
		if field == "." {
			continue // the list or the item itself, without what is in it
		}
		if own, ok := ours[field]; !ok || below.goesBeyond(own) {
			return true
		}
	}
	return false
}

func ourStatus(managed []metav1.ManagedFieldsEntry) fieldSet {
	for _, entry := range managed {
		if isOurStatus(entry) {
			return statusOf(entry)
		}
	}
	return nil
}

func statusOf(entry metav1.ManagedFieldsEntry) fieldSet {
	var fields struct {
		Status fieldSet `json:"f:status"`
	}
	if err := json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields); err != nil {
		return nil
	}
	return fields.Status
}

func isStatus(entry metav1.ManagedFieldsEntry) bool {
	return entry.Subresource == "status" && entry.FieldsV1 != nil
}

func isOurStatus(entry metav1.ManagedFieldsEntry) bool {
	return isStatus(entry) && entry.Manager == wasmv1alpha1.FieldManager && entry.Operation == metav1.ManagedFieldsOperationApply
}
