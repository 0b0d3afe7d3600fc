// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// allFields uses every field that is in effect together.
const allFields = `
url: oci://registry.example.com/plugins/basic-auth:1.4
sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
imagePullPolicy: Always
pluginName: basic_auth
rules: {realm: shop}
rulesFrom: [{configMapKeyRef: {name: users, key: rules.json}}]
overrides:
- {match: {hosts: [a.example.com], routes: [admin]}, rules: {realm: a}}
- {match: {hosts: ["*.example.com"]}, rulesFrom: [{configMapKeyRef: {name: users, key: more.json, optional: true}}]}
- {match: {routes: [open]}, mode: Disable}
selector: {matchLabels: {istio: ingressgateway}}
match: [{context: GATEWAY, ports: [{number: 8080}]}, {context: SIDECAR_OUTBOUND}]
type: HTTP
phase: AUTHN
priority: 7
failStrategy: FAIL_RELOAD
vmConfig: {env: [{name: A, value: a}, {name: B, valueFrom: HOST}]}
envoy:
  allowOnHeadersStopIteration: Enabled
  capabilityRestriction: {allowedCapabilities: [proxy_log]}
  reloadConfig: {baseIntervalSeconds: 2}
  vmConfiguration: x
  nackOnCodeCacheMiss: Disabled
proxyVersion: {minimum: "1.29"}
delivery: Direct
activation: {mode: Immediate}
`

var _ = Describe("Requests for a plugin with every field in use", Serial, func() {
	const config, filter, status = "PATCH envoyfilters/basic-auth-config", "PATCH envoyfilters/basic-auth-filter", "PATCH wasmplugins/basic-auth/status"

	It("are as few as for a plain one", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		users := &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "users"},
			Data:       map[string]string{"rules.json": `{"a":1}`, "more.json": `{"b":1}`},
		}
		Expect(k8s.Create(ctx, users)).To(Succeed())
		plugin := newPlugin(ns)
		plugin.Labels = map[string]string{wasmv1alpha1.LabelRevision: "default"}
		plugin.Spec = wasmv1alpha1.WasmPluginSpec{}
		Expect(yaml.UnmarshalStrict([]byte(allFields), &plugin.Spec)).To(Succeed())
		proxy.Reset()
		createReady(ctx, plugin)
		quiet(ns, config, filter, status)

		By("changing rules")
		proxy.Reset()
		Expect(patchSpec(ctx, plugin, `{"rules": {"realm": "other"}}`)).To(Succeed())
		// Always fetches anew after each change of the spec, and the overrides' instances bear the same generation.
		quiet(ns, config, status)

		By("changing a source, of the base rules and of an override")
		proxy.Reset()
		change(ctx, users, func(c *corev1.ConfigMap) { c.Data = map[string]string{"rules.json": `{"a":2}`, "more.json": `{"b":2}`} })
		quiet(ns, config, status)

		By("touching it")
		proxy.Reset()
		looked := operator.reconciles(Default)
		change(ctx, plugin, func(p *wasmv1alpha1.WasmPlugin) { p.Annotations = map[string]string{"note": "x"} })
		Eventually(operator.reconciles).Should(BeNumerically(">", looked))
		Consistently(func() []string { return append(writes(ns), reads(ns)...) }).Should(BeEmpty())

		By("restarting")
		Expect(operator.Stop()).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { ensureRunning(ctx) })
		proxy.Reset()
		Expect(operator.Start(ctx)).To(Succeed())
		Eventually(operator.reconciles).Should(BeNumerically(">=", 1))
		// The one request is the watch of the namespace's ConfigMaps, metadata only.
		Consistently(func() []string { return append(writes(ns), reads(ns)...) }).Should(Or(BeEmpty(), Equal([]string{"GET configmaps"})))
	})
})
