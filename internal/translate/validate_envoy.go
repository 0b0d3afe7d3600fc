// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"cmp"
	"slices"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

func checkEnvoy(in Input) error {
	const switchField = "spec.envoy."
	spec := in.Plugin.Spec
	reload := spec.Envoy.ReloadConfig
	if err := cmp.Or(
		oneOf(switchField+"allowOnHeadersStopIteration", spec.Envoy.AllowOnHeadersStopIteration, wasmv1alpha1.SwitchEnabled, wasmv1alpha1.SwitchDisabled),
		oneOf(switchField+"nackOnCodeCacheMiss", spec.Envoy.NackOnCodeCacheMiss, wasmv1alpha1.SwitchEnabled, wasmv1alpha1.SwitchDisabled),
	); err != nil {
		return err
	}
	switch {
	case slices.Contains(spec.Envoy.CapabilityRestriction.AllowedCapabilities, ""):
		return invalid("spec.envoy.capabilityRestriction.allowedCapabilities", "has an empty name; name functions such as proxy_log")
	case reload == (wasmv1alpha1.ReloadConfig{}):
		return nil
	case spec.FailStrategy != wasmv1alpha1.FailReload:
		return invalid("spec.envoy.reloadConfig", "has an effect with failStrategy FAIL_RELOAD only; set that, or take it out")
	case reload.BaseIntervalSeconds < 0 || reload.MaxIntervalSeconds < 0:
		return invalid("spec.envoy.reloadConfig", "has a negative interval")
	case reload.MaxIntervalSeconds != 0 && reload.MaxIntervalSeconds < cmp.Or(reload.BaseIntervalSeconds, 1):
		return invalid("spec.envoy.reloadConfig.maxIntervalSeconds", "is %d, less than the first interval; raise it", reload.MaxIntervalSeconds)
	}
	return nil
}

// checkNetwork refuses what only a chain of HTTP filters has.
func checkNetwork(in Input) error {
	spec := in.Plugin.Spec
	if err := oneOf("spec.type", spec.Type, wasmv1alpha1.PluginTypeHTTP, wasmv1alpha1.PluginTypeNetwork); err != nil || !isNetwork(spec) {
		return err
	}
	switch {
	case len(spec.Overrides) > 0:
		return invalid("spec.overrides", "need hosts and routes, which a plugin of type NETWORK doesn't see; take them out")
	case spec.Placement != (wasmv1alpha1.Placement{}):
		return invalid("spec.placement", "names HTTP filters, next to which a plugin of type NETWORK can't stand; use phase")
	case spec.Envoy.AllowOnHeadersStopIteration != "":
		return invalid("spec.envoy.allowOnHeadersStopIteration", "is about HTTP headers, which a plugin of type NETWORK doesn't see; take it out")
	}
	return nil
}
