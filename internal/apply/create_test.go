// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// TestACreationChangesNothing: an operator that saw no EnvoyFilter, and writes when the next one has made it, as one does
// that was frozen in between, changes nothing, though both are the same manager of the same fields. The API server compares
// a version only if there is one.
func TestACreationChangesNothing(t *testing.T) {
	plugin, pair := version{generation: 1}.pair(t)
	stands := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "2", UID: "uid"}}
	server := interceptor.NewClient(fake.NewClientBuilder().Build(), interceptor.Funcs{
		Patch: func(_ context.Context, _ client.WithWatch, object client.Object, patch client.Patch, _ ...client.PatchOption) error {
			raw, err := patch.Data(object)
			if err != nil {
				return err
			}
			sent := &metav1.PartialObjectMetadata{}
			if err := json.Unmarshal(raw, sent); err != nil {
				return err
			}
			if sent.UID != "" {
				t.Errorf("a creation names the uid %s", sent.UID)
			}
			if sent.ResourceVersion != "" && sent.ResourceVersion != stands.ResourceVersion {
				return apierrors.NewConflict(schema.GroupResource{Resource: "envoyfilters"}, object.GetName(), errors.New("old"))
			}
			t.Errorf("%s is changed", object.GetName())
			return nil
		},
	})
	if err := Pair(t.Context(), server, server, plugin, pair, Children{}); !apierrors.IsConflict(err) {
		t.Errorf("returns %v", err)
	}
}
