// SPDX-License-Identifier: Apache-2.0

package translate

import "sigs.k8s.io/yaml"

// RootNamespace reads rootNamespace from Istio's mesh config, which stands in a namespace. Istio's own default for it is
// istiod's namespace.
func RootNamespace(mesh, namespace string) (string, error) {
	var config struct {
		RootNamespace string `json:"rootNamespace"`
	}
	if err := yaml.Unmarshal([]byte(mesh), &config); err != nil {
		return "", err
	}
	if config.RootNamespace == "" {
		return namespace, nil
	}
	return config.RootNamespace, nil
}
