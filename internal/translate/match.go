// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"cmp"
	"maps"
	"slices"

	networking "istio.io/api/networking/v1alpha3"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// matchedListener is one match of an EnvoyFilter; port 0 is any port.
type matchedListener struct {
	context networking.EnvoyFilter_PatchContext
	port    uint32
	// name is the listener's; empty for any.
	name string
}

// listenerContexts are the contexts that ANY stands for, in the order of the patches.
var listenerContexts = []wasmv1alpha1.Context{
	wasmv1alpha1.ContextGateway, wasmv1alpha1.ContextSidecarInbound, wasmv1alpha1.ContextSidecarOutbound,
}

var patchContexts = map[wasmv1alpha1.Context]networking.EnvoyFilter_PatchContext{
	wasmv1alpha1.ContextGateway:         networking.EnvoyFilter_GATEWAY,
	wasmv1alpha1.ContextSidecarInbound:  networking.EnvoyFilter_SIDECAR_INBOUND,
	wasmv1alpha1.ContextSidecarOutbound: networking.EnvoyFilter_SIDECAR_OUTBOUND,
	wasmv1alpha1.ContextAny:             networking.EnvoyFilter_ANY,
}

// listenersFor are the listeners that a plugin runs in.
func listenersFor(spec wasmv1alpha1.WasmPluginSpec) []matchedListener {
	if len(spec.TargetRefs) > 0 {
		return targetedListeners(spec)
	}
	return matchedListeners(spec.Match)
}

// listenerContextsOf are the contexts of a plugin's listeners, each once, in the order of the patches.
func listenerContextsOf(spec wasmv1alpha1.WasmPluginSpec) []networking.EnvoyFilter_PatchContext {
	matched := routeContexts(spec)
	if slices.Contains(matched, networking.EnvoyFilter_ANY) {
		matched = nil
		for _, context := range listenerContexts {
			matched = append(matched, patchContexts[context])
		}
	}
	return matched
}

// matchedListeners turns the user's entries, any of which may match, into matches of which only one does: istiod inserts
// a filter once for every patch that matches, so that a listener matched twice would run the plugin twice.
func matchedListeners(match []wasmv1alpha1.TrafficSelector) []matchedListener {
	ports := portsByContext(match)
	if len(ports) == len(listenerContexts) && samePorts(ports) {
		return listenersOf(wasmv1alpha1.ContextAny, ports[listenerContexts[0]])
	}
	var listeners []matchedListener
	for _, context := range listenerContexts {
		if set, matched := ports[context]; matched {
			listeners = append(listeners, listenersOf(context, set)...)
		}
	}
	return listeners
}

// portSet holds ports; the port 0 in it means any.
type portSet map[uint32]bool

func (s portSet) sorted() []uint32 { return slices.Sorted(maps.Keys(s)) }

func portsByContext(match []wasmv1alpha1.TrafficSelector) map[wasmv1alpha1.Context]portSet {
	if len(match) == 0 {
		match = []wasmv1alpha1.TrafficSelector{{}}
	}
	ports := map[wasmv1alpha1.Context]portSet{}
	for _, entry := range match {
		for _, context := range contextsOf(entry) {
			if ports[context] == nil {
				ports[context] = portSet{}
			}
			if len(entry.Ports) == 0 {
				ports[context][0] = true
			}
			for _, port := range entry.Ports {
				ports[context][uint32(port.Number)] = true //nolint:gosec // checkMatch has seen that it is 1 to 65535
			}
		}
	}
	for context, set := range ports {
		if set[0] {
			ports[context] = portSet{0: true}
		}
	}
	return ports
}

func contextsOf(entry wasmv1alpha1.TrafficSelector) []wasmv1alpha1.Context {
	if entry.Context == wasmv1alpha1.ContextAny {
		return listenerContexts
	}
	return []wasmv1alpha1.Context{cmp.Or(entry.Context, wasmv1alpha1.ContextGateway)}
}

func samePorts(ports map[wasmv1alpha1.Context]portSet) bool {
	for _, set := range ports {
		if !maps.Equal(set, ports[listenerContexts[0]]) {
			return false
		}
	}
	return true
}

func listenersOf(context wasmv1alpha1.Context, ports portSet) []matchedListener {
	var listeners []matchedListener
	for _, port := range ports.sorted() {
		listeners = append(listeners, matchedListener{context: patchContexts[context], port: port})
	}
	return listeners
}
