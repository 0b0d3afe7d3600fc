// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"maps"
	"reflect"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// checkOff: of a spec that isn't accepted, Off alone has an effect: the filter that stands loses its patches, and nothing else.
func (w *fuzzedWorld) checkOff(before *snapshot, specs map[string]any, foreign map[string]bool) {
	w.t.Helper()
	const name = "auth-filter"
	spec, stands := specs[name].(map[string]any)
	network := w.plugin.Spec.Type == wasmv1alpha1.PluginTypeNetwork
	if !stands || network || foreign[name] || before.children[name].DeletionTimestamp != nil || w.plugin.Spec.Activation.Mode != wasmv1alpha1.ActivationOff {
		return
	}
	spec = maps.Clone(spec)
	delete(spec, "configPatches")
	if !reflect.DeepEqual(w.specs[name], any(spec)) || w.status.Activation.State != wasmv1alpha1.StateOff {
		w.t.Errorf("it is %s: %v", w.status.Activation.State, w.specs[name])
	}
	before.children[name], specs[name] = w.children[name], w.specs[name]
}
