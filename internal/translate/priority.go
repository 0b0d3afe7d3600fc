// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"math"
	"slices"

	networking "istio.io/api/networking/v1alpha3"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// position is where a plugin's filter goes in a chain, and how its EnvoyFilter ranks among those that go there too.
type position struct {
	operation networking.EnvoyFilter_Patch_Operation
	// anchor is the name of the HTTP filter next to it; empty for the front of the chain.
	anchor string
	// rank orders the positions that share an anchor; 1 to 7.
	rank int32
}

// anchorFilter is in the chain of every sidecar, gateway and waypoint of every release, after jwt_authn and rbac and before fault
// and cors, where Istio puts its own WasmPlugins of the phases STATS and UNSPECIFIED (istiod's
// buildHTTPConnectionManager, 1.14 to 1.31).
const anchorFilter = "envoy.filters.http.grpc_stats"

// positionOf maps phase and placement. The front of the chain is the only place before authentication that always
// exists. Istio's own place for AUTHZ, between jwt_authn and rbac, can't be expressed: both are there only where a
// policy asks for them, and a patch with an absent anchor does nothing, silently. So AUTHZ comes right after rbac. A
// network filter goes before the last filter of its chain in every phase, since the front of a chain can't be told by
// what the chain ends in.
func positionOf(spec wasmv1alpha1.WasmPluginSpec) position {
	before := networking.EnvoyFilter_Patch_INSERT_BEFORE
	switch {
	case spec.Placement.Before != "":
		return position{before, spec.Placement.Before, 5}
	case spec.Placement.After != "":
		return position{networking.EnvoyFilter_Patch_INSERT_AFTER, spec.Placement.After, 6}
	}
	switch spec.Phase {
	case wasmv1alpha1.PhaseAuthn:
		if isNetwork(spec) {
			return position{before, "", 1}
		}
		return position{networking.EnvoyFilter_Patch_INSERT_FIRST, "", 1}
	case wasmv1alpha1.PhaseAuthz:
		return position{before, anchorFilter, 2}
	case wasmv1alpha1.PhaseStats:
		return position{before, anchorFilter, 3}
	default:
		return position{before, anchorFilter, 4}
	}
}

const (
	priorityBits = 11 // -1000..1000
	hashBits     = 16
	freeBits     = 1
)

// priorityOf is the priority of a half. A canary comes after all that may stand beside the plugin's filter by its name,
// which it takes away.
func priorityOf(plugin *wasmv1alpha1.WasmPlugin, role wasmv1alpha1.EnvoyFilterRole) int32 {
	switch {
	case slices.Contains(TrialRoles, role):
		return trialPriority
	case slices.Contains(CanaryRoles, role):
		return math.MaxInt32
	}
	return envoyFilterPriority(plugin)
}

// envoyFilterPriority packs the rank, the user's priority and a hash of the plugin's identity into the one int32 by
// which istiod orders EnvoyFilters: the order is total and doesn't depend on creation time, istiod's next key. It is
// never 0, since the rank isn't, and its lowest bit is free.
//
// istiod applies EnvoyFilters by ascending priority. A filter that is inserted before an anchor runs after those
// inserted earlier, so the user's higher priority needs the lower number; one inserted at the front or after an anchor
// runs before those inserted earlier, so there it needs the higher number.
func envoyFilterPriority(plugin *wasmv1alpha1.WasmPlugin) int32 {
	at := positionOf(plugin.Spec)
	priority := int32(0)
	if plugin.Spec.Priority != nil {
		priority = *plugin.Spec.Priority
	}
	if at.operation == networking.EnvoyFilter_Patch_INSERT_BEFORE {
		priority = -priority
	}
	packed := at.rank
	packed = packed<<priorityBits | (priority + maxPriority)
	packed = packed<<hashBits | identityHash(plugin.Namespace, plugin.Name)
	return packed << freeBits
}
