// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"fmt"
	"maps"

	networking "istio.io/api/networking/v1alpha3"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// Canary renders the pair that has some of a plugin's proxies run this content in the place of the pair that stands, whose
// instances have the names of stable. istiod has no selector for all but those proxies, so both pairs reach them, and there
// the canary's filter replaces the other one by its name. That happens when istiod builds the chain: a proxy never has both,
// nor none. Hence a canary runs where the stable pair does, whatever phase, match and priority the spec has by now.
//
// Another attempt has other names, as a trial's.
//
// It returns an *InvalidSpecError where Translate does.
func Canary(in Input, stable []string, attempt int) (Pair, error) {
	instances, overrides, content, err := partsOf(in)
	if err != nil {
		return Pair{}, err
	}
	base := fmt.Sprintf("%s~canary~%s~%d", resourceName(in.Plugin), content, attempt)
	instances = inTheirPlace(instances, stable, base)
	filters, err := replacements(in.Plugin.Spec, instances, stable)
	if err != nil {
		return Pair{}, fmt.Errorf("render the plugin's canary: %w", err)
	}
	routes, err := routePatches(in, instances, overrides)
	if err != nil {
		return Pair{}, fmt.Errorf("render the plugin's canary: %w", err)
	}
	in.Plugin = onCanary(in.Plugin)
	return pairOf(in, CanaryRoles, content, instances, append(filters, routes...))
}

// onCanary is the plugin for its canary proxies alone.
func onCanary(plugin *wasmv1alpha1.WasmPlugin) *wasmv1alpha1.WasmPlugin {
	canary := *plugin
	labels := maps.Clone(plugin.Spec.Selector.MatchLabels)
	if labels == nil {
		labels = map[string]wasmv1alpha1.LabelValue{}
	}
	maps.Copy(labels, plugin.Spec.Rollout.Canary.Selector.MatchLabels)
	canary.Spec.Selector.MatchLabels = labels
	return &canary
}

// inTheirPlace gives the instances names of their own, and adds some that nothing switches on where fewer are wanted than
// stand: routes of the stable pair would switch one on that stays in the chain.
func inTheirPlace(instances []instance, stable []string, base string) []instance {
	named := make([]instance, 0, max(len(instances), len(stable)))
	for i := range cap(named) {
		configuration := instances[0].configuration
		if i < len(instances) {
			configuration = instances[i].configuration
		}
		named = append(named, instance{name: instanceName(base, i), configuration: configuration})
	}
	return named
}

// replacements put the instances where the stable ones are, and those that are more after the first.
func replacements(spec wasmv1alpha1.WasmPluginSpec, instances []instance, stable []string) ([]*networking.EnvoyFilter_EnvoyConfigObjectPatch, error) {
	var patches []*networking.EnvoyFilter_EnvoyConfigObjectPatch
	for i, instance := range instances {
		at := position{operation: networking.EnvoyFilter_Patch_INSERT_AFTER, anchor: instances[0].name}
		if i < len(stable) {
			at = position{operation: networking.EnvoyFilter_Patch_REPLACE, anchor: stable[i]}
		}
		patch, err := httpPatch(spec, matchedListener{context: networking.EnvoyFilter_ANY}, at, instance, i > 0)
		if err != nil {
			return nil, err
		}
		patches = append(patches, patch)
	}
	return patches, nil
}

func checkRollout(in Input) error {
	const field = "spec.rollout.canary.selector.matchLabels"
	spec := in.Plugin.Spec
	labels := spec.Rollout.Canary.Selector.MatchLabels
	switch {
	case labels == nil:
		return nil
	case len(spec.TargetRefs) > 0:
		return invalid("spec.rollout", "picks proxies by labels, which an EnvoyFilter with targetRefs can't; use selector instead of targetRefs")
	case isNetwork(spec):
		return notSupported("spec.rollout", "a plugin of type NETWORK has no trial and no canary; take it out")
	}
	for key, value := range labels {
		if other, both := spec.Selector.MatchLabels[key]; both && other != value {
			return invalid(field, "wants %s to be %s, and spec.selector %s: no proxy has both; leave %s out of one of them", key, value, other, key)
		}
	}
	return checkLabels(field, labels, "take rollout out")
}
