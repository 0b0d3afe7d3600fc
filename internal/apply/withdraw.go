// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/metrics"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// Withdraw takes a trial away from the proxies: first the filter, then what it names. Where memory is not nil, that half is
// left in the place of the one with the configuration: it delivers nothing and remembers how the trial ended (Owner.Trial).
func Withdraw(ctx context.Context, writer client.Writer, plugin Owner, memory *translate.Pair, observed Children) error {
	if err := remove(ctx, writer, plugin, wasmv1alpha1.EnvoyFilterTrialFilter, observed); err != nil {
		return err
	}
	if memory == nil {
		return remove(ctx, writer, plugin, wasmv1alpha1.EnvoyFilterTrialConfig, observed)
	}
	child := observed[wasmv1alpha1.EnvoyFilterTrialConfig]
	if child != nil && !owned(child, plugin) {
		return &ConflictError{Namespace: plugin.Namespace, Name: child.Name}
	}
	half := translate.Emptied(*memory)
	told := mark{wasmv1alpha1.AnnotationContent: memory.Content, wasmv1alpha1.AnnotationTrial: plugin.Trial}
	if child != nil && sameSpec(child, half) && told.on(child) {
		return nil
	}
	written, err := write(ctx, writer, plugin, half, child, told, false)
	if err == nil {
		observed[half.Role] = written
	}
	return err
}

// remove deletes an EnvoyFilter of ours as it was observed: with its uid and resourceVersion, so that one that somebody
// made or changed in the meantime stays.
func remove(ctx context.Context, writer client.Writer, plugin Owner, role wasmv1alpha1.EnvoyFilterRole, observed Children) error {
	child := observed[role]
	if child == nil || !owned(child, plugin) || child.DeletionTimestamp != nil {
		return nil
	}
	err := writer.Delete(ctx, child, client.Preconditions{UID: &child.UID, ResourceVersion: &child.ResourceVersion},
		client.PropagationPolicy(metav1.DeletePropagationBackground))
	switch {
	case err == nil:
		metrics.EnvoyFilterWrites.WithLabelValues(metrics.ResultDeleted).Inc()
	case !apierrors.IsNotFound(err):
		metrics.EnvoyFilterWrites.WithLabelValues(metrics.ResultError).Inc()
		return fmt.Errorf("delete EnvoyFilter %s/%s: %w", child.Namespace, child.Name, err)
	}
	delete(observed, role)
	return nil
}
