// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"cmp"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// Mode is how a change of a spec comes into force here. A trial takes a filter chain of its own, which a network filter
// can't have without a port, and an operator that sees what the proxies say of it.
func (o Options) Mode(spec wasmv1alpha1.WasmPluginSpec) wasmv1alpha1.ActivationMode {
	switch {
	case isOff(spec):
		return wasmv1alpha1.ActivationOff
	case spec.Activation.Mode == wasmv1alpha1.ActivationImmediate, isNetwork(spec), !o.ObserveProxies:
		return wasmv1alpha1.ActivationImmediate
	default:
		return wasmv1alpha1.ActivationSafe
	}
}

// HasCanary says whether a change of content goes to canary proxies first.
func (o Options) HasCanary(spec wasmv1alpha1.WasmPluginSpec) bool {
	return len(spec.Rollout.Canary.Selector.MatchLabels) > 0 && o.Mode(spec) == wasmv1alpha1.ActivationSafe
}

func isOff(spec wasmv1alpha1.WasmPluginSpec) bool {
	return spec.Activation.Mode == wasmv1alpha1.ActivationOff
}

func checkActivation(in Input) error {
	spec := in.Plugin.Spec
	if err := cmp.Or(
		oneOf("spec.activation.mode", spec.Activation.Mode, wasmv1alpha1.ActivationSafe, wasmv1alpha1.ActivationImmediate, wasmv1alpha1.ActivationOff),
		oneOf("spec.activation.onDeadline", spec.Activation.OnDeadline, wasmv1alpha1.OnDeadlineHold, wasmv1alpha1.OnDeadlineProceed),
	); err != nil {
		return err
	}
	if isOff(spec) && isNetwork(spec) {
		return notSupported("spec.activation.mode: Off", "Envoy can't disable a network filter; delete the plugin, or narrow match to where it shall run")
	}
	return nil
}
