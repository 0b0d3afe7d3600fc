// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"fmt"
	"regexp"
	"strconv"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

const (
	// DefaultIstioVersion is the oldest release of Istio that is supported, taken where an installation names none.
	DefaultIstioVersion = "1.30"
	// oldestProxy is the oldest release whose agent takes what is rendered (the direct Any form).
	oldestProxy = 12
	// newestProxy bounds what a version's pattern can say.
	newestProxy = 99
	// failurePolicySince is the release whose Envoy (1.33) knows failure_policy, which replaces fail_open.
	failurePolicySince = 25
	// targetRefsSince is the first istiod that honours targetRefs of an EnvoyFilter; those of 1.22 to 1.26 ignore them and
	// patch every proxy of the namespace.
	targetRefsSince = 27
	// domainNameSince is the first istiod that matches virtual hosts by domain; older ones would patch every host.
	domainNameSince = 25
)

// need is a feature that older proxies don't have.
type need struct {
	field string
	minor int
	used  func(wasmv1alpha1.WasmPluginSpec) bool
}

// needs are the releases of Istio whose Envoy and agent know a feature. Envoy's minor version is Istio's plus 8.
var needs = []need{
	// The agent rewrites network filters since 1.20.
	{"spec.type: NETWORK", 20, isNetwork},
	// Envoy 1.29: HttpFilter.disabled, and per-route FilterConfig that enables; Off needs the first.
	{"spec.overrides", 21, func(s wasmv1alpha1.WasmPluginSpec) bool { return len(s.Overrides) > 0 }},
	{"spec.activation.mode: Off", 21, isOff},
	{"spec.failStrategy: FAIL_RELOAD", failurePolicySince, func(s wasmv1alpha1.WasmPluginSpec) bool { return s.FailStrategy == wasmv1alpha1.FailReload }},
	{"spec.targetRefs", targetRefsSince, func(s wasmv1alpha1.WasmPluginSpec) bool { return len(s.TargetRefs) > 0 }},
	// Envoy has it since 1.35, the agent's copy of Envoy's API since 1.28.
	{"spec.envoy.allowOnHeadersStopIteration", 28, func(s wasmv1alpha1.WasmPluginSpec) bool { return s.Envoy.AllowOnHeadersStopIteration != "" }},
}

var versionForm = regexp.MustCompile(`^1\.([1-9][0-9]{0,2})$`)

// IstioMinor returns the N of a release 1.N.
func IstioMinor(version string) (int, error) {
	parts := versionForm.FindStringSubmatch(version)
	if parts == nil {
		return 0, fmt.Errorf("%q is no release of Istio; write for example 1.30", version)
	}
	return strconv.Atoi(parts[1])
}

// greatestNeed returns the feature in use that needs the newest proxies.
func greatestNeed(spec wasmv1alpha1.WasmPluginSpec) need {
	var greatest need
	for _, need := range needs {
		if need.minor > greatest.minor && need.used(spec) {
			greatest = need
		}
	}
	return greatest
}

// minimumProxy is the oldest release whose proxies get the plugin, 0 for any: the user's, or what the features in use
// need.
func minimumProxy(spec wasmv1alpha1.WasmPluginSpec) int {
	if spec.ProxyVersion.Minimum != "" {
		minor, _ := IstioMinor(spec.ProxyVersion.Minimum) // checkProxyVersion has seen it
		return minor
	}
	return greatestNeed(spec).minor
}

// versionPattern matches the version, as a proxy reports it, of releases from 1.minor on. A build such as 1.31-alpha.x
// has no dot after the minor version. It is empty for any version.
func versionPattern(minor int) string {
	if minor == 0 {
		return ""
	}
	tens, ones := minor/10, minor%10
	pattern := fmt.Sprintf("%d[%d-9]", tens, ones)
	if tens < 9 {
		pattern += fmt.Sprintf("|[%d-9][0-9]", tens+1)
	}
	return `^1\.(` + pattern + `|[1-9][0-9]{2})`
}

func checkProxyVersion(in Input) error {
	const field = "spec.proxyVersion.minimum"
	spec := in.Plugin.Spec
	if spec.ProxyVersion.Minimum == "" {
		return nil
	}
	minor, err := IstioMinor(spec.ProxyVersion.Minimum)
	if err != nil || minor < oldestProxy || minor > newestProxy {
		return invalid(field, "must be a release of Istio from 1.%d to 1.%d, for example 1.21", oldestProxy, newestProxy)
	}
	if need := greatestNeed(spec); minor < need.minor {
		return invalid(field, "is %s, but %s needs proxies of Istio 1.%d or later; raise it, or leave it out", spec.ProxyVersion.Minimum, need.field, need.minor)
	}
	return nil
}

// checkIstioVersion refuses what the mesh's oldest istiod would apply to more than was asked for.
func checkIstioVersion(in Input) error {
	version := in.IstioVersion
	if version == "" {
		version = DefaultIstioVersion
	}
	minor, err := IstioMinor(version)
	if err != nil {
		return fmt.Errorf("the operator's --istio-version: %w", err)
	}
	if len(in.Plugin.Spec.TargetRefs) > 0 && minor < targetRefsSince {
		return invalid("spec.targetRefs", "istiod %s ignores targetRefs of an EnvoyFilter and would run the plugin in every proxy of the namespace; use selector, or upgrade Istio to 1.%d", version, targetRefsSince)
	}
	for i, override := range in.Plugin.Spec.Overrides {
		if len(override.Match.Hosts) > 0 && minor < domainNameSince {
			return invalid(fmt.Sprintf("spec.overrides[%d].match.hosts", i), "istiod %s can't tell virtual hosts by their domain and would patch all of them; match routes, or upgrade Istio to 1.%d", version, domainNameSince)
		}
	}
	return nil
}
