// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Union returns next and, beside what it delivers, what only standing delivers: the instances that a filter chain may
// still name while it is being changed.
func Union(next EnvoyFilter, standing *unstructured.Unstructured) (EnvoyFilter, error) {
	union := next
	union.Object = next.Object.DeepCopy()
	union.Instances = slices.Clone(next.Instances)
	patches, _, err := unstructured.NestedSlice(union.Object.Object, "spec", "configPatches")
	if err != nil {
		return EnvoyFilter{}, fmt.Errorf("read the rendered EnvoyFilter %s: %w", next.Name, err)
	}
	old, _, err := unstructured.NestedSlice(standing.Object, "spec", "configPatches")
	if err != nil {
		return EnvoyFilter{}, fmt.Errorf("read EnvoyFilter %s: %w", next.Name, err)
	}
	for _, patch := range old {
		name := deliveredName(patch)
		if name == "" || slices.Contains(union.Instances, name) {
			continue
		}
		patches = append(patches, patch)
		union.Instances = append(union.Instances, name)
	}
	slices.Sort(union.Instances)
	if err := unstructured.SetNestedSlice(union.Object.Object, patches, "spec", "configPatches"); err != nil {
		return EnvoyFilter{}, fmt.Errorf("render EnvoyFilter %s: %w", next.Name, err)
	}
	return sealed(union)
}

// deliveredName is the name under which a patch delivers a configuration; empty for none.
func deliveredName(patch any) string {
	fields, _ := patch.(map[string]any)
	name, _, _ := unstructured.NestedString(fields, "patch", "value", "name")
	return name
}
