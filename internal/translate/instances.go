// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"crypto/sha256"
	"encoding/hex"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// instance is one configuration of the plugin in a filter chain. The first of a plugin is the base one, which runs on
// every request. Those of overrides are disabled there, and switched on by virtual hosts and routes instead of the base
// one. All of them share the plugin's VMs.
type instance struct {
	// name is that of the filter, and the one under which proxies discover it (ECDS).
	name          string
	configuration string
	// override says that it isn't the base one.
	override bool
}

// instancesOf returns the base instance, and one for each distinct text of the overrides' rules. The name of an
// override's instance is made of its text: new rules are a new instance, delivered before a route names it, so that no
// request meets rules of another host. It isn't shared with the base one, which keeps its name when its rules change.
func instancesOf(in Input) ([]instance, []override, error) {
	text, err := configuration(in)
	if err != nil {
		return nil, nil, err
	}
	base := resourceName(in.Plugin)
	instances := []instance{{name: base, configuration: text}}
	overrides := make([]override, 0, len(in.Plugin.Spec.Overrides))
	seen := map[string]bool{}
	for i, entry := range in.Plugin.Spec.Overrides {
		next := override{match: entry.Match}
		if entry.Mode != wasmv1alpha1.OverrideDisable {
			text, err := overrideConfiguration(in, i)
			if err != nil {
				return nil, nil, err
			}
			next.instance = base + "~" + textHash(text)
			if !seen[next.instance] {
				seen[next.instance] = true
				instances = append(instances, instance{name: next.instance, configuration: text, override: true})
			}
		}
		overrides = append(overrides, next)
	}
	return instances, overrides, nil
}

func textHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}
