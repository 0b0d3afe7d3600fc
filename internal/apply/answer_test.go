// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// TestAnotherAnswer: an answer about another object, as of something that stands before the API server, is no yes.
func TestAnotherAnswer(t *testing.T) {
	for what, metadata := range map[string]metav1.ObjectMeta{
		"another's": {Name: "x", UID: "1"}, "nobody's": {Name: "auth-config"},
	} {
		liar := interceptor.NewClient(fake.NewClientBuilder().Build(), interceptor.Funcs{
			Patch: func(_ context.Context, _ client.WithWatch, object client.Object, _ client.Patch, _ ...client.PatchOption) error {
				object.SetName(metadata.Name)
				object.SetUID(metadata.UID)
				return nil
			},
		})
		half := translate.EnvoyFilter{Name: "auth-config", Object: &unstructured.Unstructured{Object: map[string]any{}}}
		if _, err := patch(t.Context(), liar, half, client.RawPatch("", nil), ""); err == nil {
			t.Errorf("%s answer is taken for the right one", what)
		}
	}
}
