// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// What isn't wrong must pass: at admission, and in the operator.
var _ = Describe("A good value", func() {
	DescribeTable("is accepted and applied", func(ctx SpecContext, fields string) {
		created := withFields(newNamespace(ctx), fields)
		Expect(k8s.Create(ctx, created)).To(Succeed())
		plugin := &wasmv1alpha1.WasmPlugin{ObjectMeta: metav1.ObjectMeta{Namespace: created.GetNamespace(), Name: created.GetName()}}
		Eventually(ctx, stateOf(plugin)).Should(beReady())
	},
		Entry("oci with a tag", `{"url": "oci://registry.example.com/plugins/basic-auth:1.4"}`),
		Entry("oci without a tag", `{"url": "oci://registry.example.com/plugins/basic-auth"}`),
		Entry("oci without a scheme", `{"url": "registry.example.com/plugins/basic-auth:1.4"}`),
		Entry("oci with a port", `{"url": "oci://registry.example.com:5000/plugin:1.0"}`),
		Entry("oci with a port, without a scheme", `{"url": "registry.example.com:5000/plugin:1.0"}`),
		Entry("oci with port 65535", `{"url": "oci://registry.example.com:65535/plugin:1.0"}`),
		Entry("oci on an IPv4 address", `{"url": "oci://192.0.2.1:5000/plugin:1.0"}`),
		Entry("oci on an IPv6 address", `{"url": "oci://[2001:db8::1]/plugin:1.0"}`),
		Entry("oci on an IPv6 address with a port", `{"url": "oci://[2001:db8::1]:5000/plugin:1.0"}`),
		Entry("oci with a digest", `{"url": "oci://registry.example.com/plugin@sha256:`+hex("a")+`"}`),
		Entry("oci with a tag and a digest", `{"url": "oci://registry.example.com/plugin:1.0@sha256:`+hex("a")+`"}`),
		Entry("oci with a port and a digest", `{"url": "registry.example.com:5000/plugin@sha256:`+hex("a")+`"}`),
		Entry("oci with the same digest twice", `{"url": "oci://registry.example.com/plugin@sha256:`+hex("a")+`", "sha256": "`+hex("a")+`"}`),
		Entry("Docker Hub: user and repository", `{"url": "solarmesh/basic-auth:1.4"}`),
		Entry("Docker Hub: repository and tag", `{"url": "basic-auth:1.4"}`),
		Entry("Docker Hub: repository", `{"url": "basic-auth"}`),
		Entry("Docker Hub: a user that is a number", `{"url": "docker.io/1234/basic-auth:1.4"}`),
		Entry("Docker Hub: repository and digest", `{"url": "basic-auth@sha256:`+hex("a")+`"}`),
		Entry("Docker Hub: repository and digest, with a scheme", `{"url": "oci://basic-auth@sha256:`+hex("a")+`"}`),
		Entry("https", `{"url": "https://example.com/plugin.wasm"}`),
		Entry("https with a port, a query and escapes", `{"url": "https://example.com:8443/a%20b/plugin.wasm?version=1&x=@y"}`),
		Entry("https with @ in the path", `{"url": "https://example.com/@scope/plugin.wasm"}`),
		Entry("https with @ in the query", `{"url": "https://example.com?mail=a@example.com"}`),
		Entry("https without a path", `{"url": "https://example.com"}`),
		Entry("a host that begins with a digit", `{"url": "https://0x1.1and1.example.com/plugin.wasm"}`),
		Entry("a host that begins as a refused address does", `{"url": "https://169.254.169.254.example.com/plugin.wasm"}`),
		Entry("addresses beside refused ones: link-local", `{"url": "http://169.253.255.255/plugin.wasm"}`),
		Entry("addresses beside refused ones: Alibaba Cloud", `{"url": "http://100.100.100.20:80/plugin.wasm"}`),
		Entry("addresses beside refused ones: Oracle Cloud", `{"url": "http://192.0.0.19/plugin.wasm"}`),
		Entry("addresses beside refused ones: AWS", `{"url": "http://[fd00:ec3::254]/plugin.wasm"}`),
		Entry("a private address", `{"url": "http://10.0.0.1:8080/plugin.wasm"}`),
		Entry("the proxy's own pod", `{"url": "http://127.0.0.1:8080/plugin.wasm"}`),
		Entry("the proxy's own pod, on IPv6", `{"url": "http://[::1]:8080/plugin.wasm"}`),
		Entry("the proxy's own pod, by name", `{"url": "oci://localhost:5000/plugin:1.0"}`),
		Entry("https on an IPv6 address", `{"url": "https://[2001:db8::1]:8443/plugin.wasm"}`),
		Entry("http with a digest", `{"url": "http://example.com/plugin.wasm", "sha256": "`+hex("9")+`"}`),
		Entry("a URL of 2048 characters", `{"url": "https://example.com/`+strings.Repeat("x", 2028)+`"}`),
		Entry("64 labels", `{"selector": `+matchLabels(manyLabels(64))+`}`),
		Entry("a label with a prefix, and an empty one", `{"selector": `+matchLabels(`"example.com/track": "a.b_c-d", "empty": ""`)+`}`),
		Entry("a label with a key of 317 characters", `{"selector": `+matchLabels(`"`+strings.Repeat("a", 253)+"/"+strings.Repeat("b", 63)+`": "x"`)+`}`),
		Entry("a Gateway", `{`+targetRefs(`{"kind": "Gateway", "name": "shop"}`)+`}`),
		Entry("16 Gateways, on two ports", `{`+targetRefs(repeated(16, `{"kind": "Gateway", "name": "g%d"}`)...)+`, "match": [{"ports": [{"number": 80}, {"number": 443}]}]}`),
		Entry("a Gateway in every context that it has", `{`+targetRefs(`{"kind": "Gateway", "name": "shop"}`)+`, "match": [{"context": "GATEWAY"}, {"context": "ANY"}]}`),
		Entry("every listener", `{"match": [{"context": "ANY"}]}`),
		Entry("ports 1 and 65535", `{"match": [{"ports": [{"number": 1}, {"number": 65535}]}]}`),
		Entry("sidecars both ways", `{"match": [{"context": "SIDECAR_INBOUND", "ports": [{"number": 8080}]}, {"context": "SIDECAR_OUTBOUND"}]}`),
		Entry("scope Namespace", `{"selector": null, "scope": "Namespace"}`),
		Entry("type HTTP", `{"type": "HTTP"}`),
		Entry("type NETWORK", `{"type": "NETWORK", "phase": "AUTHN", "match": [{"context": "SIDECAR_INBOUND", "ports": [{"number": 3306}]}]}`),
		Entry("every phase: AUTHN", `{"phase": "AUTHN"}`),
		Entry("every phase: AUTHZ", `{"phase": "AUTHZ"}`),
		Entry("every phase: STATS", `{"phase": "STATS"}`),
		Entry("every phase: UNSPECIFIED", `{"phase": "UNSPECIFIED"}`),
		Entry("placement before", `{"placement": {"before": "envoy.filters.http.router"}}`),
		Entry("placement after", `{"placement": {"after": "envoy.filters.http.cors"}}`),
		Entry("the lowest priority", `{"priority": -1000}`),
		Entry("the highest priority", `{"priority": 1000}`),
		Entry("priority 0", `{"priority": 0}`),
		Entry("a placement and overrides", `{"placement": {"before": "envoy.filters.http.cors"}, "overrides": [{"match": {"hosts": ["a.example.com"]}, "mode": "Disable"}]}`),
		Entry("FAIL_OPEN", `{"failStrategy": "FAIL_OPEN"}`),
		Entry("FAIL_RELOAD", `{"failStrategy": "FAIL_RELOAD"}`),
		Entry("FAIL_RELOAD with intervals that are equal", reload(`"baseIntervalSeconds": 5, "maxIntervalSeconds": 5`)),
		Entry("FAIL_RELOAD with the first interval", reload(`"baseIntervalSeconds": 3600`)),
		Entry("FAIL_RELOAD with the longest interval", reload(`"maxIntervalSeconds": 86400`)),
		Entry("the oldest proxies", `{"proxyVersion": {"minimum": "1.12"}}`),
		Entry("the newest proxies", `{"proxyVersion": {"minimum": "1.99"}}`),
		Entry("all else of Envoy", `{"envoy": {"allowOnHeadersStopIteration": "Enabled", "nackOnCodeCacheMiss": "Disabled",
			"vmConfiguration": "x", "capabilityRestriction": {"allowedCapabilities": ["proxy_log"]}}}`),
		Entry("an environment", env(`{"name": "A", "value": "x"}, {"name": "B", "valueFrom": "HOST"}, {"name": "C.d-e_1"}, {"name": "D", "value": ""}`)),
		Entry("the longest name of a variable", env(`{"name": "-._`+strings.Repeat("A", 253)+`", "value": "x"}`)),
		Entry("a pull policy", `{"imagePullPolicy": "Always"}`),
		Entry("a plugin's name", `{"pluginName": "basic_auth"}`),
		Entry("no rules", `{"rules": {}}`),
		Entry("rules with all of JSON", `{"rules": {"a": [1, -2.5e10, true, null, "ü\u2028<&>", {"b": 9007199254740993}]}}`),
		Entry("64 levels of rules", `{"rules": `+nested(64)+`}`),
		Entry("rules of 256 KiB", `{"rules": {"a": `+text(262144-8)+`}}`),
		Entry("rules and optional sources of more", `{"rules": {"a": 1}, "rulesFrom": [{"configMapKeyRef": {"name": "users", "key": "a", "optional": true}},
			{"configMapKeyRef": {"name": "more-users", "key": "a", "optional": true}}]}`),
		Entry("overrides of every form", `{"overrides": [
			{"match": {"hosts": ["shop.example.com", "*.example.com", "*", "192.0.2.1", "a_b"]}, "rules": {}},
			{"match": {"routes": ["admin"]}, "mode": "Disable"},
			{"match": {"hosts": ["shop.example.com"], "routes": [`+text(512)+`]}, "rulesFrom": [{"configMapKeyRef": {"name": "users", "key": "a", "optional": true}}]}]}`),
		Entry("512 pairs of host and route", `{"overrides": [{"mode": "Disable", "match": {`+hosts(16)+`, `+routes(32)+`}}]}`),
		Entry("text as rules", `{"rulesText": "key: value\n"}`),
		Entry("256 KiB of text as rules", `{"rulesText": `+text(262144)+`}`),
	)

	DescribeTable("passes admission, whatever the operator then says of it", func(ctx SpecContext, fields string) {
		Expect(complaints(ctx, withFields(metav1.NamespaceDefault, fields))).To(BeEmpty())
	},
		Entry("the operator's store", `{"url": "store://2024:1", "delivery": "Store"}`),
		Entry("a pull secret and the operator's store", `{"imagePullSecret": "regcred", "delivery": "Store"}`),
		Entry("identities", `{"verification": {"identities": [`+anIdentity+`, {"issuerRegExp": "^https://.*[.]example[.]com$", "subjectRegExp": "^.*@example[.]com$"}], "trustRoot": {"inline": "{}"}}}`),
		Entry("keys and identities", `{"verification": {"keys": [`+aVerifiedModule+`], "identities": [`+anIdentity+`], "trustRoot": {"configMapKeyRef": `+aKeyReference+`}}}`),
		Entry("keys of every kind", `{"verification": {"keys": [`+aVerifiedModule+`, {"configMapKeyRef": `+aKeyReference+`}, {"secretKeyRef": `+aKeyReference+`}]}}`),
		Entry("rules from a Secret", `{"rulesFrom": [{"secretKeyRef": `+aKeyReference+`}]}`),
		Entry("every waypoint", `{`+targetRefs(`{"kind": "GatewayClass", "name": "istio-waypoint"}`)+`}`),
		Entry("a canary", canary(`"selector": `+matchLabels(`"example.com/track": "canary"`))),
	)
})
