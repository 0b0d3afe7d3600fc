// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"regexp"
	"strconv"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

const (
	connectionManager      = "envoy.filters.network.http_connection_manager"
	olderConnectionManager = "envoy.http_connection_manager"
	routerFilter           = "envoy.filters.http.router"
	// oldestMinor is the oldest release of Istio that this operator writes for.
	oldestMinor = 12
)

// olderFilters are names that istiod no longer takes for those of today.
var olderFilters = map[string]string{
	"envoy.router": routerFilter, "envoy.cors": "envoy.filters.http.cors", "envoy.fault": "envoy.filters.http.fault",
	"envoy.ext_authz": "envoy.filters.http.ext_authz", "envoy.grpc_web": "envoy.filters.http.grpc_web",
	"envoy.lua": "envoy.filters.http.lua", "envoy.rate_limit": "envoy.filters.http.ratelimit",
}

// place is where a filter stands in the chain.
type place struct {
	phase         wasmv1alpha1.Phase
	before, after string
	// dead says that no proxy of today has such a place.
	dead bool
	// ascending says that there the EnvoyFilter with the higher priority comes first.
	ascending bool
}

// placeOf reads an HTTP filter's place.
func placeOf(operation string, patch, filter *fields) (place, []string) {
	anchor, dead, notes := anchorOf(filter)
	front := place{phase: wasmv1alpha1.PhaseAuthn, ascending: true, dead: dead}
	switch {
	case operation == "INSERT_FIRST" && anchor != "":
		return front, append(notes, filter.join("subFilter")+": has no effect with INSERT_FIRST; the plugin stands first of all, as phase AUTHN")
	case operation == "INSERT_FIRST":
		return front, notes
	case operation == "INSERT_BEFORE" && anchor == "":
		return front, append(notes, filter.join("subFilter")+": INSERT_BEFORE without it means first of all, before authentication: phase AUTHN")
	case operation == "INSERT_BEFORE":
		return place{before: anchor, dead: dead}, notes
	case operation == "INSERT_AFTER" && anchor != "" && anchor != routerFilter:
		return place{after: anchor, ascending: true, dead: dead}, notes
	case operation == "REPLACE":
		return place{before: anchor, dead: dead}, append(notes, patch.join("operation")+": REPLACE took "+anchor+" away; here the plugin stands before it, so see to it that the other goes")
	}
	return place{dead: true}, append(notes, patch.join("operation")+": with "+strconv.Quote(operation)+" the filter stood behind the router, where no request comes; here it has the phase UNSPECIFIED")
}

// anchorOf reads the names that a filter stands by, and finds those that match nothing.
func anchorOf(filter *fields) (anchor string, dead bool, notes []string) {
	switch name := filter.text("name"); name {
	case "", connectionManager:
	case olderConnectionManager:
		dead = true
		notes = append(notes, filter.join("name")+": "+olderConnectionManager+" matches nothing since Istio 1.19, so this EnvoyFilter did nothing there; the operator writes "+connectionManager)
	default:
		notes = append(notes, filter.join("name")+": is "+strconv.Quote(name)+", which has no HTTP filters; the operator writes "+connectionManager)
	}
	sub := filter.object("subFilter")
	anchor = sub.text("name")
	if today, older := olderFilters[anchor]; older {
		notes = append(notes, sub.join("name")+": "+anchor+" is the older name of "+today+", and matches nothing since Istio 1.19")
		anchor, dead = today, true
	}
	return anchor, dead, notes
}

// apply writes the place, and the priority of its EnvoyFilter.
func (p place) apply(d *draft, path string, priority int64) {
	spec := &d.plugin.Spec
	spec.Phase = p.phase
	spec.Placement = wasmv1alpha1.Placement{Before: p.before, After: p.after}
	if priority == 0 {
		return
	}
	d.priority(path, priority)
	if !p.ascending { // there the lower number comes first
		*spec.Priority = -*spec.Priority
	}
}

// proxyRelease reads the expressions that people write for a release.
var proxyRelease = regexp.MustCompile(`^\^?1\\?\.([0-9]{1,2})(\.\*|\\\.(\.\*)?|\\\.\[0-9\]\+.*)?\$?$`)

// minimumProxy is the release that an expression for proxies' versions means, and what there is to say about it.
func minimumProxy(path, expression string) (minimum, note string, dead bool) {
	if expression == "" {
		return "", "", false
	}
	found := proxyRelease.FindStringSubmatch(expression)
	if found == nil {
		return "", path + ": " + expression + " is an expression, and here a proxyVersion is the oldest release that gets the plugin; left out, so every proxy gets it", false
	}
	minor, err := strconv.Atoi(found[1])
	if err != nil || minor < oldestMinor {
		return "", path + ": " + expression + " matches proxies of Istio 1." + found[1] + " alone, so this EnvoyFilter does nothing on any later one; left out", true
	}
	minimum = "1." + strconv.Itoa(minor)
	return minimum, path + ": " + expression + " matches proxies of Istio " + minimum + " alone; here later ones get the plugin, too", false
}
