// SPDX-License-Identifier: Apache-2.0

package envtest

const (
	ruleHostValue = "leave it out with valueFrom HOST, which takes the proxy's own value"
	ruleIstioMeta = "names that begin with ISTIO_META_ are reserved for the mesh"
	ruleEnvName   = "has letters, digits and -._ only, and begins with no digit"
	ruleReload    = "has an effect only with failStrategy: FAIL_RELOAD; set that, or take this out"
	ruleIntervals = "is shorter than baseIntervalSeconds; raise it"
)

// env is an environment of one variable.
func env(variable string) string { return `{"vmConfig": {"env": [` + variable + `]}}` }

// capabilities is a restriction to a list.
func capabilities(list string) string {
	return `{"envoy": {"capabilityRestriction": {"allowedCapabilities": ` + list + `}}}`
}

// reload is a backoff under FAIL_RELOAD.
func reload(fields string) string {
	return `{"failStrategy": "FAIL_RELOAD", "envoy": {"reloadConfig": {` + fields + `}}}`
}

// canary is a rollout.
func canary(fields string) string { return `{"rollout": {"canary": {` + fields + `}}}` }

// badRuntimeValues are those of the fields about how the plugin runs and comes into force.
var badRuntimeValues = []badValue{
	{"spec.failStrategy", "enum", `{"failStrategy": "FAIL"}`},
	{"spec.vmConfig", "minProperties", `{"vmConfig": {}}`},
	{"spec.vmConfig.env", "minItems", `{"vmConfig": {"env": []}}`},
	{"spec.vmConfig.env", "maxItems", `{"vmConfig": {"env": ` + list(257, `{"name": "V%d"}`) + `}}`},
	{"spec.vmConfig.env", "unique", env(`{"name": "A", "value": "1"}, {"name": "A", "value": "2"}`)},
	{"spec.vmConfig.env[].value", ruleHostValue, env(`{"name": "A", "valueFrom": "HOST", "value": "x"}`)},
	{"spec.vmConfig.env[].value", ruleHostValue, env(`{"name": "A", "valueFrom": "HOST", "value": ""}`)},
	{"spec.vmConfig.env[].name", "required", env(`{"value": "x"}`)},
	{"spec.vmConfig.env[].name", "minLength", env(`{"name": ""}`)},
	{"spec.vmConfig.env[].name", "maxLength", env(`{"name": ` + text(257) + `}`)},
	{"spec.vmConfig.env[].name", ruleEnvName, env(`{"name": "1A"}`)},
	{"spec.vmConfig.env[].name", ruleEnvName, env(`{"name": "A=B"}`)},
	{"spec.vmConfig.env[].name", ruleIstioMeta, env(`{"name": "ISTIO_META_WASM_IMAGE_PULL_SECRET"}`)},
	{"spec.vmConfig.env[].value", "maxLength", env(`{"name": "A", "value": ` + text(2049) + `}`)},
	{"spec.vmConfig.env[].valueFrom", "enum", env(`{"name": "A", "valueFrom": "SECRET"}`)},

	{"spec.envoy", "minProperties", `{"envoy": {}}`},
	{"spec.envoy.allowOnHeadersStopIteration", "enum", `{"envoy": {"allowOnHeadersStopIteration": "true"}}`},
	{"spec.envoy.allowOnHeadersStopIteration", "type", `{"envoy": {"allowOnHeadersStopIteration": true}}`},
	{"spec.envoy.nackOnCodeCacheMiss", "enum", `{"envoy": {"nackOnCodeCacheMiss": "true"}}`},
	{"spec.envoy.capabilityRestriction.allowedCapabilities", "required", `{"envoy": {"capabilityRestriction": {}}}`},
	{"spec.envoy.capabilityRestriction.allowedCapabilities", "minItems", capabilities(`[]`)},
	{"spec.envoy.capabilityRestriction.allowedCapabilities", "maxItems", capabilities(list(129, `"c%d"`))},
	{"spec.envoy.capabilityRestriction.allowedCapabilities", "unique", capabilities(`["proxy_log", "proxy_log"]`)},
	{"spec.envoy.capabilityRestriction.allowedCapabilities[]", "minLength", capabilities(`[""]`)},
	{"spec.envoy.capabilityRestriction.allowedCapabilities[]", "maxLength", capabilities(`[` + text(129) + `]`)},
	{"spec.envoy.reloadConfig", "minProperties", reload(``)},
	{"spec.envoy.reloadConfig", ruleReload, `{"envoy": {"reloadConfig": {"baseIntervalSeconds": 2}}}`},
	{"spec.envoy.reloadConfig", ruleReload, `{"failStrategy": "FAIL_OPEN", "envoy": {"reloadConfig": {"maxIntervalSeconds": 2}}}`},
	{"spec.envoy.reloadConfig.baseIntervalSeconds", "minimum", reload(`"baseIntervalSeconds": 0`)},
	{"spec.envoy.reloadConfig.baseIntervalSeconds", "maximum", reload(`"baseIntervalSeconds": 3601`)},
	{"spec.envoy.reloadConfig.maxIntervalSeconds", "minimum", reload(`"maxIntervalSeconds": 0`)},
	{"spec.envoy.reloadConfig.maxIntervalSeconds", "maximum", reload(`"maxIntervalSeconds": 86401`)},
	{"spec.envoy.reloadConfig.maxIntervalSeconds", ruleIntervals, reload(`"baseIntervalSeconds": 5, "maxIntervalSeconds": 4`)},
	{"spec.envoy.vmConfiguration", "minLength", `{"envoy": {"vmConfiguration": ""}}`},
	{"spec.envoy.vmConfiguration", "maxLength", `{"envoy": {"vmConfiguration": ` + text(65537) + `}}`},

	{"spec.proxyVersion.minimum", "required", `{"proxyVersion": {}}`},
	{"spec.proxyVersion.minimum", "minLength", `{"proxyVersion": {"minimum": "1."}}`},
	{"spec.proxyVersion.minimum", "maxLength", `{"proxyVersion": {"minimum": "1.1234567"}}`},
	{"spec.proxyVersion.minimum", "pattern", `{"proxyVersion": {"minimum": "1.21.3"}}`},
	{"spec.proxyVersion.minimum", "pattern", `{"proxyVersion": {"minimum": "2.1"}}`},
	{"spec.proxyVersion.minimum", "pattern", `{"proxyVersion": {"minimum": "1.11"}}`},
	{"spec.proxyVersion.minimum", "pattern", `{"proxyVersion": {"minimum": "1.100"}}`},
	{"spec.activation", "minProperties", `{"activation": {}}`},
	{"spec.activation.mode", "enum", `{"activation": {"mode": "Fast"}}`},
	{"spec.activation.deadlineSeconds", "minimum", `{"activation": {"deadlineSeconds": 0}}`},
	{"spec.activation.deadlineSeconds", "maximum", `{"activation": {"deadlineSeconds": 3601}}`},
	{"spec.activation.onDeadline", "enum", `{"activation": {"onDeadline": "Rollback"}}`},
	{"spec.rollout.canary", "required", `{"rollout": {}}`},
	{"spec.rollout.canary.selector", "required", canary(`"holdSeconds": 5`)},
	{"spec.rollout.canary.holdSeconds", "minimum", canary(`"holdSeconds": 0, "selector": ` + matchLabels(`"a": "b"`))},
	{"spec.rollout.canary.holdSeconds", "maximum", canary(`"holdSeconds": 86401, "selector": ` + matchLabels(`"a": "b"`))},
	{"spec.rollout.canary.selector.matchLabels", "required", canary(`"selector": {}`)},
	{"spec.rollout.canary.selector.matchLabels", "minProperties", canary(`"selector": ` + matchLabels(""))},
	{"spec.rollout.canary.selector.matchLabels", "maxProperties", canary(`"selector": ` + matchLabels(manyLabels(65)))},
	{"spec.rollout.canary.selector.matchLabels", ruleLabelKey, canary(`"selector": ` + matchLabels(text(318)+`: "x"`))},
	{"spec.rollout.canary.selector.matchLabels.*", "maxLength", canary(`"selector": ` + matchLabels(`"a": `+text(64)))},
	{"spec.rollout.canary.selector.matchLabels.*", "pattern", canary(`"selector": ` + matchLabels(`"a": "x y"`))},
}
