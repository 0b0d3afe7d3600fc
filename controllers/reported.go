// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/apply"
)

// fieldSet is what a manager owns, as managedFields have it: fields as f:name, items of a list by their keys.
type fieldSet map[string]fieldSet

// reported says, by metadata alone, whether the status is the one that was written for these children, and says that all is
// well: the list status.envoyFilters has their hashes as keys, and the fields that a manager applied stand in
// managedFields. It notices a crash between the pair and the status, and a status that somebody else changed or a backup
// dropped.
func reported(plugin apply.Owner, children apply.Children) bool {
	ours := ourStatus(plugin.ManagedFields)
	told := plugin.Module == "" || ours["f:module"]["f:digest"] != nil
	return told && reportedBy(plugin.ManagedFields, children.Standing(plugin)) && !waiting(ours)
}

// reportedBy says whether the whole status is ours, and about these EnvoyFilters.
func reportedBy(managed []metav1.ManagedFieldsEntry, standing []wasmv1alpha1.EnvoyFilterStatus) bool {
	ours := ourStatus(managed)
	return isWhole(ours) && names(ours, standing) && !hasStrangers(managed)
}

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

// names says whether the status is about these EnvoyFilters.
func names(ours fieldSet, standing []wasmv1alpha1.EnvoyFilterStatus) bool {
	if len(ours["f:envoyFilters"]) != len(standing) {
		return false
	}
	for _, child := range standing {
		if !namesOne(ours["f:envoyFilters"], child) {
			return false
		}
	}
	inEffect := ours["f:delivery"] != nil && ours["f:activation"]["f:mode"] != nil && ours["f:activation"]["f:state"] != nil
	return inEffect || len(standing) == 0
}

// namesOne says whether the status is about an EnvoyFilter, where it doesn't matter what it says of the proxies if that isn't
// known.
func namesOne(ours fieldSet, child wasmv1alpha1.EnvoyFilterStatus) bool {
	hash, open := strings.CutSuffix(child.Hash, "+"+anyReport)
	for field := range ours {
		var key struct{ Name, Hash string }
		if text, ok := strings.CutPrefix(field, "k:"); !ok || json.Unmarshal([]byte(text), &key) != nil || key.Name != child.Name {
			continue
		}
		if key.Hash == hash || (open && strings.HasPrefix(key.Hash, hash+"+")) {
			return true
		}
	}
	return false
}

// waiting says whether the status speaks of something that is to be mended. Children that are well don't tell whether it
// was: a source that may not be read any more leaves them as they are.
func waiting(ours fieldSet) bool {
	return conditionFields(ours, wasmv1alpha1.ConditionStalled) != nil || conditionFields(ours, wasmv1alpha1.ConditionReconciling) != nil
}

func conditionFields(ours fieldSet, conditionType string) fieldSet {
	return ours["f:conditions"][`k:{"type":"`+conditionType+`"}`]
}

// hasStrangers says whether fields stand in the status that somebody else put there and we didn't. What others own beside
// us has our value.
func hasStrangers(managed []metav1.ManagedFieldsEntry) bool {
	ours := ourStatus(managed)
	for _, entry := range managed {
		if isStatus(entry) && !isOurStatus(entry) && statusOf(entry).goesBeyond(ours) {
			return true
		}
	}
	return false
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
