// SPDX-License-Identifier: Apache-2.0

package translate

import (
	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/rules"
)

// configuration is the text that the plugin receives; empty where it has no rules.
func configuration(spec wasmv1alpha1.WasmPluginSpec) (string, error) {
	if spec.RulesText != "" {
		if err := rules.CheckText(spec.RulesText); err != nil {
			return "", invalidRules("spec.rulesText", err)
		}
		return spec.RulesText, nil
	}
	if spec.Rules == nil {
		return "", nil
	}
	text, err := rules.Canonical(spec.Rules.Raw)
	if err != nil {
		return "", invalidRules("spec.rules", err)
	}
	return text, nil
}

func invalidRules(field string, err error) error {
	return &InvalidSpecError{Reason: wasmv1alpha1.ReasonInvalidRules, Field: field, Problem: err.Error()}
}
