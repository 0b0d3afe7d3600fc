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
	{"spec.url: store://", moduleOfStore},
	{"spec.imagePullSecret", func(s wasmv1alpha1.WasmPluginSpec) bool { return s.ImagePullSecret != "" }},
	{"spec.verification", func(s wasmv1alpha1.WasmPluginSpec) bool { return s.Verification.Keys != nil }},
	{"spec.rulesFrom", func(s wasmv1alpha1.WasmPluginSpec) bool { return s.RulesFrom != nil }},
	{"spec.overrides", func(s wasmv1alpha1.WasmPluginSpec) bool { return s.Overrides != nil }},
	{"spec.targetRefs", func(s wasmv1alpha1.WasmPluginSpec) bool { return s.TargetRefs != nil }},
	{"spec.type: NETWORK", func(s wasmv1alpha1.WasmPluginSpec) bool {
		return s.Type != "" && s.Type != wasmv1alpha1.PluginTypeHTTP
	}},
	{"spec.failStrategy: FAIL_RELOAD", func(s wasmv1alpha1.WasmPluginSpec) bool { return s.FailStrategy == wasmv1alpha1.FailReload }},
	{"spec.envoy.allowOnHeadersStopIteration", func(s wasmv1alpha1.WasmPluginSpec) bool { return s.Envoy.AllowOnHeadersStopIteration != "" }},
	{"spec.envoy.capabilityRestriction", func(s wasmv1alpha1.WasmPluginSpec) bool {
		return s.Envoy.CapabilityRestriction.AllowedCapabilities != nil
	}},
	{"spec.envoy.reloadConfig", func(s wasmv1alpha1.WasmPluginSpec) bool {
		return s.Envoy.ReloadConfig != (wasmv1alpha1.ReloadConfig{})
	}},
	{"spec.envoy.vmConfiguration", func(s wasmv1alpha1.WasmPluginSpec) bool { return s.Envoy.VMConfiguration != "" }},
	{"spec.envoy.nackOnCodeCacheMiss", func(s wasmv1alpha1.WasmPluginSpec) bool { return s.Envoy.NackOnCodeCacheMiss != "" }},
	{"spec.proxyVersion", func(s wasmv1alpha1.WasmPluginSpec) bool { return s.ProxyVersion.Minimum != "" }},
	{"spec.delivery: Store", func(s wasmv1alpha1.WasmPluginSpec) bool { return s.Delivery == wasmv1alpha1.DeliveryStore }},
	{"spec.activation.mode: Safe", func(s wasmv1alpha1.WasmPluginSpec) bool { return s.Activation.Mode == wasmv1alpha1.ActivationSafe }},
	{"spec.activation.mode: Off", func(s wasmv1alpha1.WasmPluginSpec) bool { return s.Activation.Mode == wasmv1alpha1.ActivationOff }},
	{"spec.activation.deadlineSeconds", func(s wasmv1alpha1.WasmPluginSpec) bool { return s.Activation.DeadlineSeconds != 0 }},
	{"spec.activation.onDeadline", func(s wasmv1alpha1.WasmPluginSpec) bool { return s.Activation.OnDeadline != "" }},
	{"spec.rollout", func(s wasmv1alpha1.WasmPluginSpec) bool { return s.Rollout.Canary.Selector.MatchLabels != nil }},
}

func checkSupported(in Input) error {
	for _, feature := range unsupported {
		if feature.used(in.Plugin.Spec) {
			return &InvalidSpecError{
				Reason:  wasmv1alpha1.ReasonNotSupported,
				Field:   feature.field,
				Problem: "this version of the operator doesn't support it yet; take it out",
			}
		}
	}
	return nil
}
