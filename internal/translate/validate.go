// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

const (
	maxNameLength = 63
	maxLabels     = 64
	maxPriority   = 1000
)

// check returns the first thing that is wrong, or nil.
type check func(Input) error

// checks repeat the rules of the CRD where a value that breaks them would end in an EnvoyFilter, since a cluster may hold
// objects that were stored under another CRD, and add those that need more than one object's schema.
var checks = []check{
	checkName,
	checkURL,
	checkSHA256,
	checkTarget,
	checkSelector,
	checkMatch,
	checkTargetRefs,
	checkNetwork,
	checkPosition,
	checkFailStrategy,
	checkEnv,
	checkEnvoy,
	checkProxyVersion,
	checkIstioVersion,
	checkExclusiveRules,
	checkReferences,
	checkOverrides,
	checkActivation,
	checkRollout,
	checkDelivery,
	checkDemands,
	checkRootNamespace,
}

func validate(in Input) error {
	for _, check := range checks {
		if err := check(in); err != nil {
			return err
		}
	}
	return nil
}

func checkName(in Input) error {
	if len(in.Plugin.Name) > maxNameLength {
		return invalid("metadata.name", "is longer than %d characters; choose a shorter name, since the EnvoyFilters' names and a label are made of it",
			maxNameLength)
	}
	return nil
}

var sha256Pattern = regexp.MustCompile(`^[a-f0-9]{64}$`)

func checkSHA256(in Input) error {
	spec := in.Plugin.Spec
	if spec.SHA256 == "" {
		return nil
	}
	if !sha256Pattern.MatchString(spec.SHA256) {
		return invalid("spec.sha256", "must be 64 lower-case hex digits, without a prefix such as sha256:")
	}
	if _, digest, pinned := strings.Cut(spec.URL, "@sha256:"); pinned && digest != spec.SHA256 {
		return invalid("spec.sha256", "differs from the digest in spec.url; keep one of them, or make them equal")
	}
	return nil
}

func checkTarget(in Input) error {
	spec, targets := in.Plugin.Spec, 0
	if spec.Selector.MatchLabels != nil {
		targets++
	}
	if spec.TargetRefs != nil {
		targets++
	}
	if spec.Scope != "" {
		targets++
	}
	if targets != 1 {
		return invalid("spec", "has %d targets; set exactly one of selector, targetRefs and scope", targets)
	}
	return oneOf("spec.scope", spec.Scope, wasmv1alpha1.ScopeNamespace)
}

func checkSelector(in Input) error {
	return checkLabels("spec.selector.matchLabels", in.Plugin.Spec.Selector.MatchLabels, "set scope: Namespace for every proxy of the namespace")
}

func checkLabels(field string, labels map[string]wasmv1alpha1.LabelValue, otherwise string) error {
	if labels == nil {
		return nil
	}
	if len(labels) == 0 || len(labels) > maxLabels {
		return invalid(field, "has %d labels; give 1 to %d, or %s", len(labels), maxLabels, otherwise)
	}
	for key, value := range labels {
		if problems := validation.IsQualifiedName(key); len(problems) > 0 {
			return invalid(field, "has a key that is no label's: %s", problems[0])
		}
		if problems := validation.IsValidLabelValue(string(value)); len(problems) > 0 {
			return invalid(field, "has a value for %s that is no label's: %s", key, problems[0])
		}
	}
	return nil
}

func checkMatch(in Input) error {
	for _, entry := range in.Plugin.Spec.Match {
		if err := oneOf("spec.match[].context", entry.Context, wasmv1alpha1.ContextGateway, wasmv1alpha1.ContextSidecarInbound,
			wasmv1alpha1.ContextSidecarOutbound, wasmv1alpha1.ContextAny); err != nil {
			return err
		}
		for _, port := range entry.Ports {
			if port.Number < 1 || port.Number > 65535 {
				return invalid("spec.match[].ports[].number", "is %d; a port is 1 to 65535", port.Number)
			}
		}
	}
	return nil
}

func checkPosition(in Input) error {
	spec := in.Plugin.Spec
	if err := oneOf("spec.phase", spec.Phase, wasmv1alpha1.PhaseUnspecified, wasmv1alpha1.PhaseAuthn,
		wasmv1alpha1.PhaseAuthz, wasmv1alpha1.PhaseStats); err != nil {
		return err
	}
	switch {
	case spec.Placement.Before != "" && spec.Placement.After != "":
		return invalid("spec.placement", "has both before and after; keep one")
	case spec.Phase != "" && spec.Placement != (wasmv1alpha1.Placement{}):
		return invalid("spec.placement", "stands beside phase; keep one of them")
	case spec.Placement.After == routerFilter:
		return invalid("spec.placement.after", "nothing can run after envoy.filters.http.router; use before")
	case spec.Priority != nil && (*spec.Priority < -maxPriority || *spec.Priority > maxPriority):
		return invalid("spec.priority", "is %d; it must be -%d to %d", *spec.Priority, maxPriority, maxPriority)
	}
	return nil
}

func checkFailStrategy(in Input) error {
	return oneOf("spec.failStrategy", in.Plugin.Spec.FailStrategy,
		wasmv1alpha1.FailClose, wasmv1alpha1.FailOpen, wasmv1alpha1.FailReload)
}

func checkEnv(in Input) error {
	seen := map[string]bool{}
	for _, env := range in.Plugin.Spec.VMConfig.Env {
		switch {
		case env.Name == "":
			return invalid("spec.vmConfig.env[].name", "is empty; give every variable a name")
		case strings.HasPrefix(env.Name, "ISTIO_META_"):
			return invalid("spec.vmConfig.env[].name", "%s: names that begin with ISTIO_META_ are reserved for the mesh", env.Name)
		case seen[env.Name]:
			return invalid("spec.vmConfig.env[].name", "%s is there twice; keep one", env.Name)
		case env.ValueFrom == wasmv1alpha1.EnvHost && env.Value != nil:
			return invalid("spec.vmConfig.env[].value", "stands beside valueFrom HOST for %s; leave it out, the proxy's own value is taken", env.Name)
		}
		if err := oneOf("spec.vmConfig.env[].valueFrom", env.ValueFrom, wasmv1alpha1.EnvInline, wasmv1alpha1.EnvHost); err != nil {
			return err
		}
		seen[env.Name] = true
	}
	return nil
}

func checkExclusiveRules(in Input) error {
	spec := in.Plugin.Spec
	if spec.RulesText != "" && (spec.Rules != nil || spec.RulesFrom != nil) {
		return invalid("spec.rulesText", "stands beside rules or rulesFrom; keep one of them")
	}
	return nil
}

func checkRootNamespace(in Input) error {
	if in.Plugin.Spec.Scope != wasmv1alpha1.ScopeNamespace || in.Plugin.Namespace != in.RootNamespace || in.AllowRootNamespaceScope {
		return nil
	}
	return &InvalidSpecError{
		Reason: wasmv1alpha1.ReasonRootNamespace,
		Field:  "spec.scope",
		Problem: "Namespace would reach every proxy of the mesh, since " + in.RootNamespace +
			" is its root namespace; name the proxies in selector, or start the operator with --allow-root-namespace-scope",
	}
}

func oneOf[T ~string](field string, value T, allowed ...T) error {
	if value == "" || slices.Contains(allowed, value) {
		return nil
	}
	names := make([]string, 0, len(allowed))
	for _, name := range allowed {
		names = append(names, string(name))
	}
	return invalid(field, "is none of %s", strings.Join(names, ", "))
}
