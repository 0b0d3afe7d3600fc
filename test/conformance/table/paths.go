// SPDX-License-Identifier: Apache-2.0

package table

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Paths are the fields that a spec sets, such as match[].ports[].number, each with its values. What the schema says no
// more about, such as rules, is one field.
func Paths(spec map[string]any, schema map[string]any) map[string][]string {
	found := map[string][]string{}
	collect(found, "", spec, schema)
	return found
}

// Leaves are all fields of a schema, each with the values that an enum allows.
func Leaves(schema map[string]any) map[string][]string {
	found := map[string][]string{}
	walk(found, "", schema)
	return found
}

func collect(found map[string][]string, path string, value any, schema map[string]any) {
	properties, _ := schema["properties"].(map[string]any)
	items, _ := schema["items"].(map[string]any)
	switch value := value.(type) {
	case map[string]any:
		if properties == nil {
			break
		}
		for name, inner := range value {
			child, _ := properties[name].(map[string]any)
			collect(found, join(path, name), inner, child)
		}
		return
	case []any:
		if items == nil {
			break
		}
		for _, inner := range value {
			collect(found, path+"[]", inner, items)
		}
		return
	}
	found[path] = append(found[path], fmt.Sprint(value))
}

func walk(found map[string][]string, path string, schema map[string]any) {
	if properties, ok := schema["properties"].(map[string]any); ok {
		for _, name := range sortedKeys(properties) {
			child, _ := properties[name].(map[string]any)
			walk(found, join(path, name), child)
		}
		return
	}
	if items, ok := schema["items"].(map[string]any); ok {
		walk(found, path+"[]", items)
		return
	}
	found[path] = nil
	values, _ := schema["enum"].([]any)
	for _, value := range values {
		found[path] = append(found[path], fmt.Sprint(value))
	}
}

func join(path, name string) string {
	return strings.TrimPrefix(path+"."+name, ".")
}

func sortedKeys[V any](of map[string]V) []string { return slices.Sorted(maps.Keys(of)) }
