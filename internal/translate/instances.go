// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// instance is one configuration of the plugin in a filter chain. The first of a plugin is the base one, which runs on
// every request. Those of overrides are disabled there, and switched on by virtual hosts and routes instead of the base
// one. All of them share the plugin's VMs.
type instance struct {
	// name is that of the filter, and the one under which proxies discover it (ECDS).
	name          string
	configuration string
}

// instancesOf returns the base instance, and one for each distinct text of the overrides' rules.
//
// Chains, routes and configurations reach a proxy apart from each other, and a connection may keep an old chain for a
// while. So a name never means two things: new rules of the same places change what is delivered under the old names,
// and nothing else; other places change all names. A route that names no instance of a chain leaves that chain as it is
// by itself, which is the base instance alone: between the old and the new, a request runs with the base rules, never
// unfiltered and never twice.
func instancesOf(in Input) ([]instance, []override, error) {
	text, err := configuration(in)
	if err != nil {
		return nil, nil, err
	}
	texts := []string{text}
	overrides := make([]override, len(in.Plugin.Spec.Overrides))
	for _, i := range byPlace(in.Plugin.Spec.Overrides) {
		entry := in.Plugin.Spec.Overrides[i]
		overrides[i].match = entry.Match
		if entry.Mode == wasmv1alpha1.OverrideDisable {
			continue
		}
		text, err := overrideConfiguration(in, i)
		if err != nil {
			return nil, nil, err
		}
		// Not among the base rules, which change on their own.
		at := slices.Index(texts[1:], text) + 1
		if at == 0 {
			at, texts = len(texts), append(texts, text)
		}
		overrides[i].instance = at
	}
	names, err := instanceNames(in.Plugin, overrides, len(texts))
	if err != nil {
		return nil, nil, err
	}
	instances := make([]instance, len(texts))
	for i := range texts {
		instances[i] = instance{name: names[i], configuration: texts[i]}
	}
	return instances, overrides, nil
}

// byPlace returns the indices of the overrides in an order that doesn't depend on theirs in the list.
func byPlace(overrides []wasmv1alpha1.Override) []int {
	first := make([]string, len(overrides))
	order := make([]int, len(overrides))
	for i, entry := range overrides {
		order[i] = i
		for _, place := range placesOf(entry.Match) {
			if name := place.String(); first[i] == "" || name < first[i] {
				first[i] = name
			}
		}
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(first[a], first[b]) })
	return order
}

// instanceNames are made of the places of the overrides and of which of them share an instance.
func instanceNames(plugin *wasmv1alpha1.WasmPlugin, overrides []override, count int) ([]string, error) {
	base := resourceName(plugin)
	if len(overrides) > 0 {
		layout := map[string]int{}
		for _, override := range overrides {
			for _, place := range placesOf(override.match) {
				layout[place.String()] = override.instance
			}
		}
		raw, err := json.Marshal(layout) // keys are sorted
		if err != nil {
			return nil, fmt.Errorf("name the plugin's instances: %w", err)
		}
		sum := sha256.Sum256(raw)
		base += "~" + hex.EncodeToString(sum[:6])
	}
	names := make([]string, count)
	for i := range names {
		names[i] = instanceName(base, i)
	}
	return names, nil
}

func instanceName(base string, index int) string {
	if index == 0 {
		return base
	}
	return fmt.Sprintf("%s.%d", base, index)
}
