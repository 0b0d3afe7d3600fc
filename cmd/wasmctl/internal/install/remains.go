// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// remains is what a release leaves in the cluster, and what needs it.
type remains struct {
	// crd says that the API server knows WasmPlugins.
	crd      bool
	plugins  int
	filters  int
	pointing []string
}

// pageSize bounds what is held at once: an EnvoyFilter may have rules of some megabytes.
const pageSize = 100

// look counts what the operator manages, and names the EnvoyFilters that point at its store.
func look(ctx context.Context, c client.Reader, storeURL string) (remains, error) {
	var found remains
	plugins := &metav1.PartialObjectMetadataList{}
	plugins.SetGroupVersionKind(wasmv1alpha1.SchemeGroupVersion.WithKind("WasmPluginList"))
	err := pages(ctx, c, plugins, func() { found.crd, found.plugins = true, found.plugins+len(plugins.Items) })
	if err != nil {
		return found, fmt.Errorf("list WasmPlugins of all namespaces: %w", err)
	}
	filters := &unstructured.UnstructuredList{}
	filters.SetGroupVersionKind(schema.GroupVersionKind{Group: "networking.istio.io", Version: "v1alpha3", Kind: "EnvoyFilterList"})
	err = pages(ctx, c, filters, func() {
		found.filters += len(filters.Items)
		for i := range filters.Items {
			if pointsAt(&filters.Items[i], storeURL) {
				found.pointing = append(found.pointing, filters.Items[i].GetNamespace()+"/"+filters.Items[i].GetName())
			}
		}
	}, client.MatchingLabels{wasmv1alpha1.LabelManagedBy: wasmv1alpha1.FieldManager})
	if err != nil {
		return found, fmt.Errorf("list EnvoyFilters of all namespaces: %w", err)
	}
	slices.Sort(found.pointing)
	return found, nil
}

// pages lists all objects, some at a time. A kind that the API server doesn't know has none.
func pages(ctx context.Context, c client.Reader, list client.ObjectList, see func(), options ...client.ListOption) error {
	options = append(options, client.Limit(pageSize))
	for next := ""; ; {
		err := c.List(ctx, list, append(options, client.Continue(next))...)
		if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		see()
		if next = list.GetContinue(); next == "" {
			return nil
		}
	}
}
