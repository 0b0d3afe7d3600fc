// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/metrics"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// isShared says whether somebody else's additions stand in what was written, and must not.
func isShared(child *metav1.PartialObjectMetadata, half translate.EnvoyFilter) bool {
	return hasForeignRevision(child.Labels, half.Object.GetLabels()) || sharesSpec(child)
}

// sharesSpec says whether somebody else owns fields of the spec, by the managedFields of the API server's answer. With
// force, none of ours is among them.
func sharesSpec(child *metav1.PartialObjectMetadata) bool {
	for _, entry := range child.ManagedFields {
		ours := entry.Manager == wasmv1alpha1.FieldManager && entry.Operation == metav1.ManagedFieldsOperationApply
		if !ours && entry.FieldsV1 != nil && bytes.Contains(entry.FieldsV1.GetRawBytes(), []byte(`"f:spec"`)) {
			return true
		}
	}
	return false
}

// evict removes what others added: to the spec, such as one more label of the workloadSelector, by which the plugin would
// run nowhere, and a revision, by which no istiod would see it. An apply leaves alone what it doesn't name. Since ours has
// just been applied, nothing else changes, and so nobody gets to own anything by this patch.
func evict(ctx context.Context, writer client.Writer, half translate.EnvoyFilter, child *metav1.PartialObjectMetadata) (*metav1.PartialObjectMetadata, error) {
	labels := maps.Clone(child.Labels)
	if hasForeignRevision(labels, half.Object.GetLabels()) {
		delete(labels, wasmv1alpha1.LabelRevision)
	}
	// To add over what is there is to replace it, also where it went in the meantime.
	body, err := json.Marshal([]map[string]any{
		{"op": "add", "path": "/spec", "value": half.Object.Object["spec"]},
		{"op": "add", "path": "/metadata/labels", "value": labels},
		// A precondition: another version is a conflict.
		{"op": "replace", "path": "/metadata/resourceVersion", "value": child.ResourceVersion},
	})
	if err != nil {
		return nil, fmt.Errorf("render EnvoyFilter %s/%s: %w", child.Namespace, child.Name, err)
	}
	written, err := patch(ctx, writer, half, client.RawPatch(types.JSONPatchType, body), metrics.ResultConfigured)
	if err != nil {
		return nil, fmt.Errorf("patch EnvoyFilter %s/%s: %w", child.Namespace, child.Name, err)
	}
	return written, nil
}
