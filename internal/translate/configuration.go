// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"fmt"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/rules"
)

// configuration is the text that the plugin receives; empty where it has no rules.
func configuration(in Input) (string, error) {
	spec := in.Plugin.Spec
	if spec.RulesText != "" {
		if err := rules.CheckText(spec.RulesText); err != nil {
			return "", invalidRules("spec.rulesText", err)
		}
		return spec.RulesText, nil
	}
	return mergedRules(in, "spec", spec.Rules, spec.RulesFrom)
}

// overrideConfiguration is the text that the plugin receives for the requests of an override.
func overrideConfiguration(in Input, index int) (string, error) {
	override := in.Plugin.Spec.Overrides[index]
	return mergedRules(in, fmt.Sprintf("spec.overrides[%d]", index), override.Rules, override.RulesFrom)
}

// mergedRules merges what the sources hold over the inline rules, or over {} where there are none, so that each source is
// a patch, whichever of those before it are there. The inline rules are checked on their own first, so that an error
// names the field it is in.
func mergedRules(in Input, field string, inline *apiextensionsv1.JSON, sources []wasmv1alpha1.RulesSource) (string, error) {
	base := []byte("{}")
	if inline != nil {
		text, err := rules.Canonical(inline.Raw)
		if err != nil {
			return "", invalidRules(field+".rules", err)
		}
		if len(sources) == 0 {
			return text, nil
		}
		base = inline.Raw
	}
	found, err := documents(in, field+".rulesFrom", sources)
	if err != nil {
		return "", err
	}
	if inline == nil && len(found) == 0 {
		return "", nil
	}
	text, err := rules.Merge(append([][]byte{base}, found...)...)
	if err != nil {
		return "", invalidRules(field+".rulesFrom", fmt.Errorf("the merged rules: %w", err))
	}
	return text, nil
}

func invalidRules(field string, err error) error {
	return &InvalidSpecError{Reason: wasmv1alpha1.ReasonInvalidRules, Field: field, Problem: err.Error()}
}
