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

// Withdraw takes a trial or a canary, by its roles, away from the proxies: first the filter, then what it names. Where memory
// is not nil, that half is left in the place of the one with the configuration: it delivers nothing and remembers how it
// ended (Owner.Trial, Owner.Canary).
func Withdraw(ctx context.Context, writer client.Writer, plugin Owner, roles []wasmv1alpha1.EnvoyFilterRole, memory *translate.Pair, observed Children) error {
	config, filter := roles[0], roles[1]
	if err := remove(ctx, writer, plugin, filter, observed); err != nil {
		return err
	}
	if memory == nil {
		return remove(ctx, writer, plugin, config, observed)
	}
	child := observed[config]
	if child != nil && !owned(child, plugin) {
		return &ConflictError{Namespace: plugin.Namespace, Name: child.Name}
	}
	half := translate.Emptied(*memory)
	key, told := memoryOf(config, plugin)
	marks := mark{wasmv1alpha1.AnnotationContent: memory.Content, key: told}
	if child != nil && sameSpec(child, half) && marks.on(child) {
		return nil
	}
	written, err := write(ctx, writer, plugin, half, child, marks, false)
	if err == nil {
		observed[config] = written
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

// Silence takes a pair that is in force out of the filter chains, and leaves what it delivers: the content that is remembered
// there is the one that comes back.
func Silence(ctx context.Context, writer client.Writer, plugin Owner, pair translate.Pair, observed Children) error {
	return silence(ctx, writer, plugin, translate.Silenced(pair), observed)
}

// SilenceStanding is the same where the spec isn't accepted, so that there is no pair: it reads what stands from live.
func SilenceStanding(ctx context.Context, writer client.Writer, live client.Reader, plugin Owner, observed Children) error {
	child := observed[wasmv1alpha1.EnvoyFilterFilter]
	if child == nil || !owned(child, plugin) || child.DeletionTimestamp != nil {
		return nil
	}
	standing, err := read(ctx, live, child)
	if err != nil {
		return err
	}
	return silence(ctx, writer, plugin, translate.SilencedAs(standing, plugin), observed)
}

func silence(ctx context.Context, writer client.Writer, plugin Owner, half translate.EnvoyFilter, observed Children) error {
	child := observed[half.Role]
	if child == nil || !owned(child, plugin) || child.DeletionTimestamp != nil || sameSpec(child, half) {
		return nil
	}
	written, err := write(ctx, writer, plugin, half, child, mark{wasmv1alpha1.AnnotationContent: observed.Content()}, false)
	if err == nil {
		observed[half.Role] = written
	}
	return err
}
