// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	httpwasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	networking "istio.io/api/networking/v1alpha3"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// maxPlaces bounds the pairs of host and route that the overrides of a plugin name: each is a patch.
const maxPlaces = 512

// override is one of spec.overrides, with the index of the instance that runs instead of the base one; 0 for none.
type override struct {
	match    wasmv1alpha1.OverrideMatch
	instance int
}

// place is where an override applies: a virtual host, a route of every virtual host, or a route of one.
type place struct{ host, route string }

func (p place) String() string {
	switch {
	case p.route == "":
		return fmt.Sprintf("host %q", p.host)
	case p.host == "":
		return fmt.Sprintf("route %q", p.route)
	default:
		return fmt.Sprintf("route %q of host %q", p.route, p.host)
	}
}

// specificity orders places as Envoy does: what a route says counts before what its virtual host says. Among the patches
// of one route the last counts.
func (p place) specificity() int {
	switch {
	case p.route == "":
		return 0
	case p.host == "":
		return 1
	default:
		return 2
	}
}

func placesOf(match wasmv1alpha1.OverrideMatch) []place {
	hosts, routes := match.Hosts, match.Routes
	if len(hosts) == 0 {
		hosts = []string{""}
	}
	if len(routes) == 0 {
		routes = []string{""}
	}
	places := make([]place, 0, len(hosts)*len(routes))
	for _, host := range hosts {
		for _, route := range routes {
			places = append(places, place{host, route})
		}
	}
	return places
}

// routePatches switch instances on and off for the requests of overrides. Every patch says it of every instance, so that
// whichever patches meet on a request, exactly one of the plugin's instances runs, or none.
//
// They name no port: on a listener without the plugin they mean nothing, and istiod compares a gateway's route with the
// port of the Gateway, not of the listener.
func routePatches(in Input, instances []instance, overrides []override) ([]*networking.EnvoyFilter_EnvoyConfigObjectPatch, error) {
	type switched struct {
		place
		instance int
	}
	var switches []switched
	for _, override := range overrides {
		for _, place := range placesOf(override.match) {
			switches = append(switches, switched{place, override.instance})
		}
	}
	slices.SortFunc(switches, func(a, b switched) int {
		return cmp.Or(cmp.Compare(a.specificity(), b.specificity()), cmp.Compare(a.host, b.host), cmp.Compare(a.route, b.route))
	})
	// By instance: there are up to 512 places, and each value names every instance. What can't be stored isn't rendered.
	values, size := map[int]*switchedValue{}, 0
	var patches []*networking.EnvoyFilter_EnvoyConfigObjectPatch
	for _, context := range routeContexts(in.Plugin.Spec) {
		for _, s := range switches {
			if values[s.instance] == nil {
				value, err := switchedTo(instances, s.instance)
				if err != nil {
					return nil, err
				}
				values[s.instance] = value
			}
			if size += values[s.instance].size; size > maxRendered {
				return nil, tooLarge(EnvoyFilterName(in.Plugin.Name, wasmv1alpha1.EnvoyFilterFilter), fmt.Sprintf("%d or more", size))
			}
			patches = append(patches, routePatch(context, s.place, values[s.instance].Struct))
		}
	}
	return patches, nil
}

// switchedValue is a part of a virtual host, or of a route: both have the field. Its size is in JSON, in bytes.
type switchedValue struct {
	*structpb.Struct
	size int
}

func switchedTo(instances []instance, on int) (*switchedValue, error) {
	config, err := filterConfigs(instances, on)
	if err != nil {
		return nil, err
	}
	value, err := toStruct(&routev3.VirtualHost{TypedPerFilterConfig: config})
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(value.AsMap())
	return &switchedValue{value, len(raw)}, err
}

func routePatch(context networking.EnvoyFilter_PatchContext, at place, value *structpb.Struct) *networking.EnvoyFilter_EnvoyConfigObjectPatch {
	applyTo := networking.EnvoyFilter_VIRTUAL_HOST
	match := &networking.EnvoyFilter_RouteConfigurationMatch_VirtualHostMatch{DomainName: at.host}
	if at.route != "" {
		applyTo = networking.EnvoyFilter_HTTP_ROUTE
		match.Route = &networking.EnvoyFilter_RouteConfigurationMatch_RouteMatch{Name: at.route}
	}
	return &networking.EnvoyFilter_EnvoyConfigObjectPatch{
		ApplyTo: applyTo,
		Match: &networking.EnvoyFilter_EnvoyConfigObjectMatch{
			Context: context,
			ObjectTypes: &networking.EnvoyFilter_EnvoyConfigObjectMatch_RouteConfiguration{
				RouteConfiguration: &networking.EnvoyFilter_RouteConfigurationMatch{Vhost: match},
			},
		},
		Patch: &networking.EnvoyFilter_Patch{Operation: networking.EnvoyFilter_Patch_MERGE, Value: value},
	}
}

// filterConfigs switches on the instance of that index, 0 for none, and off all others.
func filterConfigs(instances []instance, on int) (map[string]*anypb.Any, error) {
	configs := map[string]*anypb.Any{}
	for i, instance := range instances {
		config := &routev3.FilterConfig{Disabled: true}
		if i > 0 && i == on {
			// Envoy's Wasm filter has no configuration per route. An optional one that isn't taken still enables the filter;
			// an empty Any would do the same, but istiod's parser refuses one without a type and drops the patch.
			empty, err := anypb.New(&httpwasmv3.Wasm{})
			if err != nil {
				return nil, err
			}
			config = &routev3.FilterConfig{IsOptional: true, Config: empty}
		}
		typed, err := anypb.New(config)
		if err != nil {
			return nil, err
		}
		configs[instance.name] = typed
	}
	return configs, nil
}

// routeContexts are the contexts of the plugin's listeners, each once.
func routeContexts(spec wasmv1alpha1.WasmPluginSpec) []networking.EnvoyFilter_PatchContext {
	var contexts []networking.EnvoyFilter_PatchContext
	for _, listener := range listenersFor(spec) {
		if !slices.Contains(contexts, listener.context) {
			contexts = append(contexts, listener.context)
		}
	}
	return contexts
}

// hostForm is a domain as istiod writes it into virtual hosts: a name in lower case, *, or a wildcard and a name.
var hostForm = regexp.MustCompile(`^(\*|(\*\.)?[a-z0-9_]([-a-z0-9_.]*[a-z0-9_])?)$`)

func checkOverrides(in Input) error {
	seen := map[place]int{}
	for i, override := range in.Plugin.Spec.Overrides {
		field := fmt.Sprintf("spec.overrides[%d]", i)
		if err := checkOverride(field, override); err != nil {
			return err
		}
		for _, place := range placesOf(override.Match) {
			if first, taken := seen[place]; taken {
				return invalid(field+".match", "and spec.overrides[%d] both match %s, and neither is more specific; leave it to one of them", first, place)
			}
			seen[place] = i
			if len(seen) > maxPlaces {
				return invalid("spec.overrides", "name more than %d pairs of host and route; split the plugin, or match fewer", maxPlaces)
			}
		}
	}
	return nil
}

func checkOverride(field string, override wasmv1alpha1.Override) error {
	choices := 0
	for _, chosen := range []bool{override.Rules != nil, override.RulesFrom != nil, override.Mode != ""} {
		if chosen {
			choices++
		}
	}
	if choices != 1 {
		return invalid(field, "has %d of rules, rulesFrom and mode; set exactly one", choices)
	}
	if err := oneOf(field+".mode", override.Mode, wasmv1alpha1.OverrideDisable); err != nil {
		return err
	}
	if len(override.Match.Hosts) == 0 && len(override.Match.Routes) == 0 {
		return invalid(field+".match", "names neither hosts nor routes; set one, or change spec.rules for all requests")
	}
	for j, host := range override.Match.Hosts {
		if !hostForm.MatchString(host) {
			return invalid(fmt.Sprintf("%s.match.hosts[%d]", field, j), "is no domain; write a name in lower case without a port, such as shop.example.com or *.example.com")
		}
	}
	if slices.Contains(override.Match.Routes, "") {
		return invalid(field+".match.routes", "has an empty name; name the route as in the VirtualService")
	}
	return nil
}
