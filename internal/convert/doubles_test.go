// SPDX-License-Identifier: Apache-2.0

package convert_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/convert"
)

func ours(t *testing.T, namespace, spec string) wasmv1alpha1.WasmPlugin {
	t.Helper()
	plugin := wasmv1alpha1.WasmPlugin{}
	plugin.Namespace, plugin.Name = namespace, "auth"
	if err := yaml.UnmarshalStrict([]byte(spec), &plugin.Spec); err != nil {
		t.Fatal(err)
	}
	return plugin
}

const pair = `apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: old, namespace: %s}
spec:
  workloadSelector: {labels: %s}
  configPatches:
  - applyTo: HTTP_FILTER
    match: {context: GATEWAY, listener: {filterChain: {filter: {name: %s}}}}
    patch: {operation: INSERT_FIRST, value: {name: %s, config_discovery: {}}}
  - applyTo: EXTENSION_CONFIG
    patch: {operation: ADD, value: {name: %[4]s, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm, config: {root_id: auth_root, vm_config: {code: {remote: {http_uri: {uri: "%[5]s"}}}}}}}}
`

const manager = "envoy.filters.network.http_connection_manager"

func TestDoubles(t *testing.T) {
	const gateway = `{url: "oci://registry.example.com/auth:2", selector: {matchLabels: {istio: ingressgateway}}}`
	istios := func(namespace, spec string) string {
		return fmt.Sprintf("apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: theirs, namespace: %s}\nspec: %s\n", namespace, spec)
	}
	for name, test := range map[string]struct {
		namespace, spec, other string
		same                   []string
		proxies                string
		remarks                int
	}{
		"the same url, without its scheme": {
			"shop", gateway, istios("shop", `{url: "registry.example.com/auth:2", selector: {matchLabels: {istio: ingressgateway}}}`), []string{"url"}, "the same", 0,
		},
		"another version, and the whole namespace": {
			"shop", gateway, istios("shop", `{url: "oci://registry.example.com/auth@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}`),
			[]string{"url, of another version"},
			"the same", 0,
		},
		"another repository": {"shop", gateway, istios("shop", `{url: "oci://registry.example.com/auth/more:2"}`), nil, "", 0},
		"another namespace":  {"shop", gateway, istios("web", `{url: "oci://registry.example.com/auth:2"}`), nil, "", 0},
		"from the root namespace": {
			"shop", gateway, istios("istio-system", `{url: "oci://registry.example.com/auth:2"}`), []string{"url"}, "the same", 0,
		},
		"other labels of one key": {"shop", gateway, istios("shop", `{url: "oci://registry.example.com/auth:2", selector: {matchLabels: {istio: egressgateway}}}`), nil, "", 0},
		"labels that one pod may have": {
			"shop", gateway, istios("shop", `{url: "oci://registry.example.com/auth:2", selector: {matchLabels: {app: istio-ingressgateway}}}`), []string{"url"}, "may be the same", 0,
		},
		"another kind of listener": {"shop", gateway, istios("shop", `{url: "oci://registry.example.com/auth:2", match: [{mode: SERVER}]}`), nil, "", 0},
		"other ports": {
			"shop", `{url: "oci://registry.example.com/auth:2", scope: Namespace, match: [{ports: [{number: 80}]}]}`,
			istios("shop", `{url: "oci://registry.example.com/auth:2", match: [{mode: CLIENT, ports: [{number: 443}]}]}`), nil, "", 0,
		},
		"a filter of connections": {"shop", gateway, istios("shop", `{url: "oci://registry.example.com/auth:2", type: NETWORK}`), nil, "", 0},
		"the same Gateway": {
			"shop", `{url: "oci://registry.example.com/auth:2", targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: g}]}`,
			istios("shop", `{url: "oci://registry.example.com/auth:2", targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: g}]}`),
			[]string{"url"},
			"the same", 0,
		},
		"another Gateway": {
			"shop", `{url: "oci://registry.example.com/auth:2", targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: g}]}`,
			istios("shop", `{url: "oci://registry.example.com/auth:2", targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: h}]}`), nil, "", 0,
		},
		"a pair, by its plugin's name": {
			"shop", `{url: "oci://registry.example.com/auth:2", pluginName: auth_root, selector: {matchLabels: {istio: ingressgateway}}}`,
			fmt.Sprintf(pair, "shop", "{istio: ingressgateway}", manager, "x", "http://plugins.example.com/a.wasm"),
			[]string{`pluginName "auth_root"`},
			"the same", 0,
		},
		"a pair, by its discovery name": {
			"shop", gateway, fmt.Sprintf(pair, "shop", "{istio: ingressgateway}", manager, "wasm.solarmesh.io/shop.auth~1a", "http://plugins.example.com/a.wasm"),
			[]string{"discovery name"},
			"the same", 0,
		},
		"a dead pair": {
			"shop", gateway, fmt.Sprintf(pair, "shop", "{}", "envoy.http_connection_manager", "x", "oci://registry.example.com/auth:2"), nil, "", 1,
		},
		"what can't be read": {"shop", gateway, istios("shop", `{url: 1}`), nil, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			doubles, remarks := convert.Doubles([]wasmv1alpha1.WasmPlugin{ours(t, test.namespace, test.spec)}, parseObjects(t, "cluster", test.other), root)
			var same []string
			proxies := ""
			if len(doubles) == 1 {
				same, proxies = doubles[0].Same, doubles[0].Proxies
			}
			if diff := cmp.Diff(test.same, same); diff != "" || proxies != test.proxies || len(doubles) > 1 {
				t.Errorf("got %+v (-want +got)\n%s", doubles, diff)
			}
			if len(remarks) != test.remarks {
				t.Errorf("got remarks %+v", remarks)
			}
		})
	}
}
