// SPDX-License-Identifier: Apache-2.0

package translate_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	networking "istio.io/api/networking/v1alpha3"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// TestOrder lets istiod's rules (ascending priority; INSERT_FIRST and INSERT_BEFORE a filter) put random sets of plugins
// into a chain, and expects phases in their order and the higher priority first in each, whatever the order of creation.
func TestOrder(t *testing.T) {
	const seed = 7
	random := rand.New(rand.NewPCG(seed, seed))
	phases := []wasmv1alpha1.Phase{wasmv1alpha1.PhaseAuthn, wasmv1alpha1.PhaseAuthz, wasmv1alpha1.PhaseStats, wasmv1alpha1.PhaseUnspecified, ""}
	for range 200 {
		var plugins []*wasmv1alpha1.WasmPlugin
		for i := range 1 + random.IntN(12) {
			plugin := newPlugin("shop", fmt.Sprintf("plugin-%d-%d", i, random.IntN(1000)))
			priority := random.Int32N(2001) - 1000
			plugin.Spec.Phase, plugin.Spec.Priority = phases[random.IntN(len(phases))], &priority
			plugins = append(plugins, plugin)
		}
		chain := insertAsIstiod(t, plugins)
		random.Shuffle(len(plugins), func(i, j int) { plugins[i], plugins[j] = plugins[j], plugins[i] })
		if again := insertAsIstiod(t, plugins); !slices.Equal(names(chain), names(again)) {
			t.Fatalf("the order depends on the order of creation: %v, %v", names(chain), names(again))
		}
		for i := 1; i < len(chain); i++ {
			if before(chain[i], chain[i-1]) {
				t.Fatalf("%s runs after %s: %v", chain[i].Name, chain[i-1].Name, names(chain))
			}
		}
	}
}

// before says whether a must run before b by what their specs say.
func before(a, b *wasmv1alpha1.WasmPlugin) bool {
	order := func(plugin *wasmv1alpha1.WasmPlugin) int {
		return slices.Index([]wasmv1alpha1.Phase{wasmv1alpha1.PhaseAuthn, wasmv1alpha1.PhaseAuthz, wasmv1alpha1.PhaseStats},
			plugin.Spec.Phase) & 3 // UNSPECIFIED, -1, is the last: 3
	}
	return cmp.Or(cmp.Compare(order(a), order(b)), -cmp.Compare(*a.Spec.Priority, *b.Spec.Priority)) < 0
}

func names(plugins []*wasmv1alpha1.WasmPlugin) []string {
	var names []string
	for _, plugin := range plugins {
		names = append(names, plugin.Name)
	}
	return names
}

// insertAsIstiod applies the filters' patches to a chain as pilot/pkg/networking/core/envoyfilter does.
func insertAsIstiod(t *testing.T, plugins []*wasmv1alpha1.WasmPlugin) []*wasmv1alpha1.WasmPlugin {
	t.Helper()
	type filter struct {
		plugin *wasmv1alpha1.WasmPlugin
		spec   *networking.EnvoyFilter
	}
	var filters []filter
	for _, plugin := range plugins {
		pair, err := translate.Translate(translate.Input{Plugin: plugin})
		if err != nil {
			t.Fatal(err)
		}
		filters = append(filters, filter{plugin, decode(t, pair.Filter)})
	}
	slices.SortStableFunc(filters, func(a, b filter) int { return cmp.Compare(a.spec.Priority, b.spec.Priority) })
	chain := []*wasmv1alpha1.WasmPlugin{nil} // the anchor
	for _, f := range filters {
		switch operation := f.spec.ConfigPatches[0].Patch.Operation; operation {
		case networking.EnvoyFilter_Patch_INSERT_FIRST:
			chain = slices.Insert(chain, 0, f.plugin)
		case networking.EnvoyFilter_Patch_INSERT_BEFORE:
			chain = slices.Insert(chain, slices.Index(chain, nil), f.plugin)
		default:
			t.Fatalf("operation %s", operation)
		}
	}
	return slices.DeleteFunc(chain, func(plugin *wasmv1alpha1.WasmPlugin) bool { return plugin == nil })
}
