// SPDX-License-Identifier: Apache-2.0

package translate_test

import (
	"slices"
	"testing"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

func TestNamesOfHalves(t *testing.T) {
	want := []struct{ end, label string }{
		{"-config", "config"},
		{"-filter", "filter"},
		{"-config-trial", "trial-config"},
		{"-filter-trial", "trial-filter"},
		{"-config-canary", "canary-config"},
		{"-filter-canary", "canary-filter"},
	}
	if !slices.Equal(translate.AllRoles, slices.Concat(translate.Roles, translate.TrialRoles, translate.CanaryRoles)) || len(translate.AllRoles) != len(want) {
		t.Fatalf("the roles are %v", translate.AllRoles)
	}
	seen := map[string]string{}
	for _, plugin := range []string{"a", "a-config", "a-filter", "a-config-trial", "a-filter-trial", "a-trial", "trial", "config", "a-config-canary", "canary"} {
		for i, role := range translate.AllRoles {
			name := translate.EnvoyFilterName(plugin, role)
			if name != plugin+want[i].end {
				t.Errorf("%s of %s is %s", role, plugin, name)
			}
			if other, taken := seen[name]; taken {
				t.Errorf("%s and %s share %s", plugin, other, name)
			}
			seen[name] = plugin
			if back, ok := translate.PluginName(name); !ok || back != plugin {
				t.Errorf("%s maps back to %q", name, back)
			}
			if label := translate.Labels(newPlugin("shop", plugin), role)[wasmv1alpha1.LabelRole]; label != want[i].label {
				t.Errorf("%s has the label %s", name, label)
			}
		}
	}
	for _, name := range []string{"", "a", "-config", "-filter-trial", "-config-canary", "a-trial", "a-config-new", "config"} {
		if plugin, ok := translate.PluginName(name); ok {
			t.Errorf("%q maps back to %q", name, plugin)
		}
	}
}

func TestPluginsIn(t *testing.T) {
	names := []string{
		"istio-system.native", "wasm.solarmesh.io/shop.a", "wasm.solarmesh.io/shop.a~0123456789ab.2", "wasm.solarmesh.io/shop.a~network",
		"wasm.solarmesh.io/shop.b~trial~0a~gateway", "wasm.solarmesh.io/front.a", "envoy.filters.http.cors",
	}
	if got := translate.PluginsIn(slices.Values(names)); got != 3 {
		t.Errorf("%d plugins, want shop/a, shop/b and front/a", got)
	}
}
