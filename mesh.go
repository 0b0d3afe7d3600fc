// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// readRootNamespace reads rootNamespace from Istio's mesh config.
func readRootNamespace(ctx context.Context, reader client.Reader, key types.NamespacedName) (string, error) {
	configMap := &corev1.ConfigMap{}
	if err := reader.Get(ctx, key, configMap); err != nil {
		if apierrors.IsNotFound(err) {
			ctrl.Log.Info("Finding no mesh config, taking its namespace for the root namespace", "ConfigMap", key)
			return key.Namespace, nil
		}
		return "", fmt.Errorf("read Istio's mesh config from ConfigMap %s: %w; name another with --mesh-config, or grant get on it", key, err)
	}
	root, err := translate.RootNamespace(configMap.Data["mesh"], key.Namespace)
	if err != nil {
		return "", fmt.Errorf("read Istio's mesh config: key mesh of ConfigMap %s isn't YAML: %w", key, err)
	}
	return root, nil
}

// warnings logs what the API server warns of, but for what Istio says of every EnvoyFilter.
type warnings struct{}

var _ rest.WarningHandlerWithContext = warnings{}

func (warnings) HandleWarningHeaderWithContext(ctx context.Context, code int, _, message string) {
	if code != 299 || message == "" || strings.Contains(message, "EnvoyFilter exposes internal implementation details") {
		return
	}
	ctrl.LoggerFrom(ctx).Info("The API server warns", "warning", message)
}
