// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/apply"
	"github.com/solarmesh/wasmplugin-operator/internal/metrics"
	"github.com/solarmesh/wasmplugin-operator/internal/rules"
	"github.com/solarmesh/wasmplugin-operator/internal/status"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// report writes the status, if it differs, and then an event, if a user should hear of it. plugin gets the metadata that
// the API server answered.
func (r *WasmPluginReconciler) report(ctx context.Context, plugin *wasmv1alpha1.WasmPlugin, observation status.Observation) error {
	current := plugin.Status
	next := status.Of(observation, current, metav1.Now())
	if status.Equal(current, next) && reportedBy(plugin.ManagedFields, next.EnvoyFilters) {
		return nil
	}
	if err := r.writeStatus(ctx, plugin, next); err != nil {
		metrics.StatusWrites.WithLabelValues(metrics.ResultError).Inc()
		// The plugin may have gone in the meantime.
		return client.IgnoreNotFound(err)
	}
	metrics.StatusWrites.WithLabelValues(metrics.ResultConfigured).Inc()
	if ready, news := status.Transition(current, next); news {
		eventType := corev1.EventTypeWarning
		if ready.Status == metav1.ConditionTrue {
			eventType = corev1.EventTypeNormal
		}
		r.Recorder.Eventf(plugin, nil, eventType, ready.Reason, "Reconcile", "%s", ready.Message)
	}
	return nil
}

// writeStatus applies with the uid, so that what is meant for a plugin that was deleted never lands in its successor's
// status.
func (r *WasmPluginReconciler) writeStatus(ctx context.Context, plugin *wasmv1alpha1.WasmPlugin, next wasmv1alpha1.WasmPluginStatus) error {
	body, err := json.Marshal(map[string]any{
		"apiVersion": translate.PluginKind.GroupVersion().String(),
		"kind":       translate.PluginKind.Kind,
		"metadata":   map[string]any{"namespace": plugin.Namespace, "name": plugin.Name, "uid": plugin.UID},
		"status":     next,
	})
	if err != nil {
		return fmt.Errorf("render status: %w", err)
	}
	answer := partial(translate.PluginKind)
	answer.Namespace, answer.Name = plugin.Namespace, plugin.Name
	err = r.Client.Status().Patch(ctx, answer, client.RawPatch(types.ApplyPatchType, body),
		client.FieldOwner(wasmv1alpha1.FieldManager), client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	plugin.ObjectMeta = answer.ObjectMeta
	return nil
}

// reported says, by metadata alone, whether the status is the one that was written for these children: the list
// status.envoyFilters has their hashes as keys, and the fields that a manager applied stand in managedFields. It notices a
// crash between the pair and the status, and a status that somebody else changed or a backup dropped.
func reported(plugin apply.Owner, children apply.Children) bool {
	return reportedBy(plugin.ManagedFields, children.Standing(plugin))
}

func reportedBy(managed []metav1.ManagedFieldsEntry, standing []wasmv1alpha1.EnvoyFilterStatus) bool {
	for _, entry := range managed {
		if !isOurStatus(entry) {
			continue
		}
		var fields struct {
			Status ownedStatus `json:"f:status"`
		}
		return json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields) == nil && fields.Status.isWhole() && fields.Status.names(standing)
	}
	return false
}

// ownedStatus are the fields of a status that we own. Who changes one takes it from us.
type ownedStatus struct {
	Conditions   map[string]map[string]json.RawMessage `json:"f:conditions"`
	Generation   *json.RawMessage                      `json:"f:observedGeneration"`
	EnvoyFilters map[string]json.RawMessage            `json:"f:envoyFilters"`
	Activation   map[string]json.RawMessage            `json:"f:activation"`
	Delivery     *json.RawMessage                      `json:"f:delivery"`
}

// isWhole says whether nothing that every status has was taken.
func (s ownedStatus) isWhole() bool {
	for _, conditionType := range []string{
		wasmv1alpha1.ConditionAccepted, wasmv1alpha1.ConditionModuleResolved, wasmv1alpha1.ConditionApplied,
		wasmv1alpha1.ConditionProgrammed, wasmv1alpha1.ConditionReady,
	} {
		condition := s.Conditions[`k:{"type":"`+conditionType+`"}`]
		for _, field := range []string{"f:status", "f:reason", "f:message", "f:observedGeneration", "f:lastTransitionTime"} {
			if condition[field] == nil {
				return false
			}
		}
	}
	return s.Generation != nil
}

// names says whether it is about these EnvoyFilters.
func (s ownedStatus) names(standing []wasmv1alpha1.EnvoyFilterStatus) bool {
	if len(s.EnvoyFilters) != len(standing) {
		return false
	}
	for _, child := range standing {
		key, err := json.Marshal(map[string]string{"name": child.Name, "hash": child.Hash})
		if err != nil || s.EnvoyFilters["k:"+string(key)] == nil {
			return false
		}
	}
	inEffect := s.Delivery != nil && s.Activation["f:mode"] != nil && s.Activation["f:state"] != nil
	return inEffect || len(standing) == 0
}

func isOurStatus(entry metav1.ManagedFieldsEntry) bool {
	return entry.Manager == wasmv1alpha1.FieldManager && entry.Operation == metav1.ManagedFieldsOperationApply &&
		entry.Subresource == "status" && entry.FieldsV1 != nil
}

// masked repeats the API server's words, which may quote what it refuses, without what may be a credential.
func masked(err error, plugin *wasmv1alpha1.WasmPlugin) string {
	if plugin.Spec.Rules == nil {
		return err.Error()
	}
	return rules.Mask(err.Error(), plugin.Spec.Rules.Raw)
}
