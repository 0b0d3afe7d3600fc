// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"slices"
	"strings"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// envoyFilter is an EnvoyFilter with the parts of plugins in it.
type envoyFilter struct {
	*reading

	labels   map[string]string
	targets  []*fields
	priority int64
	configs  []*config
	filters  []*filter
	routes   []*routePatch
	// others are patches that are no Wasm.
	others []string
}

// config is a patch that delivers a plugin.
type config struct {
	from    *envoyFilter
	patch   *fields
	name    string
	message message
	used    bool
}

// filter is a patch that puts a plugin into a chain.
type filter struct {
	from    *envoyFilter
	patch   *fields
	name    string
	network bool
	// wants says that it waits for a configuration of Wasm, or of a type that isn't told.
	wants bool
	// inline is the plugin where it stands in the chain itself.
	inline  *message
	context string
	port    int64
	place   place
	minimum string
	off     bool
	notes   []string
}

// routePatch takes plugins from the requests of a host or a route.
type routePatch struct {
	from        *envoyFilter
	patch       *fields
	plugins     []string
	host, route string
}

// readEnvoyFilter returns nil for one that isn't about Wasm, or can't be read.
func (i *importer) readEnvoyFilter(object Object) *envoyFilter {
	r := i.read(object)
	if r == nil {
		return nil
	}
	if ours := r.root.object("metadata").table("labels")[wasmv1alpha1.LabelPlugin]; ours != "" {
		i.result.skip(object, "was written by the operator, for WasmPlugin %s", ours)
		return nil
	}
	e := &envoyFilter{reading: r}
	spec := r.root.object("spec")
	e.labels = spec.object("workloadSelector").table("labels")
	e.targets = spec.objects("targetRefs")
	e.priority, _ = spec.number("priority")
	for _, patch := range spec.objects("configPatches") {
		e.readPatch(patch)
	}
	if len(e.configs)+len(e.filters)+len(e.routes) == 0 && len(e.problems) == 0 {
		i.result.skip(object, "has no plugin of Wasm")
		return nil
	}
	for _, other := range e.others {
		if len(e.problems) > 0 {
			break // it is refused as a whole
		}
		i.result.skip(object, "%s is no Wasm", other)
	}
	return e
}

func (e *envoyFilter) readPatch(patch *fields) {
	value := patch.object("patch").object("value")
	switch applyTo := patch.text("applyTo"); applyTo {
	case "EXTENSION_CONFIG":
		message := open(value.object("typedConfig"))
		if !message.isWasm() {
			e.others = append(e.others, patch.path+" (EXTENSION_CONFIG "+value.text("name")+")")
			return
		}
		patch.skip("match") // istiod looks at its proxy alone
		patch.object("patch").skip("operation")
		e.configs = append(e.configs, &config{from: e, patch: patch, name: value.text("name"), message: message})
	case "HTTP_FILTER", "NETWORK_FILTER":
		e.readFilter(patch, value, applyTo == "NETWORK_FILTER")
	case "VIRTUAL_HOST", "HTTP_ROUTE":
		e.readRoute(patch, value)
	default:
		e.others = append(e.others, patch.path+" ("+applyTo+")")
	}
}

func (e *envoyFilter) readFilter(patch, value *fields, network bool) {
	f := &filter{from: e, patch: patch, name: value.text("name"), network: network}
	operation := patch.object("patch").text("operation")
	patch.object("patch").skip("filterClass") // istiod never looked at it
	switch {
	case value.has("configDiscovery"):
		discovery := value.object("configDiscovery")
		discovery.skip("configSource")
		types := discovery.texts("typeUrls")
		f.wants = len(types) == 0 || slices.ContainsFunc(types, func(t string) bool { return strings.HasSuffix(t, ".Wasm") })
		if !f.wants {
			e.others = append(e.others, patch.path+" ("+f.name+")")
			return
		}
	case value.has("typedConfig"):
		message := open(value.object("typedConfig"))
		f.inline = &message
	case value.has("config") && strings.Contains(f.name, "wasm"):
		f.inline = &message{kind: "envoy.config.filter.http.wasm.v2.Wasm", body: value.object("config")}
	}
	if !f.wants && (f.inline == nil || !f.inline.isWasm()) {
		e.others = append(e.others, patch.path+" ("+operation+" "+f.name+")")
		return
	}
	f.off = value.flag("disabled")
	f.readMatch(operation)
	e.filters = append(e.filters, f)
}

func (f *filter) readMatch(operation string) {
	match := f.patch.object("match")
	f.context = match.text("context")
	listener := match.object("listener")
	f.port, _ = listener.number("portNumber")
	filter := listener.object("filterChain").object("filter")
	if f.network {
		filter.skip("name", "subFilter")
		f.notes = append(f.notes, f.patch.join("patch")+".operation: of a network filter the place is another here: before the last filter of its chain")
	} else {
		f.place, f.notes = placeOf(operation, f.patch.object("patch"), filter)
	}
	proxy := match.object("proxy")
	minimum, note, dead := minimumProxy(proxy.join("proxyVersion"), proxy.text("proxyVersion"))
	f.minimum, f.place.dead = minimum, f.place.dead || dead
	if note != "" {
		f.notes = append(f.notes, note)
	}
}

// readRoute reads patches that take a filter from a host's or a route's requests.
func (e *envoyFilter) readRoute(patch, value *fields) {
	table, _ := value.value("typedPerFilterConfig").(map[string]any)
	disabled, _ := value.object("typedPerFilterConfig").disabled()
	if len(table) == 0 || len(disabled) != len(table) {
		e.others = append(e.others, patch.path+" ("+patch.text("applyTo")+")")
		return
	}
	patch.object("patch").skip("operation")
	route := patch.object("match").object("routeConfiguration")
	host := route.object("vhost")
	name := host.text("domainName")
	if name == "" {
		name, _, _ = strings.Cut(host.text("name"), ":")
	}
	patch.object("match").skip("context")
	e.routes = append(e.routes, &routePatch{from: e, patch: patch, plugins: disabled, host: name, route: host.object("route").text("name")})
}

// disabled are the names of filters that a typed_per_filter_config takes away.
func (f *fields) disabled() (names []string, ok bool) {
	for camel, written := range f.written {
		settings, isMap := f.values[camel].(map[string]any)
		off, isBool := settings["disabled"].(bool)
		if isMap && isBool && off {
			names = append(names, written)
			f.skip(camel)
		}
	}
	slices.Sort(names)
	return names, len(names) > 0
}
