// SPDX-License-Identifier: Apache-2.0

package envtest

import "strings"

const (
	ruleOneTarget   = "exactly one of the fields in [selector targetRefs scope] must be set"
	ruleLabelKey    = "a label's key has 1 to 317 characters"
	ruleOnePlace    = "at most one of the fields in [phase placement] may be set"
	ruleOneSide     = "exactly one of the fields in [before after] must be set"
	ruleAfterRouter = "nothing can run after envoy.filters.http.router; use before"
	ruleOneOverride = "exactly one of the fields in [rules rulesFrom mode] must be set"
	ruleOverrideFor = "at least one of the fields in [hosts routes] must be set"
	rulePlaces      = "name more than 512 pairs of host and route; split the plugin, or match fewer"
	ruleHost        = "a host is a name in lower case without a port, such as shop.example.com or *.example.com"
	ruleTargetGroup = "must be gateway.networking.k8s.io, the only one that istiod honours on an EnvoyFilter; pick other proxies by selector"
	ruleTargetKind  = "must be Gateway or GatewayClass, the only kinds that istiod honours on an EnvoyFilter; pick other proxies by selector"
	ruleTargetClass = "istio-waypoint is the only GatewayClass that istiod honours on an EnvoyFilter; name a Gateway"
	ruleTargetPorts = "targetRefs name gateways and waypoints, which have no such context; with them it is GATEWAY or ANY"
	ruleNetwork     = "NETWORK takes neither overrides nor placement, which are about HTTP; take them out"
)

// targetRefs takes the place of the selector. The references are of Gateway API's group but for what they say themselves.
func targetRefs(references ...string) string {
	for i, reference := range references {
		if !strings.Contains(reference, `"group"`) {
			references[i] = strings.Replace(reference, "{", `{"group": "gateway.networking.k8s.io", `, 1)
		}
	}
	return `"selector": null, "targetRefs": [` + strings.Join(references, ", ") + `]`
}

// hosts and routes match n of them.
func hosts(n int) string  { return `"hosts": ` + list(n, `"h%d"`) }
func routes(n int) string { return `"routes": ` + list(n, `"r%d"`) }

// matchLabels is a selector in JSON.
func matchLabels(labels string) string { return `{"matchLabels": {` + labels + `}}` }

// override is a list of one, which takes nothing but what it matches.
func override(match string) string {
	return `{"overrides": [{"mode": "Disable", "match": ` + match + `}]}`
}

// badMatchValues are those of the fields about where the plugin runs.
var badMatchValues = []badValue{
	{"spec", ruleOneTarget, `{"selector": null}`},
	{"spec", ruleOneTarget, `{"scope": "Namespace"}`},
	{"spec", ruleOneTarget, `{` + strings.Replace(targetRefs(`{"kind": "Gateway", "name": "gateway"}`), `"selector": null, `, "", 1) + `}`},
	{"spec.scope", "enum", `{"selector": null, "scope": "Cluster"}`},
	{"spec.selector.matchLabels", "required", `{"selector": {}}`},
	{"spec.selector.matchLabels", "minProperties", `{"selector": ` + matchLabels("") + `}`},
	{"spec.selector.matchLabels", "maxProperties", `{"selector": ` + matchLabels(manyLabels(65)) + `}`},
	{"spec.selector.matchLabels", ruleLabelKey, `{"selector": ` + matchLabels(`"": "x"`) + `}`},
	{"spec.selector.matchLabels", ruleLabelKey, `{"selector": ` + matchLabels(text(318)+`: "x"`) + `}`},
	{"spec.selector.matchLabels.*", "maxLength", `{"selector": ` + matchLabels(`"a": `+text(64)) + `}`},
	{"spec.selector.matchLabels.*", "pattern", `{"selector": ` + matchLabels(`"a": "-x"`) + `}`},
	{"spec.selector.matchLabels.*", "type", `{"selector": ` + matchLabels(`"a": true`) + `}`},
	{"spec.targetRefs", "minItems", `{"selector": null, "targetRefs": []}`},
	{"spec.targetRefs", "maxItems", `{` + targetRefs(repeated(17, `{"kind": "Gateway", "name": "g%d"}`)...) + `}`},
	{"spec.targetRefs", "unique", `{` + targetRefs(`{"kind": "Gateway", "name": "g"}`, `{"kind": "Gateway", "name": "g"}`) + `}`},
	{"spec.targetRefs[].kind", "required", `{` + targetRefs(`{"name": "g"}`) + `}`},
	{"spec.targetRefs[].kind", "minLength", `{` + targetRefs(`{"name": "g", "kind": ""}`) + `}`},
	{"spec.targetRefs[].kind", "maxLength", `{` + targetRefs(`{"name": "g", "kind": `+text(64)+`}`) + `}`},
	{"spec.targetRefs[].name", "required", `{` + targetRefs(`{"kind": "Gateway"}`) + `}`},
	{"spec.targetRefs[].name", "minLength", `{` + targetRefs(`{"kind": "Gateway", "name": ""}`) + `}`},
	{"spec.targetRefs[].name", "maxLength", `{` + targetRefs(`{"kind": "Gateway", "name": `+text(254)+`}`) + `}`},
	{"spec.targetRefs[].group", "maxLength", `{` + targetRefs(`{"kind": "Gateway", "name": "g", "group": `+text(254)+`}`) + `}`},
	{"spec.targetRefs[].group", ruleTargetGroup, `{"selector": null, "targetRefs": [{"kind": "Gateway", "name": "g"}]}`},
	{"spec.targetRefs[].group", ruleTargetGroup, `{` + targetRefs(`{"kind": "Gateway", "name": "g", "group": "networking.istio.io"}`) + `}`},
	{"spec.targetRefs[].kind", ruleTargetKind, `{` + targetRefs(`{"kind": "Service", "name": "s"}`) + `}`},
	{"spec.targetRefs[].kind", ruleTargetKind, `{` + targetRefs(`{"kind": "gateway", "name": "g"}`) + `}`},
	{"spec.targetRefs[].name", ruleTargetClass, `{` + targetRefs(`{"kind": "GatewayClass", "name": "istio"}`) + `}`},
	{"spec.match", ruleTargetPorts, `{` + targetRefs(`{"kind": "Gateway", "name": "g"}`) + `, "match": [{"context": "SIDECAR_INBOUND"}]}`},
	{"spec.match", ruleTargetPorts, `{` + targetRefs(`{"kind": "Gateway", "name": "g"}`) + `, "match": [{"context": "GATEWAY"}, {"context": "SIDECAR_OUTBOUND"}]}`},

	{"spec.match", "minItems", `{"match": []}`},
	{"spec.match", "maxItems", `{"match": ` + list(17, `{"context": "ANY"}`) + `}`},
	{"spec.match[]", "minProperties", `{"match": [{}]}`},
	{"spec.match[].context", "enum", `{"match": [{"context": "SIDECAR"}]}`},
	{"spec.match[].ports", "minItems", `{"match": [{"ports": []}]}`},
	{"spec.match[].ports", "maxItems", `{"match": [{"ports": ` + list(65, `{"number": 1%d}`) + `}]}`},
	{"spec.match[].ports", "unique", `{"match": [{"ports": [{"number": 80}, {"number": 80}]}]}`},
	{"spec.match[].ports[].number", "required", `{"match": [{"ports": [{}]}]}`},
	{"spec.match[].ports[].number", "minimum", `{"match": [{"ports": [{"number": 0}]}]}`},
	{"spec.match[].ports[].number", "minimum", `{"match": [{"ports": [{"number": -1}]}]}`},
	{"spec.match[].ports[].number", "maximum", `{"match": [{"ports": [{"number": 65536}]}]}`},
	{"spec.match[].ports[].number", "type", `{"match": [{"ports": [{"number": "80"}]}]}`},
	{"spec.type", "enum", `{"type": "TCP"}`},
	{"spec.type", ruleNetwork, `{"type": "NETWORK", "placement": {"before": "envoy.filters.http.cors"}}`},
	{"spec.type", ruleNetwork, `{"type": "NETWORK", "overrides": [{"match": {"hosts": ["a.example.com"]}, "mode": "Disable"}]}`},
	{"spec.phase", "enum", `{"phase": "FIRST"}`},
	{"spec", ruleOnePlace, `{"phase": "AUTHN", "placement": {"before": "envoy.filters.http.cors"}}`},
	{"spec.placement", ruleOneSide, `{"placement": {}}`},
	{"spec.placement", ruleOneSide, `{"placement": {"before": "a", "after": "b"}}`},
	{"spec.placement.before", "minLength", `{"placement": {"before": ""}}`},
	{"spec.placement.before", "maxLength", `{"placement": {"before": ` + text(257) + `}}`},
	{"spec.placement.after", "minLength", `{"placement": {"after": ""}}`},
	{"spec.placement.after", "maxLength", `{"placement": {"after": ` + text(257) + `}}`},
	{"spec.placement.after", ruleAfterRouter, `{"placement": {"after": "envoy.filters.http.router"}}`},
	{"spec.priority", "minimum", `{"priority": -1001}`},
	{"spec.priority", "maximum", `{"priority": 1001}`},
	{"spec.priority", "type", `{"priority": 1.5}`},

	{"spec.overrides", "minItems", `{"overrides": []}`},
	{"spec.overrides", "maxItems", `{"overrides": ` + list(65, `{"mode": "Disable", "match": {"hosts": ["h%d"]}}`) + `}`},
	{"spec.overrides", rulePlaces, `{"overrides": ` + list(9, `{"mode": "Disable", "match": {`+hosts(57)+`}}`) + `}`},
	{"spec.overrides", rulePlaces, `{"overrides": ` + list(9, `{"mode": "Disable", "match": {`+routes(57)+`}}`) + `}`},
	{"spec.overrides", rulePlaces, override(`{` + hosts(27) + `, ` + routes(19) + `}`)},
	{"spec.overrides[]", ruleOneOverride, `{"overrides": [{"match": {"hosts": ["a.example.com"]}}]}`},
	{"spec.overrides[]", ruleOneOverride, `{"overrides": [{"match": {"hosts": ["a.example.com"]}, "mode": "Disable", "rules": {}}]}`},
	{"spec.overrides[].mode", "enum", `{"overrides": [{"match": {"hosts": ["a.example.com"]}, "mode": "Enable"}]}`},
	{"spec.overrides[].match", "required", `{"overrides": [{"mode": "Disable"}]}`},
	{"spec.overrides[].match", ruleOverrideFor, override(`{}`)},
	{"spec.overrides[].match.hosts", "minItems", override(`{"hosts": []}`)},
	{"spec.overrides[].match.hosts", "maxItems", override(`{"hosts": ` + list(65, `"h%d"`) + `}`)},
	{"spec.overrides[].match.hosts", "unique", override(`{"hosts": ["a", "a"]}`)},
	{"spec.overrides[].match.hosts[]", "maxLength", override(`{"hosts": [` + text(254) + `]}`)},
	{"spec.overrides[].match.hosts", ruleHost, override(`{"hosts": [""]}`)},
	{"spec.overrides[].match.hosts", ruleHost, override(`{"hosts": ["Shop.example.com"]}`)},
	{"spec.overrides[].match.hosts", ruleHost, override(`{"hosts": ["shop.example.com:443"]}`)},
	{"spec.overrides[].match.hosts", ruleHost, override(`{"hosts": ["https://shop.example.com"]}`)},
	{"spec.overrides[].match.hosts", ruleHost, override(`{"hosts": ["good.example.com", "shop.*"]}`)},
	{"spec.overrides[].match.routes", "minItems", override(`{"routes": []}`)},
	{"spec.overrides[].match.routes", "maxItems", override(`{"routes": ` + list(65, `"r%d"`) + `}`)},
	{"spec.overrides[].match.routes", "unique", override(`{"routes": ["a", "a"]}`)},
	{"spec.overrides[].match.routes[]", "minLength", override(`{"routes": [""]}`)},
	{"spec.overrides[].match.routes[]", "maxLength", override(`{"routes": [` + text(513) + `]}`)},
	{"spec.overrides[].rules", "type", strings.Replace(override(`{"hosts": ["a"]}`), `"mode": "Disable"`, `"rules": []`, 1)},
	{"spec.overrides[].rulesFrom", "minItems", `{"overrides": [{"match": {"hosts": ["a"]}, "rulesFrom": []}]}`},
	{"spec.overrides[].rulesFrom", "maxItems", `{"overrides": [{"match": {"hosts": ["a"]}, "rulesFrom": ` + list(17, aRulesSource) + `}]}`},
	{"spec.overrides[].rulesFrom[]", ruleOneSource, `{"overrides": [{"match": {"hosts": ["a"]}, "rulesFrom": [{}]}]}`},
}
