// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"fmt"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// notes says what a good spec does beyond what meets the eye.
func notes(in Input) []string {
	var notes []string
	note := func(when bool, format string, args ...any) {
		if when {
			notes = append(notes, fmt.Sprintf(format, args...))
		}
	}
	spec := in.Plugin.Spec
	note(in.Plugin.Namespace == in.RootNamespace && !namesGateway(spec),
		"%s is the mesh's root namespace, so the plugin reaches matching proxies of all namespaces.", in.RootNamespace)
	notes = append(notes, positionNotes(spec)...)
	if need := greatestNeed(spec); spec.ProxyVersion.Minimum == "" && need.minor > 0 {
		note(true, "Only proxies of Istio 1.%d or later get the plugin, since %s needs them.", need.minor, need.field)
	}
	note(len(spec.TargetRefs) > 0 && namesGateway(spec) && !reachesWaypoints(spec),
		"A plugin with ports, with overrides or of type NETWORK runs in gateways only, not in waypoints.")
	note(slices.ContainsFunc(listenersFor(spec), func(l matchedListener) bool {
		return l.context == networking.EnvoyFilter_SIDECAR_INBOUND && l.port != 0
	}), "A port of a sidecar doesn't match what arrives through HBONE (ambient mode), which has none.")
	notes = append(notes, overrideNotes(spec)...)
	note(len(in.Ties) > 0, "The plugin has the same place in the order as %s: with equal phase and priority, the one created first comes first in istiod's order. Give one of them another priority.",
		strings.Join(in.Ties, ", "))
	return notes
}

// positionNotes says what an EnvoyFilter can't express of phases and placements.
func positionNotes(spec wasmv1alpha1.WasmPluginSpec) []string {
	anchor := spec.Placement.Before + spec.Placement.After
	switch {
	case anchor != "":
		return []string{fmt.Sprintf("The plugin doesn't run in filter chains without %s, which spec.placement names.", anchor)}
	case isNetwork(spec) && (spec.Phase == wasmv1alpha1.PhaseAuthn || spec.Phase == wasmv1alpha1.PhaseAuthz):
		return []string{fmt.Sprintf("An EnvoyFilter puts a network filter right before the last one of its chain, so phase %s runs after Istio's own authorization.", spec.Phase)}
	case isNetwork(spec):
		return nil
	case spec.Phase == wasmv1alpha1.PhaseAuthn:
		return []string{"Phase AUTHN runs first of all: also before an AuthorizationPolicy's action CUSTOM, after which Istio's own plugins of that phase run."}
	case spec.Phase == wasmv1alpha1.PhaseAuthz:
		return []string{"An EnvoyFilter can't stand between jwt_authn and rbac, so phase AUTHZ runs right after Istio's own authorization."}
	}
	return nil
}

func overrideNotes(spec wasmv1alpha1.WasmPluginSpec) []string {
	var notes []string
	note := func(when bool, text string) {
		if when {
			notes = append(notes, text)
		}
	}
	hosts, disablesRoutes := overridden(spec)
	contexts := routeContexts(spec)
	gateways := slices.Contains(contexts, networking.EnvoyFilter_GATEWAY) || slices.Contains(contexts, networking.EnvoyFilter_ANY)
	note(slices.ContainsFunc(hosts, func(host string) bool { return strings.HasPrefix(host, "*.") }),
		"A wildcard in an override means the virtual host of that very domain, not the hosts below it that have virtual hosts of their own.")
	note(len(hosts) > 0 && gateways,
		"In a gateway the hosts of one VirtualService share a virtual host, so an override of one of them counts for all.")
	note(slices.Contains(contexts, networking.EnvoyFilter_SIDECAR_INBOUND) && slices.ContainsFunc(hosts, func(host string) bool { return host != "*" }),
		"A sidecar's inbound virtual host serves * only, so overrides of other hosts match nothing there.")
	note(disablesRoutes && (spec.Phase == wasmv1alpha1.PhaseAuthn || spec.Phase == wasmv1alpha1.PhaseAuthz),
		"The override is chosen by the request's first route: a filter in front that changes the route can lead a request past the plugin.")
	return notes
}

// overridden returns the hosts of all overrides, and whether one keeps the plugin from routes.
func overridden(spec wasmv1alpha1.WasmPluginSpec) (hosts []string, disablesRoutes bool) {
	for _, override := range spec.Overrides {
		hosts = append(hosts, override.Match.Hosts...)
		disablesRoutes = disablesRoutes || (len(override.Match.Routes) > 0 && override.Mode == wasmv1alpha1.OverrideDisable)
	}
	return hosts, disablesRoutes
}
