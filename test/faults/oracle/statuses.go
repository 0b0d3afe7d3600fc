// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"fmt"
	"slices"
	"strings"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// Statuses (O5): whenever a plugin is said to be ready, its pair stands as rendered; the time of a condition changes only
// with its status; and in the end all of it is about the spec and the EnvoyFilters that there are. What was said while nobody saw
// the EnvoyFilters isn't compared with them, nor a time with what was said before, where nobody saw what was said between.
func Statuses(history History, options translate.Options) []string {
	look := &statuses{options: options, last: map[string]*wasmv1alpha1.WasmPlugin{}, unseen: map[string][]Event{}}
	for _, event := range history {
		if plugin, ours := translate.PluginName(event.Object.GetName()); ours && event.Listed && !event.isPlugin() {
			look.unseen[plugin] = append(look.unseen[plugin], event)
		}
	}
	var end moment
	history.walk(func(event Event, now moment) {
		if event.isPlugin() {
			look.event(event, now)
		}
		end = now
	})
	for name, object := range end.plugins {
		look.end(name, object, end)
	}
	return look.found
}

type statuses struct {
	options translate.Options
	found   []string
	// last is each plugin as it was last seen, by uid.
	last map[string]*wasmv1alpha1.WasmPlugin
	// unseen are the halves of each plugin that were listed.
	unseen map[string][]Event
}

func (s *statuses) violation(format string, args ...any) {
	s.found = append(s.found, fmt.Sprintf("O5: "+format, args...))
}

func (s *statuses) event(event Event, now moment) {
	plugin, err := typed(event.Object)
	if err != nil {
		s.violation("%v", err)
		return
	}
	before := s.last[string(plugin.UID)]
	s.last[string(plugin.UID)] = plugin
	if event.Type == watch.Deleted {
		return
	}
	if before != nil && !event.Listed {
		s.times(before.Status.Conditions, plugin)
	}
	news := before == nil || text(before.Status) != text(plugin.Status)
	if news && isReady(plugin) && !s.isUnseen(plugin.Name, event.Version()) {
		for _, problem := range EndState(s.options, []Wanted{{Plugin: plugin}}, ofPlugin(plugin.Name, now.envoyFilters)) {
			s.violation("%s is said to be ready in version %d: %s", plugin.Name, event.Version(), strings.TrimPrefix(problem, "O1: "))
		}
	}
}

// isUnseen says whether a half of the plugin changed at a time that nobody knows, around that version.
func (s *statuses) isUnseen(plugin string, version uint64) bool {
	return slices.ContainsFunc(s.unseen[plugin], func(half Event) bool { return half.Since < version && version <= half.Version() })
}

// isReady says whether the status tells that the spec of now is in force.
func isReady(plugin *wasmv1alpha1.WasmPlugin) bool {
	return plugin.Status.ObservedGeneration == plugin.Generation &&
		apimeta.IsStatusConditionTrue(plugin.Status.Conditions, wasmv1alpha1.ConditionReady)
}

// ofPlugin are the halves of the pair that is in force.
func ofPlugin(plugin string, envoyFilters map[string]*unstructured.Unstructured) map[string]*unstructured.Unstructured {
	halves := map[string]*unstructured.Unstructured{}
	for _, role := range translate.Roles {
		name := translate.EnvoyFilterName(plugin, role)
		if object := envoyFilters[name]; object != nil {
			halves[name] = object
		}
	}
	return halves
}

func (s *statuses) times(before []metav1.Condition, plugin *wasmv1alpha1.WasmPlugin) {
	for _, condition := range plugin.Status.Conditions {
		earlier := apimeta.FindStatusCondition(before, condition.Type)
		if earlier != nil && earlier.Status == condition.Status && !earlier.LastTransitionTime.Equal(&condition.LastTransitionTime) {
			s.violation("in version %s the time of %s of %s changed, though it is %s as before", plugin.ResourceVersion, condition.Type, plugin.Name, condition.Status)
		}
	}
}

// end compares what is said last with what there is.
func (s *statuses) end(name string, object *unstructured.Unstructured, now moment) {
	plugin, err := typed(object)
	if err != nil {
		s.violation("%v", err)
		return
	}
	if plugin.Status.ObservedGeneration != plugin.Generation {
		s.violation("%s has generation %d, and its status is about %d", name, plugin.Generation, plugin.Status.ObservedGeneration)
	}
	told := map[string]string{}
	for _, half := range plugin.Status.EnvoyFilters {
		told[half.Name] = half.Hash
	}
	for _, role := range translate.AllRoles {
		half := translate.EnvoyFilterName(name, role)
		stands, hash := now.envoyFilters[half], told[half]
		switch {
		case stands == nil && hash != "":
			s.violation("the status of %s names %s, which isn't there", name, half)
		case stands != nil && (hash == "" || !strings.HasPrefix(hash, stands.GetAnnotations()[wasmv1alpha1.AnnotationHash])):
			s.violation("the status of %s says %q of %s, which has %s", name, hash, half, stands.GetAnnotations()[wasmv1alpha1.AnnotationHash])
		}
	}
}
