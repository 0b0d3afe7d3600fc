// SPDX-License-Identifier: Apache-2.0

package translate

import (
	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// feature is a field, or a value of one, that the API has and this version doesn't put into effect.
type feature struct {
	field string
	used  func(wasmv1alpha1.WasmPluginSpec) bool
}

var unsupported = []feature{
	{"spec.rollout", func(s wasmv1alpha1.WasmPluginSpec) bool { return s.Rollout.Canary.Selector.MatchLabels != nil }},
}

// Unsupported are the fields, and values of fields, that the API has and this version doesn't put into effect.
func Unsupported() []string {
	fields := make([]string, 0, len(unsupported))
	for _, feature := range unsupported {
		fields = append(fields, feature.field)
	}
	return fields
}

func checkSupported(in Input) error {
	for _, feature := range unsupported {
		if feature.used(in.Plugin.Spec) {
			return notSupported(feature.field, "this version of the operator doesn't support it yet; take it out")
		}
	}
	return nil
}
