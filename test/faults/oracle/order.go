// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// Order (O3): whatever was written last, what a filter names is delivered by the half beside it. What the garbage
// collector takes away of a plugin that is gone is not the operator's. Of what was listed nobody saw the order: it is judged
// as a whole, with the next event that was seen.
func Order(history History) []string {
	var found []string
	gone, written := map[string]bool{}, map[string]bool{}
	history.walk(func(event Event, now moment) {
		if event.isPlugin() {
			if event.Type == watch.Deleted {
				gone[string(event.Object.GetUID())] = true
			}
			return
		}
		if plugin, ours := translate.PluginName(event.Object.GetName()); ours {
			written[plugin] = true
		}
		if event.Listed {
			return
		}
		for _, plugin := range slices.Sorted(maps.Keys(written)) {
			for _, problem := range now.misses(plugin, gone) {
				found = append(found, fmt.Sprintf("O3: after %s of %s in version %d, %s", event.Type, event.Object.GetName(), event.Version(), problem))
			}
		}
		clear(written)
	})
	return found
}

// misses says what the filters of a plugin name that nothing delivers.
func (m moment) misses(plugin string, gone map[string]bool) []string {
	var found []string
	for end, roles := range map[string][]wasmv1alpha1.EnvoyFilterRole{
		"": translate.Roles, "-trial": translate.TrialRoles, "-canary": translate.CanaryRoles,
	} {
		config := m.envoyFilters[translate.EnvoyFilterName(plugin, roles[0])]
		filter := m.envoyFilters[translate.EnvoyFilterName(plugin, roles[1])]
		if filter == nil || gone[ownerOf(filter)] {
			continue
		}
		for _, name := range undelivered(filter, config, end) {
			found = append(found, fmt.Sprintf("%s names %s, which nothing delivers", filter.GetName(), name))
		}
	}
	return found
}

var resourceName = regexp.MustCompile(`"name":"(wasm\.solarmesh\.io/[^"]+)"`)

// undelivered are the names by which a filter has a configuration discovered that config doesn't have.
func undelivered(filter, config *unstructured.Unstructured, end string) []string {
	delivered := ""
	if config != nil {
		delivered = text(config.Object["spec"])
	}
	var missing []string
	for _, match := range resourceName.FindAllStringSubmatch(text(filter.Object["spec"]), -1) {
		name := match[1]
		listener := strings.HasSuffix(name, "~gateway") || strings.HasSuffix(name, "~inbound") || strings.HasSuffix(name, "~outbound")
		// A canary's filter names what it replaces, too.
		replaced := end == "-canary" && !strings.Contains(name, "~canary~")
		if !listener && !replaced && !strings.Contains(delivered, `"name":"`+name+`"`) {
			missing = append(missing, name)
		}
	}
	return missing
}
