// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// Bystander (O7): since a version nothing happened to a plugin, nor to what it has.
func Bystander(history History, since uint64, plugin string) []string {
	var found []string
	seen := false
	for _, event := range history.Ordered() {
		name := event.Object.GetName()
		if owner, ours := translate.PluginName(name); !event.isPlugin() && ours {
			name = owner
		}
		if name != plugin {
			continue
		}
		seen = true
		if event.Version() > since {
			found = append(found, fmt.Sprintf("O7: %s %s in version %d, though nothing was to happen to %s", event.Object.GetName(), event.Type, event.Version(), plugin))
		}
	}
	if !seen {
		found = append(found, fmt.Sprintf("O7: there never was a plugin %s", plugin))
	}
	return found
}

// Process is what is known of an operator's process.
type Process struct {
	Log string
	// Panics is its own count of them.
	Panics float64
	// Before and After are its numbers of goroutines when all was well, and when it was so again.
	Before, After float64
}

// slack is by how much the number of goroutines may differ: connections come and go.
const slack = 10

var panicked = regexp.MustCompile(`(?mi)^.*(panic|fatal error:|goroutine \d+ \[).*$`)

// Sound (O8): no panic, and no goroutine is left behind.
func Sound(p Process) []string {
	var found []string
	if line := panicked.FindString(p.Log); line != "" {
		found = append(found, "O8: the log says: "+line)
	}
	if p.Panics > 0 {
		found = append(found, fmt.Sprintf("O8: %v panics are counted", p.Panics))
	}
	if p.Before > 0 && p.After > p.Before+slack {
		found = append(found, fmt.Sprintf("O8: %v goroutines, and %v in the end", p.Before, p.After))
	}
	return found
}

// counters are the annotations that tell how something came to be, and not what it is.
var counters = []string{wasmv1alpha1.AnnotationGeneration, wasmv1alpha1.AnnotationPluginGeneration, wasmv1alpha1.AnnotationTrial}

// ofNudges are the annotations that a nudge changes, with the spec: proxies that refused a trial are asked again when it has
// gone.
var ofNudges = []string{wasmv1alpha1.AnnotationNudge, wasmv1alpha1.AnnotationHash, wasmv1alpha1.AnnotationExpectation}

// nudges are the milliseconds that a nudge adds to the time for a fetch (translate.Input).
var nudges = regexp.MustCompile(`("timeout":"30)\.\d{3}s"`)

// Same (O9): what stands after a way there and back is what stood before.
func Same(before, after map[string]*unstructured.Unstructured) []string {
	var found []string
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if after[name] == nil {
			found = append(found, fmt.Sprintf("O9: %s stood before", name))
			continue
		}
		nudged := before[name].GetAnnotations()[wasmv1alpha1.AnnotationNudge] != after[name].GetAnnotations()[wasmv1alpha1.AnnotationNudge]
		if was, is := essence(before[name], nudged), essence(after[name], nudged); was != is {
			found = append(found, fmt.Sprintf("O9: %s was\n%s\nand is\n%s", name, was, is))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if before[name] == nil {
			found = append(found, fmt.Sprintf("O9: %s is left over", name))
		}
	}
	return found
}

// essence is all that an operator says of an EnvoyFilter but how it came to be, and but for nudges where they differ.
func essence(object *unstructured.Unstructured, nudged bool) string {
	annotations := maps.Clone(object.GetAnnotations())
	for _, key := range counters {
		delete(annotations, key)
	}
	said := map[string]any{
		"labels": object.GetLabels(), "annotations": annotations, "owners": object.GetOwnerReferences(), "spec": object.Object["spec"],
	}
	if !nudged {
		return text(said)
	}
	for _, key := range ofNudges {
		delete(annotations, key)
	}
	return nudges.ReplaceAllString(text(said), `${1}s"`)
}
