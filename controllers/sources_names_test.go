// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// TestNoName: a name that a client refuses to ask for is one that nothing has, and no reason to ask again and again.
func TestNoName(t *testing.T) {
	for name, want := range map[string]bool{
		"users": false, "a.b-c": false, "Users": false, "users?x=y": false,
		"..": true, ".": true, "other/users": true, "../../other/configmaps/users": true, "..%2fusers": true,
	} {
		asked := false
		reader := interceptor.NewClient(fake.NewClientBuilder().Build(), interceptor.Funcs{
			Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
				asked = true
				return nil
			},
		})
		err := getByName(t.Context(), reader, types.NamespacedName{Namespace: "shop", Name: name}, &corev1.Secret{})
		if apierrors.IsNotFound(err) != want || asked == want {
			t.Errorf("getByName(%q) asks: %t, and returns %v; no name: %t", name, asked, err, want)
		}
	}
}
