// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"fmt"
	"regexp"
	"strings"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

const (
	istioGroup   = "extensions.istio.io"
	higressGroup = "extensions.higress.io"
)

// hints say, for fields of others, which of ours is meant. docs/migration.md has the whole of it.
var hints = map[string]string{
	"spec.pluginConfig":              "is Istio's; here it is rules, with the same content",
	"spec.verificationKey":           "is Istio's; here it is verification.keys, a list with the key under inline",
	"spec.targetRef":                 "is Istio's; here it is targetRefs, a list",
	"spec.match[].mode":              "is Istio's; here it is context: GATEWAY and SIDECAR_OUTBOUND, an entry each, for CLIENT; SIDECAR_INBOUND for SERVER; ANY for CLIENT_AND_SERVER",
	"spec.workloadSelector":          "is an EnvoyFilter's; here it is selector, with the labels under matchLabels",
	"spec.selector.labels":           "is an EnvoyFilter's; here it is selector.matchLabels",
	"spec.selector.matchExpressions": "is a Deployment's; istiod selects proxies by equal labels only, under selector.matchLabels",
	"spec.configPatches":             "is an EnvoyFilter's; here url, rules and match say the same, see docs/migration.md",
	"spec.rootId":                    "is Envoy's root_id; here it is pluginName",
	"spec.wasm":                      "is a TrafficExtension's; here what stands in it belongs to spec itself",
	"spec.lua":                       "is a TrafficExtension's; there is no Lua here",
	"spec.defaultConfig":             "is Higress'; here it is rules",
	"spec.defaultConfigDisable":      "is Higress'; here overrides say for which hosts and routes other rules hold",
	"spec.matchRules":                "is Higress'; here it is overrides, with domain under match.hosts, ingress under match.routes and config under rules",
}

var index = regexp.MustCompile(`\[\d+\]`)

// hintFor says which of our fields is meant by one that we don't have.
func hintFor(field string) (string, bool) {
	hint, known := hints[index.ReplaceAllString(field, "[]")]
	return hint, known
}

// foreignKind says what to write instead of a kind that isn't ours.
func foreignKind(h cli.Head) problem {
	ours := translate.PluginKind.GroupVersion().String()
	group, _, _ := strings.Cut(h.APIVersion, "/")
	switch {
	case h.Kind != translate.PluginKind.Kind && group == translate.PluginKind.Group:
		return problem{"kind", fmt.Sprintf("is %s, which %s doesn't have; write %s", h.Kind, group, translate.PluginKind.Kind)}
	case h.Kind != translate.PluginKind.Kind:
		return problem{"kind", fmt.Sprintf("is Istio's %s; write a %s of %s, with what stands under wasm in spec itself", h.Kind, translate.PluginKind.Kind, ours)}
	case group == istioGroup:
		return problem{"apiVersion", fmt.Sprintf("is %s, Istio's own WasmPlugin, which the operator doesn't read; write %s", h.APIVersion, ours)}
	case group == higressGroup:
		return problem{"apiVersion", fmt.Sprintf("is %s, Higress' WasmPlugin, which the operator doesn't read; write %s", h.APIVersion, ours)}
	default:
		return problem{"apiVersion", fmt.Sprintf("is %s; write %s", h.APIVersion, ours)}
	}
}

// foreignDefaults names what means something else here where it is left out.
func foreignDefaults(spec wasmv1alpha1.WasmPluginSpec) []problem {
	var problems []problem
	if spec.Selector.MatchLabels == nil && spec.TargetRefs == nil && spec.Scope == "" {
		problems = append(problems, problem{"spec", "names no proxies, which there means all of the namespace; here write scope: Namespace"})
	}
	if spec.Match == nil {
		problems = append(problems, problem{"spec.match", "is left out, which there means every listener; here that is match: [{context: ANY}], and the default is GATEWAY"})
	}
	return problems
}
