// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// Wanted is what is to stand for a plugin.
type Wanted struct {
	Plugin *wasmv1alpha1.WasmPlugin
	// InForce is the spec that the pair is of, where it isn't the plugin's own.
	InForce *wasmv1alpha1.WasmPluginSpec
	// Beside are further EnvoyFilters that stand, whose contents are the operator's memory.
	Beside []wasmv1alpha1.EnvoyFilterRole
}

// EndState (O1): what stands is what the pure rendering of all plugins says, and nothing else.
func EndState(options translate.Options, wanted []Wanted, standing map[string]*unstructured.Unstructured) []string {
	var found []string
	left := maps.Clone(standing)
	for _, one := range wanted {
		pair, err := one.render(options, standing)
		if err != nil {
			found = append(found, fmt.Sprintf("O1: %s can't be rendered: %v", one.Plugin.Name, err))
			continue
		}
		for _, half := range pair.EnvoyFilters() {
			found = append(found, compare(half.Object, standing[half.Name])...)
			delete(left, half.Name)
		}
		for _, role := range one.Beside {
			name := translate.EnvoyFilterName(one.Plugin.Name, role)
			if standing[name] == nil {
				found = append(found, fmt.Sprintf("O1: %s is missing", name))
			}
			delete(left, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		found = append(found, fmt.Sprintf("O1: %s stands, and is nobody's", name))
	}
	return found
}

// render is the pair of a plugin, with as many nudges as it had: these are no function of the spec.
func (w Wanted) render(options translate.Options, standing map[string]*unstructured.Unstructured) (translate.Pair, error) {
	plugin := w.Plugin.DeepCopy()
	if w.InForce != nil {
		plugin.Spec = *w.InForce
	}
	in := translate.Input{Plugin: plugin, Options: options}
	if config := standing[translate.EnvoyFilterName(plugin.Name, wasmv1alpha1.EnvoyFilterConfig)]; config != nil {
		if nudge, err := strconv.Atoi(config.GetAnnotations()[wasmv1alpha1.AnnotationNudge]); err == nil {
			in.Nudge = nudge
		}
	}
	return translate.Translate(in)
}

func compare(want, got *unstructured.Unstructured) []string {
	if got == nil {
		return []string{fmt.Sprintf("O1: %s is missing", want.GetName())}
	}
	var found []string
	for what, values := range map[string][2]any{
		"spec":            {want.Object["spec"], got.Object["spec"]},
		"labels":          {want.GetLabels(), got.GetLabels()},
		"ownerReferences": {want.GetOwnerReferences(), got.GetOwnerReferences()},
	} {
		if diff := cmp.Diff(text(values[0]), text(values[1])); diff != "" {
			found = append(found, fmt.Sprintf("O1: %s of %s (-want +got):\n%s", what, want.GetName(), diff))
		}
	}
	return found
}
