// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// inOrder returns what is to stand, one after the other. The configuration comes before the filter that names it. Where
// names go, it first has the old ones too, and loses them after the filter. All of it follows from what stands, so that
// whoever comes after a crash goes on where it happened.
func inOrder(ctx context.Context, live client.Reader, pair translate.Pair, observed Children) ([]translate.EnvoyFilter, error) {
	if !mayDrop(pair, observed) {
		return pair.EnvoyFilters(), nil
	}
	standing, err := read(ctx, live, observed[pair.Config.Role])
	if err != nil {
		return nil, err
	}
	union, err := translate.Union(pair.Config, standing)
	if tooLarge := (*translate.InvalidSpecError)(nil); errors.As(err, &tooLarge) {
		return nil, &TooLargeError{Namespace: standing.GetNamespace(), Name: standing.GetName()}
	}
	if err != nil {
		return nil, err
	}
	if union.Hash == pair.Config.Hash {
		return pair.EnvoyFilters(), nil
	}
	return []translate.EnvoyFilter{union, pair.Filter, pair.Config}, nil
}

// mayDrop says whether the configuration that stands delivers names that the rendered one doesn't, to a filter that may
// refer to them. Where it can't be known, it may.
func mayDrop(pair translate.Pair, observed Children) bool {
	config, filter := observed[pair.Config.Role], observed[pair.Filter.Role]
	if config == nil || sameSpec(config, pair.Config) || (filter != nil && sameSpec(filter, pair.Filter)) {
		return false
	}
	names, known := parseInstances(config.Annotations[wasmv1alpha1.AnnotationInstances])
	return !known || slices.ContainsFunc(names, func(name string) bool {
		return !slices.Contains(pair.Config.Instances, name)
	})
}

// read reads the whole EnvoyFilter of which the metadata were observed, and no later one.
func read(ctx context.Context, live client.Reader, observed *metav1.PartialObjectMetadata) (*unstructured.Unstructured, error) {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(translate.EnvoyFilterKind)
	err := live.Get(ctx, client.ObjectKeyFromObject(observed), object)
	if apierrors.IsNotFound(err) || (err == nil && object.GetResourceVersion() != observed.ResourceVersion) {
		resource := schema.GroupResource{Group: translate.EnvoyFilterKind.Group, Resource: "envoyfilters"}
		return nil, apierrors.NewConflict(resource, observed.Name, errors.New("it changed since it was observed"))
	}
	if err != nil {
		return nil, fmt.Errorf("read EnvoyFilter %s/%s: %w", observed.Namespace, observed.Name, err)
	}
	return object, nil
}

// lastToWrite returns the index of the write that comes last and so carries the stamp, or -1 where nothing differs. Where
// only the stamp is news, the filter carries it: without a change of its spec, istiod pushes nothing.
func lastToWrite(writes []translate.EnvoyFilter, plugin Owner, marks map[wasmv1alpha1.EnvoyFilterRole]mark, observed Children) int {
	for i, half := range slices.Backward(writes) {
		if !upToDate(half, plugin, marks, observed) {
			return i
		}
	}
	if !translate.InForce(writes[0].Role) || observed.stamped(plugin) {
		return -1
	}
	return len(writes) - 1
}

func upToDate(half translate.EnvoyFilter, plugin Owner, marks map[wasmv1alpha1.EnvoyFilterRole]mark, observed Children) bool {
	child := observed[half.Role]
	return child != nil && unchanged(child, plugin, half.Role) && child.Annotations[wasmv1alpha1.AnnotationHash] == half.Hash &&
		marks[half.Role].on(child)
}

// sameSpec says whether the spec that stands is the one of half, whatever became of labels and annotations.
func sameSpec(child *metav1.PartialObjectMetadata, half translate.EnvoyFilter) bool {
	return child.Annotations[wasmv1alpha1.AnnotationHash] == half.Hash && specUntouched(child)
}
