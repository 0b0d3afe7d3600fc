// SPDX-License-Identifier: Apache-2.0

// Package oracle says what is wrong with what an operator has done: by the history of its objects, by what stands in the
// end, and by the requests that it sent. It asks nobody. Each oracle returns the violations that it finds, as sentences.
package oracle

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// Event is a change of an EnvoyFilter or a WasmPlugin, as a watch tells it.
type Event struct {
	Type   watch.EventType
	Object *unstructured.Unstructured
	// Listed says that it is what a list showed where a watch had missed something: what came between is not known.
	Listed bool
	// Since is the version up to which the watch had seen all, of what was listed.
	Since uint64
}

// Version is when it happened: all objects of a cluster share one count.
func (e Event) Version() uint64 {
	version, err := strconv.ParseUint(e.Object.GetResourceVersion(), 10, 64)
	if err != nil {
		return 0
	}
	return version
}

// String tells a history to whoever looks for the cause of a violation.
func (h History) String() string {
	var lines strings.Builder
	for _, event := range h.Ordered() {
		fmt.Fprintf(&lines, "%d %s %s/%s generation %d owner %s\n  %s\n", event.Version(), event.Type, event.Object.GetKind(), event.Object.GetName(),
			event.Object.GetGeneration(), ownerOf(event.Object), text(map[string]any{
				"annotations": event.Object.GetAnnotations(), "status": event.Object.Object["status"], "spec": event.Object.Object["spec"],
			}))
	}
	return lines.String()
}

func (e Event) isPlugin() bool { return e.Object.GetKind() == translate.PluginKind.Kind }

// History is every change of the objects of a namespace, from before the first one.
type History []Event

// Ordered is the history in the order in which it happened.
func (h History) Ordered() History {
	return slices.SortedStableFunc(slices.Values(h), func(a, b Event) int { return cmp.Compare(a.Version(), b.Version()) })
}

// moment is what stands after a part of a history.
type moment struct {
	envoyFilters map[string]*unstructured.Unstructured
	plugins      map[string]*unstructured.Unstructured
}

// walk shows each event, and what stands after it.
func (h History) walk(look func(Event, moment)) {
	now := moment{map[string]*unstructured.Unstructured{}, map[string]*unstructured.Unstructured{}}
	for _, event := range h.Ordered() {
		objects := now.envoyFilters
		if event.isPlugin() {
			objects = now.plugins
		}
		if event.Type == watch.Deleted {
			delete(objects, event.Object.GetName())
		} else {
			objects[event.Object.GetName()] = event.Object
		}
		look(event, now)
	}
}

// ownerOf is the uid of the plugin that an EnvoyFilter belongs to.
func ownerOf(envoyFilter *unstructured.Unstructured) string {
	if owner := metav1.GetControllerOf(envoyFilter); owner != nil {
		return string(owner.UID)
	}
	return ""
}

// typed reads a plugin.
func typed(object *unstructured.Unstructured) (*wasmv1alpha1.WasmPlugin, error) {
	raw, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("read a WasmPlugin: %w", err)
	}
	plugin := &wasmv1alpha1.WasmPlugin{}
	if err := json.Unmarshal(raw, plugin); err != nil {
		return nil, fmt.Errorf("read a WasmPlugin: %w", err)
	}
	return plugin, nil
}

// text is how things are compared: equal ones have the same.
func text(value any) string {
	raw, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(raw)
}
