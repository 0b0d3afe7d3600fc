// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/apply"
	"github.com/solarmesh/wasmplugin-operator/internal/metrics"
	"github.com/solarmesh/wasmplugin-operator/internal/status"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// report writes the status, if it differs, and then an event, if a user should hear of it. plugin gets the metadata that
// the API server answered. It returns how long to wait before what a stranger added may be taken out again. Quiet says that
// it is too early to tell.
func (r *WasmPluginReconciler) report(ctx context.Context, plugin *wasmv1alpha1.WasmPlugin, observation status.Observation, quiet bool) (time.Duration, error) {
	if quiet {
		return 0, nil
	}
	current := plugin.Status
	next := status.Of(observation, current, metav1.Now())
	if status.Equal(current, next) && statusTold(plugin.ManagedFields).isOf(next.EnvoyFilters) {
		return 0, nil
	}
	wait, err := r.writeStatus(ctx, plugin, next)
	if err != nil {
		metrics.StatusWrites.WithLabelValues(metrics.ResultError).Inc()
		// The plugin may have gone in the meantime.
		return goneFor(err), client.IgnoreNotFound(err)
	}
	metrics.StatusWrites.WithLabelValues(metrics.ResultConfigured).Inc()
	if ready, news := status.Transition(current, next); news {
		eventType := corev1.EventTypeWarning
		if ready.Status == metav1.ConditionTrue {
			eventType = corev1.EventTypeNormal
		}
		r.Recorder.Eventf(plugin, nil, eventType, ready.Reason, "Reconcile", "%s", status.Note(ready.Message))
	}
	return wait, nil
}

// writeStatus applies, which leaves alone what it doesn't name, and then takes out what strangers added. It returns how
// long to wait where it is too early for that.
func (r *WasmPluginReconciler) writeStatus(ctx context.Context, plugin *wasmv1alpha1.WasmPlugin, next wasmv1alpha1.WasmPluginStatus) (time.Duration, error) {
	if err := r.applyStatus(ctx, plugin, next); err != nil {
		return 0, fmt.Errorf("write status: %w", err)
	}
	if !hasStrangers(plugin.ManagedFields) {
		return 0, nil
	}
	key := client.ObjectKeyFromObject(plugin)
	if wait := r.evictions.wait(key, time.Now()); wait > 0 {
		return wait, nil
	}
	if err := r.evict(ctx, plugin, next); err != nil {
		return 0, fmt.Errorf("take out what somebody else added to the status: %w", err)
	}
	r.evictions.done(key, time.Now())
	return 0, nil
}

// applyStatus applies with the uid, so that what is meant for a plugin that was deleted never lands in its successor's
// status, and with the version that was read, so that what is said of an older spec, as by an operator that no longer
// leads, never lands on what is said of a newer one.
func (r *WasmPluginReconciler) applyStatus(ctx context.Context, plugin *wasmv1alpha1.WasmPlugin, next wasmv1alpha1.WasmPluginStatus) error {
	body, err := json.Marshal(map[string]any{
		"apiVersion": translate.PluginKind.GroupVersion().String(),
		"kind":       translate.PluginKind.Kind,
		"metadata": map[string]any{
			"namespace": plugin.Namespace, "name": plugin.Name, "uid": plugin.UID, "resourceVersion": plugin.ResourceVersion,
		},
		"status": next,
	})
	if err != nil {
		return err
	}
	return r.patchStatus(ctx, plugin, client.RawPatch(types.ApplyPatchType, body), client.ForceOwnership)
}

// evict leaves in the status what has just been applied, and nothing else. Nobody gets to own anything by it.
func (r *WasmPluginReconciler) evict(ctx context.Context, plugin *wasmv1alpha1.WasmPlugin, next wasmv1alpha1.WasmPluginStatus) error {
	body, err := json.Marshal([]map[string]any{
		{"op": "add", "path": "/status", "value": next},
		// A precondition: another version is a conflict.
		{"op": "replace", "path": "/metadata/resourceVersion", "value": plugin.ResourceVersion},
	})
	if err != nil {
		return err
	}
	return r.patchStatus(ctx, plugin, client.RawPatch(types.JSONPatchType, body))
}

func (r *WasmPluginReconciler) patchStatus(ctx context.Context, plugin *wasmv1alpha1.WasmPlugin, patch client.Patch, options ...client.SubResourcePatchOption) error {
	answer := partial(translate.PluginKind)
	answer.Namespace, answer.Name = plugin.Namespace, plugin.Name
	err := r.Client.Status().Patch(ctx, answer, patch, append(options, client.FieldOwner(wasmv1alpha1.FieldManager))...)
	switch {
	case err != nil:
		return err
	case answer.UID != plugin.UID:
		return apply.ErrAnotherObject
	}
	plugin.ObjectMeta = answer.ObjectMeta
	return nil
}
