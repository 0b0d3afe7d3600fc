// SPDX-License-Identifier: Apache-2.0

package translate_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	httpwasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
	networking "istio.io/api/networking/v1alpha3"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// TestInvariants holds every golden input against what must be true of any pair.
func TestInvariants(t *testing.T) {
	rendered := 0
	for _, path := range glob(t, "testdata/*.in.yaml") {
		in := readInput(t, path)
		if pair, err := translate.Translate(in); err == nil {
			rendered++
			checkInvariants(t, in, pair)
		}
	}
	if rendered == 0 {
		t.Error("no input was rendered")
	}
}

func FuzzTranslate(f *testing.F) {
	f.Add("https://plugins.example.com/a.wasm", "shop", "a", `{"a":[1]}`, "", "istio", "gateway", "GATEWAY", int32(8080), "AUTHN", "", int32(3), "ENV", "x")
	f.Add("oci://h:5000/a@sha256:ab", "istio-system", "b", `{`, "text", "", "", "ANY", int32(0), "", "envoy.filters.http.cors", int32(-1000), "ISTIO_META_X", "")
	f.Add("http://user:secret@h/", "x", strings.Repeat("n", 70), `[[[`, "", "a/b", "*", "SIDECAR_INBOUND", int32(70000), "STATS", "x", int32(2000), "", "\x00")
	f.Fuzz(func(t *testing.T, url, namespace, name, rules, text, key, value, context string, port int32, phase, before string, priority int32, env, envValue string) {
		plugin := newPlugin(namespace, name)
		plugin.Spec = wasmv1alpha1.WasmPluginSpec{
			URL: url, RulesText: text, Phase: wasmv1alpha1.Phase(phase), Priority: &priority,
			Selector:  wasmv1alpha1.WorkloadSelector{MatchLabels: map[string]wasmv1alpha1.LabelValue{key: wasmv1alpha1.LabelValue(value)}},
			Match:     []wasmv1alpha1.TrafficSelector{{Context: wasmv1alpha1.Context(context), Ports: []wasmv1alpha1.PortSelector{{Number: port}}}},
			Placement: wasmv1alpha1.Placement{Before: before},
			VMConfig:  wasmv1alpha1.VMConfig{Env: []wasmv1alpha1.EnvVar{{Name: env, Value: &envValue}}},
		}
		if rules != "" {
			plugin.Spec.Rules = &apiextensionsv1.JSON{Raw: []byte(rules)}
		}
		in := translate.Input{Plugin: plugin, Options: translate.Options{RootNamespace: "istio-system"}}
		pair, err := translate.Translate(in)
		if err != nil {
			var invalid *translate.InvalidSpecError
			if errors.As(err, &invalid) && invalid.Field == "" {
				t.Errorf("names no field: %v", err)
			}
			if _, password, ok := strings.Cut(url, ":secret@"); ok && strings.Contains(err.Error(), password) && len(password) > 8 {
				t.Errorf("repeats the URL: %v", err)
			}
			return
		}
		checkInvariants(t, in, pair)
	})
}

func TestRefusesBulk(t *testing.T) {
	labels := map[string]wasmv1alpha1.LabelValue{}
	for i := range 5000 {
		labels[fmt.Sprintf("label-%d", i)] = "x"
	}
	tests := map[string]struct {
		change func(*wasmv1alpha1.WasmPlugin)
		want   string
	}{
		"5,000 labels": {func(p *wasmv1alpha1.WasmPlugin) { p.Spec.Selector.MatchLabels = labels }, "has 5000 labels"},
		"1 MB of rules": {func(p *wasmv1alpha1.WasmPlugin) {
			p.Spec.Rules = &apiextensionsv1.JSON{Raw: []byte(`{"a":"` + strings.Repeat("x", 1<<20) + `"}`)}
		}, "at most 262144"},
		"1 MB of text":   {func(p *wasmv1alpha1.WasmPlugin) { p.Spec.RulesText = strings.Repeat("x", 1<<20) }, "at most 262144"},
		"253 characters": {func(p *wasmv1alpha1.WasmPlugin) { p.Name = strings.Repeat("n", 253) }, "longer than 63"},
		"9,995 levels": {func(p *wasmv1alpha1.WasmPlugin) {
			p.Spec.Rules = &apiextensionsv1.JSON{Raw: []byte(`{"a":` + strings.Repeat("[", 9995) + strings.Repeat("]", 9995) + `}`)}
		}, "deeper than 64"},
		"a URL of 3,000":     {func(p *wasmv1alpha1.WasmPlugin) { p.Spec.URL = "https://h/" + strings.Repeat("x", 3000) }, "1 to 2048"},
		"control characters": {func(p *wasmv1alpha1.WasmPlugin) { p.Spec.URL = "https://h/\x1b[31m" }, "printable ASCII"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			plugin := newPlugin("shop", "auth")
			test.change(plugin)
			_, err := translate.Translate(translate.Input{Plugin: plugin})
			if err == nil || !strings.Contains(err.Error(), test.want) || len(err.Error()) > 500 {
				t.Errorf("got %v, want a sentence with %q", err, test.want)
			}
		})
	}
}

func newPlugin(namespace, name string) *wasmv1alpha1.WasmPlugin {
	return &wasmv1alpha1.WasmPlugin{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: "uid", Generation: 1},
		Spec: wasmv1alpha1.WasmPluginSpec{
			URL:      "https://plugins.example.com/a.wasm",
			Selector: wasmv1alpha1.WorkloadSelector{MatchLabels: map[string]wasmv1alpha1.LabelValue{"istio": "gateway"}},
		},
	}
}

func checkInvariants(t *testing.T, in translate.Input, pair translate.Pair) {
	t.Helper()
	again, err := translate.Translate(translate.Input{Plugin: in.Plugin.DeepCopy(), Options: in.Options})
	if err != nil || !reflect.DeepEqual(pair, again) {
		t.Errorf("the same input gives another pair: %v", err)
	}
	config, filter := decode(t, pair.Config), decode(t, pair.Filter)
	for _, half := range pair.EnvoyFilters() {
		object := half.Object
		if object.GetNamespace() != in.Plugin.Namespace || len(object.GetName()) > 253 || object.GetName() != half.Name {
			t.Errorf("is %s/%s", object.GetNamespace(), object.GetName())
		}
		if !metav1.IsControlledBy(object, in.Plugin) {
			t.Error("isn't controlled by the plugin")
		}
		if plugin, ok := translate.PluginName(half.Name); !ok || plugin != in.Plugin.Name {
			t.Errorf("%s maps back to %q", half.Name, plugin)
		}
	}
	if !proto.Equal(config.WorkloadSelector, filter.WorkloadSelector) {
		t.Error("the halves select different proxies")
	}
	if config.Priority != filter.Priority || config.Priority <= 0 || config.Priority%2 != 0 {
		t.Errorf("priorities %d and %d", config.Priority, filter.Priority)
	}
	checkDiscovery(t, in, config, filter)
}

// checkDiscovery decodes what Envoy will: the name that every filter discovers is the one that is delivered, once per
// listener, and the messages are valid by Envoy's own rules.
func checkDiscovery(t *testing.T, in translate.Input, config, filter *networking.EnvoyFilter) {
	t.Helper()
	delivered := &corev3.TypedExtensionConfig{}
	fromStruct(t, config.ConfigPatches[0], delivered)
	wasm := &httpwasmv3.Wasm{}
	if err := delivered.TypedConfig.UnmarshalTo(wasm); err != nil {
		t.Fatal(err)
	}
	remote := wasm.Config.GetVmConfig().Code.GetRemote()
	if remote.Sha256 == "" {
		remote.Sha256 = "set by the agent" // Envoy asks for it, and the agent puts in what it fetched
	}
	if err := wasm.ValidateAll(); err != nil {
		t.Errorf("Envoy would refuse the configuration: %v", err)
	}
	if spec := in.Plugin.Spec; spec.Rules != nil || spec.RulesText != "" {
		text := &wrapperspb.StringValue{}
		if err := wasm.Config.Configuration.UnmarshalTo(text); err != nil {
			t.Fatal(err)
		}
		if spec.Rules != nil && !json.Valid([]byte(text.Value)) {
			t.Errorf("rules arrive as %q", text.Value)
		}
	}
	seen := map[string]bool{}
	for _, patch := range filter.ConfigPatches {
		discovered := &hcmv3.HttpFilter{}
		fromStruct(t, patch, discovered)
		if err := discovered.ValidateAll(); err != nil {
			t.Errorf("Envoy would refuse the filter: %v", err)
		}
		if discovered.Name != delivered.Name {
			t.Errorf("discovers %s, delivered is %s", discovered.Name, delivered.Name)
		}
		place := fmt.Sprint(patch.Match.Context, patch.Match.GetListener().PortNumber)
		if seen[place] {
			t.Errorf("runs twice at %s", place)
		}
		seen[place] = true
	}
	if len(seen) == 0 {
		t.Error("runs nowhere")
	}
}

func decode(t *testing.T, half translate.EnvoyFilter) *networking.EnvoyFilter {
	t.Helper()
	raw, err := json.Marshal(half.Object.Object["spec"])
	if err != nil {
		t.Fatal(err)
	}
	spec := &networking.EnvoyFilter{}
	if err := protojson.Unmarshal(raw, spec); err != nil {
		t.Fatal(err)
	}
	return spec
}

func fromStruct(t *testing.T, patch *networking.EnvoyFilter_EnvoyConfigObjectPatch, into proto.Message) {
	t.Helper()
	raw, err := protojson.Marshal(patch.Patch.Value)
	if err != nil {
		t.Fatal(err)
	}
	if err := protojson.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}
