// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// Types of proxies, as they name themselves to istiod.
const (
	typeRouter   = "router"
	typeSidecar  = "sidecar"
	typeWaypoint = "waypoint"
)

// labelGatewayName is on every proxy of a Gateway of the Gateway API.
const labelGatewayName = "gateway.networking.k8s.io/gateway-name"

// Proxy is what decides whether a proxy gets an EnvoyFilter.
type Proxy struct {
	// Namespace is where its configuration comes from.
	Namespace string
	// Type is router, sidecar or waypoint.
	Type string
	// Version is Istio's, as the proxy reports it: 1.31.0 or 1.31-alpha.0f1e2d.
	Version string
	// Revision is that of its istiod; empty where it isn't known.
	Revision string
	Labels   map[string]string
}

// reachOf is the reach of a plugin's pair.
func reachOf(in Input) Reach {
	plugin, spec := in.Plugin, in.Plugin.Spec
	reach := Reach{
		Namespace:    plugin.Namespace,
		Types:        proxyTypes(spec),
		MinimumMinor: minimumProxy(spec),
		Revision:     plugin.Labels[wasmv1alpha1.LabelRevision],
	}
	for _, target := range spec.TargetRefs {
		if target.Kind == kindGateway {
			reach.Gateways = append(reach.Gateways, target.Name)
		} else {
			reach.Waypoints = true
		}
	}
	slices.Sort(reach.Gateways)
	reach.Gateways = slices.Compact(reach.Gateways)
	for key, value := range spec.Selector.MatchLabels {
		if reach.Labels == nil {
			reach.Labels = map[string]string{}
		}
		reach.Labels[key] = string(value)
	}
	// A reference to a Gateway is one to its own namespace, in the root namespace as well.
	if plugin.Namespace == in.RootNamespace && len(reach.Gateways) == 0 {
		reach.Namespace = ""
	}
	return reach
}

// proxyTypes are the types of proxies that have listeners of the plugin's contexts.
func proxyTypes(spec wasmv1alpha1.WasmPluginSpec) []string {
	var types []string
	for _, context := range listenerContextsOf(spec) {
		kind := typeSidecar
		switch {
		case context == networking.EnvoyFilter_GATEWAY:
			kind = typeRouter
		case len(spec.TargetRefs) > 0:
			kind = typeWaypoint // istiod gives their listeners the context of a sidecar's
		}
		if !slices.Contains(types, kind) {
			types = append(types, kind)
		}
	}
	return types
}

// Equal says whether both reach the same proxies, whatever those are.
func (r Reach) Equal(other Reach) bool {
	return r.Namespace == other.Namespace && maps.Equal(r.Labels, other.Labels) &&
		slices.Equal(r.Gateways, other.Gateways) && r.Waypoints == other.Waypoints &&
		slices.Equal(r.Types, other.Types) && r.MinimumMinor == other.MinimumMinor && r.Revision == other.Revision
}

// Matches says whether a proxy is one of those that get the EnvoyFilter, and has a listener for it. It repeats istiod's
// ShouldAttachPolicy (pilot/pkg/model/policyattachment.go), with the flags of istiod at their defaults.
func (r Reach) Matches(proxy Proxy) bool {
	if !slices.Contains(r.Types, proxy.Type) || !r.takesVersion(proxy.Version) || !r.takesRevision(proxy.Revision) {
		return false
	}
	if len(r.Gateways) > 0 || r.Waypoints {
		return r.targets(proxy)
	}
	return r.selects(proxy)
}

// targets is for targetRefs, which never mean a proxy that the Gateway API knows nothing of.
func (r Reach) targets(proxy Proxy) bool {
	gateway, named := proxy.Labels[labelGatewayName]
	if !named {
		return false
	}
	return (r.Waypoints && proxy.Type == typeWaypoint) || (r.takesNamespace(proxy.Namespace) && slices.Contains(r.Gateways, gateway))
}

// selects is for a selector, or none. Waypoints use none.
func (r Reach) selects(proxy Proxy) bool {
	if _, named := proxy.Labels[labelGatewayName]; named && proxy.Type == typeWaypoint {
		return false
	}
	for key, value := range r.Labels {
		if got, there := proxy.Labels[key]; !there || got != value {
			return false
		}
	}
	return r.takesNamespace(proxy.Namespace)
}

func (r Reach) takesNamespace(namespace string) bool {
	return r.Namespace == "" || r.Namespace == namespace
}

func (r Reach) takesRevision(revision string) bool {
	return r.Revision == "" || revision == "" || r.Revision == revision
}

// takesVersion decides as versionPattern does.
func (r Reach) takesVersion(version string) bool {
	if r.MinimumMinor == 0 {
		return true
	}
	rest, first := strings.CutPrefix(version, "1.")
	if end := strings.IndexFunc(rest, func(c rune) bool { return c < '0' || c > '9' }); end >= 0 {
		rest = rest[:end]
	}
	minor, err := strconv.Atoi(rest)
	return first && err == nil && minor >= r.MinimumMinor
}
