// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// ReachOf is the reach of a plugin's pair, whatever else is wrong with the plugin.
func ReachOf(plugin *wasmv1alpha1.WasmPlugin, rootNamespace string) Reach {
	return reachOf(Input{Plugin: plugin, Options: Options{RootNamespace: rootNamespace}})
}

// Mismatch is one reason why a proxy doesn't get an EnvoyFilter.
type Mismatch struct {
	// Kind is the same for all proxies that this reason keeps out.
	Kind string
	// Found is what the proxy has instead.
	Found string
}

func (m Mismatch) String() string { return m.Kind + ": " + m.Found }

// Why says why a proxy is none of those that Matches, in an order from what sets most proxies apart; nothing for one that
// is.
func (r Reach) Why(proxy Proxy) []Mismatch {
	var why []Mismatch
	note := func(when bool, kind, found string) {
		if when {
			why = append(why, Mismatch{Kind: kind, Found: found})
		}
	}
	note(!slices.Contains(r.Types, proxy.Type), "not a "+strings.Join(r.Types, " or "), "type "+proxy.Type)
	if len(r.Gateways) > 0 || r.Waypoints {
		if !r.targets(proxy) {
			note(true, r.targetsText(), r.targetFound(proxy))
		}
	} else {
		note(!r.takesNamespace(proxy.Namespace), "not in namespace "+r.Namespace, "namespace "+proxy.Namespace)
		for _, key := range slices.Sorted(maps.Keys(r.Labels)) {
			got, there := proxy.Labels[key]
			note(there && got != r.Labels[key], fmt.Sprintf("no label %s=%s", key, r.Labels[key]), fmt.Sprintf("%s=%s", key, got))
			note(!there, fmt.Sprintf("no label %s=%s", key, r.Labels[key]), "no "+key)
		}
		_, named := proxy.Labels[labelGatewayName]
		note(named && proxy.Type == typeWaypoint && slices.Contains(r.Types, typeWaypoint), "a waypoint takes no selector", "type waypoint")
	}
	note(!r.takesVersion(proxy.Version), fmt.Sprintf("older than Istio 1.%d", r.MinimumMinor), "version "+proxy.Version)
	note(!r.takesRevision(proxy.Revision), "not of revision "+r.Revision, "revision "+proxy.Revision)
	return why
}

func (r Reach) targetsText() string {
	var wanted []string
	for _, gateway := range r.Gateways {
		wanted = append(wanted, "Gateway "+gateway)
	}
	if len(wanted) > 0 && r.Namespace != "" {
		wanted[len(wanted)-1] += " of namespace " + r.Namespace
	}
	if r.Waypoints {
		wanted = append(wanted, "a waypoint")
	}
	return "not of " + strings.Join(wanted, " or ")
}

func (r Reach) targetFound(proxy Proxy) string {
	gateway, named := proxy.Labels[labelGatewayName]
	if !named {
		return "of no Gateway of the Gateway API"
	}
	return fmt.Sprintf("Gateway %s of namespace %s", gateway, proxy.Namespace)
}

// Place is where a plugin's filter goes in a filter chain.
type Place struct {
	// Operation and Anchor are what its EnvoyFilter says; Anchor is empty for the front of the chain.
	Operation, Anchor string
	// Rank orders the places that share an anchor, UserPriority is spec.priority.
	Rank, UserPriority int32
	// Packed is the EnvoyFilter's priority, which has all of it and a hash of the plugin's name. istiod applies EnvoyFilters
	// by ascending Packed; Ascending says that so they run, too, and not the other way round.
	Packed    int32
	Ascending bool
	// Certain says that the anchor is in every chain.
	Certain bool
}

// PlaceOf is where a plugin goes.
func PlaceOf(plugin *wasmv1alpha1.WasmPlugin) Place {
	at := positionOf(plugin.Spec)
	place := Place{
		Operation: at.operation.String(), Anchor: at.anchor, Rank: at.rank, Packed: envoyFilterPriority(plugin),
		Ascending: at.operation == networking.EnvoyFilter_Patch_INSERT_BEFORE,
		Certain:   at.anchor == "" || plugin.Spec.Placement == (wasmv1alpha1.Placement{}),
	}
	if plugin.Spec.Priority != nil {
		place.UserPriority = *plugin.Spec.Priority
	}
	if isNetwork(plugin.Spec) {
		place.Anchor, place.Certain = "the last filter", true
	}
	return place
}

// Part is what an instance of a plugin is for.
type Part string

// Values of Part.
const (
	PartBase     Part = "base"
	PartOverride Part = "override"
	PartTrial    Part = "trial"
	PartCanary   Part = "canary"
)

var instanceForm = regexp.MustCompile(`^(?:~network)?(~trial~[0-9a-f]+~[^~]*?|~canary~[0-9a-f]+~[0-9]+?|~[0-9a-f]{12})?(?:\.([0-9]+))?$`)

// PartOf tells from the name of a filter, which is the one of what proxies discover, whether it is an instance of a plugin,
// for what, and which; 0 is the one for all requests.
func PartOf(namespace, plugin, filter string) (part Part, index string, ok bool) {
	rest, found := strings.CutPrefix(filter, "wasm.solarmesh.io/"+namespace+"."+plugin)
	parts := instanceForm.FindStringSubmatch(rest)
	if !found || parts == nil || (rest != "" && !strings.HasPrefix(rest, "~")) {
		return "", "", false
	}
	index = "0"
	if parts[2] != "" {
		index = parts[2]
	}
	switch {
	case strings.HasPrefix(parts[1], "~trial~"):
		return PartTrial, index, true
	case strings.HasPrefix(parts[1], "~canary~"):
		return PartCanary, index, true
	case index != "0":
		return PartOverride, index, true
	default:
		return PartBase, index, true
	}
}

// TooOld says that a proxy's version alone keeps it out.
func (r Reach) TooOld(version string) bool { return !r.takesVersion(version) }
