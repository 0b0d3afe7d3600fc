// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"encoding/json"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/rules"
)

// Mask returns the words of others, who may repeat what the plugin is configured with, without what may be a credential.
func (in Input) Mask(text string) string {
	return rules.Mask(text, in.Sources.Secrets(), in.openDocuments()...)
}

// openDocuments are what the plugin is configured with that doesn't come from Secrets. What is no JSON object tells of no
// string what it is.
func (in Input) openDocuments() [][]byte {
	spec := in.Plugin.Spec
	documents := [][]byte{[]byte(spec.RulesText), []byte(spec.Envoy.VMConfiguration), variablesOf(spec)}
	if spec.Rules != nil {
		documents = append(documents, spec.Rules.Raw)
	}
	for _, override := range spec.Overrides {
		if override.Rules != nil {
			documents = append(documents, override.Rules.Raw)
		}
	}
	for object, content := range in.Sources {
		for _, value := range content.Data {
			if object.Kind == rules.ConfigMap {
				documents = append(documents, value)
			}
		}
	}
	return documents
}

// variablesOf are a VM's variables as an object: their names tell what is secret, as keys do.
func variablesOf(spec wasmv1alpha1.WasmPluginSpec) []byte {
	variables := map[string]*string{}
	for _, variable := range spec.VMConfig.Env {
		variables[variable.Name] = variable.Value
	}
	document, _ := json.Marshal(variables) // strings can always be written
	return document
}
