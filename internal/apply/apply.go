// SPDX-License-Identifier: Apache-2.0

// Package apply brings a plugin's EnvoyFilters to what was rendered, by server-side apply, and writes nothing where
// nothing differs.
package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/metrics"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// ConflictError says that an EnvoyFilter of a name that we need is somebody else's. Nothing was written.
type ConflictError struct {
	Namespace, Name string
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("EnvoyFilter %s/%s exists and doesn't belong to this plugin, so it isn't touched; delete or rename it, or rename the plugin",
		e.Namespace, e.Name)
}

// Pair brings the EnvoyFilters of plugin from what was observed to the rendered pair. It changes observed to what the
// API server answered, also when it returns an error half-way.
func Pair(ctx context.Context, writer client.Writer, plugin Owner, pair translate.Pair, observed Children) error {
	halves := pair.EnvoyFilters()
	for _, half := range halves {
		if child := observed[half.Role]; child != nil && !owned(child, plugin) {
			return &ConflictError{Namespace: plugin.Namespace, Name: half.Name}
		}
	}
	last := lastToWrite(halves, plugin, observed)
	for i, half := range halves {
		if i > last || (i < last && upToDate(half, plugin, observed)) {
			continue
		}
		child, err := write(ctx, writer, plugin, half, observed[half.Role], i == last)
		if err != nil {
			return err
		}
		observed[half.Role] = child
	}
	return nil
}

// lastToWrite returns the index of the half that is written last and so carries the plugin's generation, or -1 where
// nothing differs. Where only that generation is news, the filter carries it: without a change of its spec, istiod
// pushes nothing.
func lastToWrite(halves []translate.EnvoyFilter, plugin Owner, observed Children) int {
	for i, half := range slices.Backward(halves) {
		if !upToDate(half, plugin, observed) {
			return i
		}
	}
	if observed.Complete(plugin) {
		return -1
	}
	return len(halves) - 1
}

func upToDate(half translate.EnvoyFilter, plugin Owner, observed Children) bool {
	child := observed[half.Role]
	return child != nil && intact(child, plugin, half.Role) && child.Annotations[wasmv1alpha1.AnnotationHash] == half.Hash
}

// write applies one half. It must say beforehand which generation the EnvoyFilter will have: one more if the spec
// changes. Where somebody's edit was taken back in the meantime the guess is wrong, and a second write corrects it.
func write(ctx context.Context, writer client.Writer, plugin Owner, half translate.EnvoyFilter,
	child *metav1.PartialObjectMetadata, stamped bool,
) (*metav1.PartialObjectMetadata, error) {
	generation := expectedGeneration(half, child)
	written, err := send(ctx, writer, plugin, half, child, generation, stamped)
	if err == nil && sharesSpec(written) {
		written, err = evict(ctx, writer, half, written)
	}
	if err == nil && written.Generation != generation {
		written, err = send(ctx, writer, plugin, half, written, written.Generation, stamped)
	}
	return written, err
}

func expectedGeneration(half translate.EnvoyFilter, child *metav1.PartialObjectMetadata) int64 {
	switch {
	case child == nil:
		return 1
	case child.Annotations[wasmv1alpha1.AnnotationHash] == half.Hash &&
		child.Annotations[wasmv1alpha1.AnnotationGeneration] == strconv.FormatInt(child.Generation, 10):
		return child.Generation
	default:
		return child.Generation + 1
	}
}

// send creates without force, so that another's object of that name is a conflict and not taken; it changes with force,
// since what is ours must be as rendered, and with uid and resourceVersion, so that it changes only what was seen.
func send(ctx context.Context, writer client.Writer, plugin Owner, half translate.EnvoyFilter,
	child *metav1.PartialObjectMetadata, generation int64, stamped bool,
) (*metav1.PartialObjectMetadata, error) {
	object := half.Object.DeepCopy()
	annotations := map[string]string{
		wasmv1alpha1.AnnotationPluginUID:  string(plugin.UID),
		wasmv1alpha1.AnnotationRenderer:   plugin.Renderer,
		wasmv1alpha1.AnnotationHash:       half.Hash,
		wasmv1alpha1.AnnotationGeneration: strconv.FormatInt(generation, 10),
	}
	if stamped {
		annotations[wasmv1alpha1.AnnotationPluginGeneration] = strconv.FormatInt(plugin.Generation, 10)
	}
	object.SetAnnotations(annotations)
	options := []client.PatchOption{client.FieldOwner(wasmv1alpha1.FieldManager)}
	result := metrics.ResultCreated
	if child != nil {
		object.SetUID(child.UID)
		object.SetResourceVersion(child.ResourceVersion)
		options = append(options, client.ForceOwnership)
		result = metrics.ResultConfigured
	}
	body, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("render EnvoyFilter %s/%s: %w", plugin.Namespace, half.Name, err)
	}
	// Only the metadata of the answer is wanted, so that is all that is asked for.
	written := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: plugin.Namespace, Name: half.Name}}
	written.SetGroupVersionKind(translate.EnvoyFilterKind)
	if err := writer.Patch(ctx, written, client.RawPatch(types.ApplyPatchType, body), options...); err != nil {
		metrics.EnvoyFilterWrites.WithLabelValues(metrics.ResultError).Inc()
		if child == nil && isFieldConflict(err) {
			return nil, &ConflictError{Namespace: plugin.Namespace, Name: half.Name}
		}
		return nil, fmt.Errorf("apply EnvoyFilter %s/%s: %w", plugin.Namespace, half.Name, err)
	}
	metrics.EnvoyFilterWrites.WithLabelValues(result).Inc()
	return written, nil
}

// isFieldConflict tells another manager's fields from the other cause of a 409, a stale precondition.
func isFieldConflict(err error) bool {
	return apierrors.HasStatusCause(err, metav1.CauseTypeFieldManagerConflict)
}
