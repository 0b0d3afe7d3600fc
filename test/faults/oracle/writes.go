// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"fmt"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
	"github.com/solarmesh/wasmplugin-operator/test/faults/inject"
)

// Quiet (O4): nothing is written any more.
func Quiet(writes []inject.Write) []string {
	var found []string
	for _, write := range writes {
		found = append(found, fmt.Sprintf("O4: %s %s/%s %s was sent although all was done", write.Method, write.Resource, write.Name, write.Subresource))
	}
	return found
}

// Writes (O6): every write is to the status of a plugin, or to an EnvoyFilter of a plugin, that there is or was, and on its
// behalf. Nothing of anybody else has the operator's mark.
func Writes(history History, writes []inject.Write) []string {
	var found []string
	incarnations := map[string]map[string]bool{}
	for _, event := range history {
		if event.isPlugin() {
			name := event.Object.GetName()
			if incarnations[name] == nil {
				incarnations[name] = map[string]bool{}
			}
			incarnations[name][string(event.Object.GetUID())] = true
			continue
		}
		if _, ours := translate.PluginName(event.Object.GetName()); ours {
			continue
		}
		for _, entry := range event.Object.GetManagedFields() {
			if entry.Manager == wasmv1alpha1.FieldManager {
				found = append(found, fmt.Sprintf("O6: %s is nobody's, and was written", event.Object.GetName()))
			}
		}
	}
	for _, write := range writes {
		if problem := foreign(write, incarnations); problem != "" {
			found = append(found, fmt.Sprintf("O6: %s %s/%s %s: %s", write.Method, write.Resource, write.Name, write.Subresource, problem))
		}
	}
	return found
}

// foreign says why a write is none of the operator's; empty if it is.
func foreign(write inject.Write, incarnations map[string]map[string]bool) string {
	if write.Resource == inject.WasmPlugins {
		switch {
		case write.Subresource != "status":
			return "it isn't a status"
		case write.UID != "" && !incarnations[write.Name][write.UID]:
			return "there was never a plugin of that uid"
		}
		return ""
	}
	plugin, ours := translate.PluginName(write.Name)
	switch {
	case !ours || len(incarnations[plugin]) == 0:
		return "it is of no plugin"
	case write.Owner != "" && !incarnations[plugin][write.Owner]:
		return "its owner was never there"
	}
	return ""
}
