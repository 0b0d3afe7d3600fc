// SPDX-License-Identifier: Apache-2.0

// Package apply brings a plugin's EnvoyFilters to what was rendered, by server-side apply, and writes nothing where
// nothing differs.
package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
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

// DeletingError says that an EnvoyFilter is being deleted and that a finalizer holds it. All else was written. Its going is
// an event, after which it is made again.
type DeletingError struct {
	Namespace, Name string
	Finalizers      []string
}

func (e *DeletingError) Error() string {
	return fmt.Sprintf("EnvoyFilter %s/%s is being deleted and waits for its finalizers (%s); it is made again when it is gone",
		e.Namespace, e.Name, strings.Join(e.Finalizers, ", "))
}

// TooLargeError says that what stands and what is wanted don't fit into one EnvoyFilter, as they must while the filter
// chains change. Nothing was written.
type TooLargeError struct {
	Namespace, Name string
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("EnvoyFilter %s/%s would be too large while it holds the old rules beside the new ones, so that no request goes without; "+
		"make the change in two steps: take out the overrides that go first, then add the new ones", e.Namespace, e.Name)
}

// ErrAnotherObject is of an answer that is about another object than was asked for, as of something that stands before the
// API server. It is no yes.
var ErrAnotherObject = errors.New("the API server answered with another object")

// Pair brings the EnvoyFilters of plugin from what was observed to the rendered pair, that of a trial, a canary or the other one.
// It changes observed to what the API server answered, also when it returns an error half-way. It reads an EnvoyFilter's
// spec from live only where names go that a filter may still refer to.
func Pair(ctx context.Context, writer client.Writer, live client.Reader, plugin Owner, pair translate.Pair, observed Children) error {
	if err := free(plugin, pair, observed); err != nil {
		return err
	}
	marks, err := marksOf(pair, plugin)
	if err != nil {
		return err
	}
	writes, err := inOrder(ctx, live, pair, observed)
	if err != nil {
		return err
	}
	last := lastToWrite(writes, plugin, marks, observed)
	for i, half := range writes {
		if i > last || (i < last && upToDate(half, plugin, marks, observed)) {
			continue
		}
		child, err := write(ctx, writer, plugin, half, observed[half.Role], marks[half.Role], i == last && translate.InForce(half.Role))
		if err != nil {
			return err
		}
		observed[half.Role] = child
	}
	return deleting(observed, pair)
}

// free returns a *ConflictError if one of the pair's names is somebody else's.
func free(plugin Owner, pair translate.Pair, observed Children) error {
	for _, half := range pair.EnvoyFilters() {
		if child := observed[half.Role]; child != nil && !owned(child, plugin) {
			return &ConflictError{Namespace: plugin.Namespace, Name: half.Name}
		}
	}
	return nil
}

// deleting returns a *DeletingError if one of the pair's EnvoyFilters is going.
func deleting(observed Children, pair translate.Pair) error {
	for _, half := range pair.EnvoyFilters() {
		if child := observed[half.Role]; child != nil && child.DeletionTimestamp != nil {
			return &DeletingError{Namespace: child.Namespace, Name: child.Name, Finalizers: child.Finalizers}
		}
	}
	return nil
}

// write applies one half. It must say beforehand which generation the EnvoyFilter will have: one more if the spec
// changes. Where somebody's edit was taken back in the meantime the guess is wrong, and a second write corrects it.
func write(ctx context.Context, writer client.Writer, plugin Owner, half translate.EnvoyFilter,
	child *metav1.PartialObjectMetadata, told mark, stamped bool,
) (*metav1.PartialObjectMetadata, error) {
	generation := expectedGeneration(half, child)
	written, err := send(ctx, writer, plugin, half, child, told, generation, stamped)
	if err == nil && isShared(written, half) {
		written, err = evict(ctx, writer, half, written)
	}
	if err == nil && written.Generation != generation {
		written, err = send(ctx, writer, plugin, half, written, told, written.Generation, stamped)
	}
	return written, err
}

func expectedGeneration(half translate.EnvoyFilter, child *metav1.PartialObjectMetadata) int64 {
	switch {
	case child == nil:
		return 1
	case sameSpec(child, half):
		return child.Generation
	default:
		return child.Generation + 1
	}
}

// noVersion is a resourceVersion that no object has: etcd's count of changes is past it with the first one. The API server
// compares it with that of an object that stands, and ignores it where none does. An apply with it can but create.
const noVersion = "1"

// send creates without force, so that another's object of that name is a conflict and not taken, and with a version that
// none has, so that what an operator still sends that no longer leads changes nothing that the next one has made. It changes
// with force, since what is ours must be as rendered, and with uid and resourceVersion, so that it changes only what was seen.
func send(ctx context.Context, writer client.Writer, plugin Owner, half translate.EnvoyFilter,
	child *metav1.PartialObjectMetadata, told mark, generation int64, stamped bool,
) (*metav1.PartialObjectMetadata, error) {
	// A copy of what is set below: the spec may be large, and is only read.
	object := &unstructured.Unstructured{Object: maps.Clone(half.Object.Object)}
	if rendered, ok := half.Object.Object["metadata"].(map[string]any); ok {
		object.Object["metadata"] = maps.Clone(rendered)
	}
	object.SetAnnotations(annotations(plugin, half, told, generation, stamped))
	object.SetResourceVersion(noVersion)
	var options []client.PatchOption
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
	written, err := patch(ctx, writer, half, client.RawPatch(types.ApplyPatchType, body), result, options...)
	switch {
	case err == nil:
		return written, nil
	case child == nil && isFieldConflict(err):
		return nil, &ConflictError{Namespace: plugin.Namespace, Name: half.Name}
	default:
		return nil, fmt.Errorf("apply EnvoyFilter %s/%s: %w", plugin.Namespace, half.Name, err)
	}
}

// patch sends a patch of a half, and counts it as that result. Only the metadata of the answer is wanted, so that is all
// that is asked for.
func patch(ctx context.Context, writer client.Writer, half translate.EnvoyFilter, change client.Patch, result string,
	options ...client.PatchOption,
) (*metav1.PartialObjectMetadata, error) {
	written := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: half.Object.GetNamespace(), Name: half.Name}}
	written.SetGroupVersionKind(translate.EnvoyFilterKind)
	err := writer.Patch(ctx, written, change, append(options, client.FieldOwner(wasmv1alpha1.FieldManager))...)
	if err == nil && (written.Name != half.Name || written.UID == "") {
		err = ErrAnotherObject
	}
	if err != nil {
		result = metrics.ResultError
	}
	metrics.EnvoyFilterWrites.WithLabelValues(result).Inc()
	return written, err
}

// isFieldConflict tells another manager's fields from the other cause of a 409, a stale precondition.
func isFieldConflict(err error) bool {
	return apierrors.HasStatusCause(err, metav1.CauseTypeFieldManagerConflict)
}
