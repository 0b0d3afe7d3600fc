// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/solarmesh/wasmplugin-operator/internal/module"
	"github.com/solarmesh/wasmplugin-operator/internal/resolve"
)

// noSecretRight is what to do where a Secret may not be read.
const noSecretRight = "the operator has no right to Secrets of this namespace; add the namespace to the chart's value modules.secretNamespaces, or grant get on this Secret"

// pullSecret reads the credentials of a registry, each time that they are needed: they are kept nowhere.
func (r *WasmPluginReconciler) pullSecret(ctx context.Context, key types.NamespacedName) ([]byte, error) {
	const field = "spec.imagePullSecret"
	secret, err := r.readSecret(ctx, field, key, module.InvalidPullSecret)
	if err != nil {
		return nil, err
	}
	content, has := secret.Data[corev1.DockerConfigJsonKey]
	if secret.Type != corev1.SecretTypeDockerConfigJson || !has {
		return nil, &resolve.Failure{
			Reason:  string(module.InvalidPullSecret),
			Message: fmt.Sprintf("%s: Secret %q is not of type %s; make it with kubectl create secret docker-registry", field, key.Name, corev1.SecretTypeDockerConfigJson),
		}
	}
	return content, nil
}

// readSecret reads a Secret by name. Why it can't is a sentence, unless asking again may help.
func (r *WasmPluginReconciler) readSecret(ctx context.Context, field string, key types.NamespacedName, kind module.Kind) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	err := getByName(ctx, r.Live, key, secret)
	switch {
	case err == nil:
		return secret, nil
	case apierrors.IsNotFound(err):
		return nil, &resolve.Failure{Reason: string(kind), Message: fmt.Sprintf("%s: Secret %q doesn't exist in namespace %s; create it", field, key.Name, key.Namespace)}
	case apierrors.IsForbidden(err):
		return nil, &resolve.Failure{Reason: string(kind), Message: fmt.Sprintf("%s: Secret %q can't be read: %s", field, key.Name, noSecretRight)}
	default:
		return nil, &resolve.Failure{Reason: string(kind), Message: fmt.Sprintf("%s: Secret %q can't be read: the API server doesn't answer", field, key.Name), Temporary: true}
	}
}
