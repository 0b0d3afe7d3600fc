// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// operatorLabels are those of the operator's Deployment, in the chart and in the manifests.
var operatorLabels = client.MatchingLabels{"app.kubernetes.io/name": "wasmplugin-operator"}

// asOperator are flags that mean what the operator's of the same name mean.
var asOperator = []string{
	"istio-version", "allow-root-namespace-scope", "resolve-modules", "store-url", "require-digest", "require-signature",
}

// installation gives flags that were not given the values that the operator runs with.
func (c *cluster) installation(ctx context.Context, namespace string, flags *pflag.FlagSet) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var found appsv1.DeploymentList
	if err := c.List(ctx, &found, operatorLabels, client.InNamespace(namespace)); err != nil {
		return fmt.Errorf("can't be looked for, so the flags' defaults hold: %w", err)
	}
	if len(found.Items) != 1 {
		return fmt.Errorf("%d were found, so the flags' defaults hold; name its namespace with --operator-namespace", len(found.Items))
	}
	args := argumentsOf(found.Items[0].Spec.Template.Spec.Containers)
	for _, name := range asOperator {
		value, given := args[name]
		if flag := flags.Lookup(name); given && flag != nil && !flag.Changed {
			if err := flags.Set(name, value); err != nil {
				return fmt.Errorf("has --%s=%s, which can't be read: %w", name, value, err)
			}
		}
	}
	if flag := flags.Lookup("root-namespace"); flag.Changed {
		return nil
	}
	root, err := c.rootNamespace(ctx, args["mesh-config"])
	if err != nil {
		return err
	}
	return flags.Set("root-namespace", root)
}

// argumentsOf are the manager's.
func argumentsOf(containers []corev1.Container) map[string]string {
	args := map[string]string{}
	for _, container := range containers {
		if container.Name != "manager" {
			continue
		}
		for _, arg := range container.Args {
			name, value, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
			if !hasValue {
				value = "true"
			}
			args[name] = value
		}
	}
	return args
}

// rootNamespace reads it as the operator does: Istio's own default is the namespace of its configuration.
func (c *cluster) rootNamespace(ctx context.Context, meshConfig string) (string, error) {
	namespace, name, ok := strings.Cut(meshConfig, "/")
	if !ok {
		namespace, name = "istio-system", "istio"
	}
	var object corev1.ConfigMap
	err := c.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, &object)
	if apierrors.IsNotFound(err) {
		return namespace, nil
	}
	if err != nil {
		return "", fmt.Errorf("reads Istio's mesh config, which this user can't: %w", err)
	}
	root, err := translate.RootNamespace(object.Data["mesh"], namespace)
	if err != nil {
		return "", errors.New("reads Istio's mesh config, which is no YAML")
	}
	return root, nil
}
