// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// What the API has and this version doesn't put into effect is refused, never ignored.
var _ = Describe("A field without an effect", func() {
	DescribeTable("is refused by name", func(ctx SpecContext, field, spec string) {
		plugin := newPlugin(newNamespace(ctx))
		createReady(ctx, plugin)
		children := versions(ctx, plugin)
		Expect(patchSpec(ctx, plugin, spec)).To(Succeed(), "the schema has the field")
		Eventually(ctx, stateOf(plugin)).Should(beRejected(wasmv1alpha1.ReasonNotSupported, field+": ", "take it out"))
		Expect(versions(ctx, plugin)).To(Equal(children))
	},
		Entry(nil, "spec.url: store://", `{"url": "store://basic-auth:1.4"}`),
		Entry(nil, "spec.imagePullSecret", `{"imagePullSecret": "regcred"}`),
		Entry(nil, "spec.verification", `{"verification": {"keys": [{"inline": "-----BEGIN PUBLIC KEY-----"}]}}`),
		Entry(nil, "spec.rulesFrom", `{"rulesFrom": [{"configMapKeyRef": {"name": "users", "key": "rules.json"}}]}`),
		Entry(nil, "spec.overrides", `{"overrides": [{"match": {"hosts": ["shop.example.com"]}, "mode": "Disable"}]}`),
		Entry(nil, "spec.targetRefs", `{"selector": null, "targetRefs": [{"kind": "Gateway", "name": "gateway"}]}`),
		Entry(nil, "spec.type: NETWORK", `{"type": "NETWORK"}`),
		Entry(nil, "spec.failStrategy: FAIL_RELOAD", `{"failStrategy": "FAIL_RELOAD"}`),
		Entry(nil, "spec.envoy.allowOnHeadersStopIteration", `{"envoy": {"allowOnHeadersStopIteration": "Enabled"}}`),
		Entry(nil, "spec.envoy.allowOnHeadersStopIteration", `{"envoy": {"allowOnHeadersStopIteration": "Disabled"}}`),
		Entry(nil, "spec.envoy.capabilityRestriction", `{"envoy": {"capabilityRestriction": {"allowedCapabilities": ["proxy_log"]}}}`),
		Entry(nil, "spec.envoy.reloadConfig", `{"envoy": {"reloadConfig": {"baseIntervalSeconds": 2}}}`),
		Entry(nil, "spec.envoy.reloadConfig", `{"envoy": {"reloadConfig": {"maxIntervalSeconds": 2}}}`),
		Entry(nil, "spec.envoy.vmConfiguration", `{"envoy": {"vmConfiguration": "x"}}`),
		Entry(nil, "spec.envoy.nackOnCodeCacheMiss", `{"envoy": {"nackOnCodeCacheMiss": "Enabled"}}`),
		Entry(nil, "spec.proxyVersion", `{"proxyVersion": {"minimum": "1.21"}}`),
		Entry(nil, "spec.delivery: Store", `{"delivery": "Store"}`),
		Entry(nil, "spec.activation.mode: Safe", `{"activation": {"mode": "Safe"}}`),
		Entry(nil, "spec.activation.mode: Off", `{"activation": {"mode": "Off"}}`),
		Entry(nil, "spec.activation.deadlineSeconds", `{"activation": {"mode": "Immediate", "deadlineSeconds": 60}}`),
		Entry(nil, "spec.activation.onDeadline", `{"activation": {"onDeadline": "Hold"}}`),
		Entry(nil, "spec.rollout", `{"rollout": {"canary": {"selector": {"matchLabels": {"track": "canary"}}}}}`),
	)

	DescribeTable("is accepted where it says what is done anyway", func(ctx SpecContext, spec string) {
		plugin := newPlugin(newNamespace(ctx))
		createReady(ctx, plugin)
		Expect(patchSpec(ctx, plugin, spec)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(beReady())
	},
		Entry(nil, `{"type": "HTTP"}`),
		Entry(nil, `{"delivery": "Direct"}`),
		Entry(nil, `{"activation": {"mode": "Immediate"}}`),
	)
})
