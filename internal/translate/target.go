// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"fmt"

	networking "istio.io/api/networking/v1alpha3"
	typev1beta1 "istio.io/api/type/v1beta1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

const (
	gatewayGroup = "gateway.networking.k8s.io"
	kindGateway  = "Gateway"
	kindClass    = "GatewayClass"
	// waypointClass is the class of every waypoint; a reference to it is one to all of them.
	waypointClass = "istio-waypoint"
	// waypointListener has the requests that a waypoint forwards. In connect_terminate, its other one, stand those of the
	// tunnels that they come in.
	waypointListener = "main_internal"
)

// targetedListeners are those of the proxies that targetRefs name. A Gateway of the Gateway API is a gateway or a
// waypoint, which its name doesn't tell, so both are matched: a gateway has no listener of the context SIDECAR_INBOUND,
// which istiod gives those of a waypoint, and a waypoint none of GATEWAY.
func targetedListeners(spec wasmv1alpha1.WasmPluginSpec) []matchedListener {
	var listeners []matchedListener
	if namesGateway(spec) {
		for _, port := range portsByContext(spec.Match)[wasmv1alpha1.ContextGateway].sorted() {
			listeners = append(listeners, matchedListener{context: networking.EnvoyFilter_GATEWAY, port: port})
		}
	}
	if reachesWaypoints(spec) {
		listeners = append(listeners, matchedListener{context: networking.EnvoyFilter_SIDECAR_INBOUND, name: waypointListener})
	}
	return listeners
}

func namesGateway(spec wasmv1alpha1.WasmPluginSpec) bool {
	for _, target := range spec.TargetRefs {
		if target.Kind == kindGateway {
			return true
		}
	}
	return false
}

// reachesWaypoints says whether the plugin runs in waypoints among the targets. One that names ports doesn't: a
// waypoint's listener has none. Nor does one with overrides: istiod patches no routes of waypoints, so that they would be
// ignored there. Nor does a network filter.
func reachesWaypoints(spec wasmv1alpha1.WasmPluginSpec) bool {
	return len(spec.TargetRefs) > 0 && len(spec.Overrides) == 0 && !isNetwork(spec) && portsByContext(spec.Match)[wasmv1alpha1.ContextGateway][0]
}

func policyTargets(spec wasmv1alpha1.WasmPluginSpec) []*typev1beta1.PolicyTargetReference {
	var targets []*typev1beta1.PolicyTargetReference
	for _, target := range spec.TargetRefs {
		targets = append(targets, &typev1beta1.PolicyTargetReference{Group: gatewayGroup, Kind: target.Kind, Name: target.Name})
	}
	return targets
}

// checkTargetRefs takes what istiod honours on an EnvoyFilter (1.27 on): it looks a proxy's EnvoyFilters up without its
// services, so a reference to a Service never matches.
func checkTargetRefs(in Input) error {
	spec := in.Plugin.Spec
	for i, target := range spec.TargetRefs {
		field := fmt.Sprintf("spec.targetRefs[%d]", i)
		group := ""
		if target.Group != nil {
			group = *target.Group
		}
		switch {
		case group == gatewayGroup && target.Kind == kindGateway:
		case group != gatewayGroup || target.Kind != kindClass || target.Name != waypointClass:
			return invalid(field, "is a %s that istiod doesn't honour on an EnvoyFilter; name a Gateway of group %s, or the GatewayClass %s", target.Kind, gatewayGroup, waypointClass)
		case in.Plugin.Namespace != in.RootNamespace:
			return invalid(field, "names GatewayClass %s, which istiod honours only in the mesh's root namespace %s; name a Gateway", waypointClass, in.RootNamespace)
		case !reachesWaypoints(spec):
			return invalid(field, "names waypoints, where a plugin with ports, with overrides or of type NETWORK can't run; take those out, or name a Gateway")
		}
	}
	return checkTargetedContexts(spec)
}

func checkTargetedContexts(spec wasmv1alpha1.WasmPluginSpec) error {
	if len(spec.TargetRefs) == 0 {
		return nil
	}
	for i, entry := range spec.Match {
		if entry.Context == wasmv1alpha1.ContextSidecarInbound || entry.Context == wasmv1alpha1.ContextSidecarOutbound {
			return invalid(fmt.Sprintf("spec.match[%d].context", i), "is %s, but targetRefs names no sidecars; use GATEWAY or ANY, which mean the gateways and waypoints that it names", entry.Context)
		}
	}
	return nil
}
