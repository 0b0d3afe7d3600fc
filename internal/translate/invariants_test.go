// SPDX-License-Identifier: Apache-2.0

package translate_test

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/rules"
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
		for _, text := range []*string{&url, &namespace, &name, &rules, &text, &key, &value, &context, &phase, &before, &env, &envValue} {
			*text = strings.ToValidUTF8(*text, "?") // as the API server's decoder does
		}
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
		tryFuzzed(t, plugin, url)
	})
}

// FuzzOverrides is about what is made of several configurations and places.
func FuzzOverrides(f *testing.F) {
	f.Add("shop.example.com", "*.example.com", "admin", `{"a":1}`, `{"b":null}`, "", "HTTP", "FAIL_OPEN", "Gateway", uint8(0))
	f.Add("a", "a", "", `{}`, `[]`, "1.25", "NETWORK", "FAIL_RELOAD", "GatewayClass", uint8(7))
	f.Add("*", "A:80", "x", ``, `{`, "1.9", "", "", "Service", uint8(1))
	f.Fuzz(func(t *testing.T, host, other, route, rules, source, minimum, kind, strategy, target string, choice uint8) {
		for _, text := range []*string{&host, &other, &route, &rules, &source, &minimum, &kind, &strategy, &target} {
			*text = strings.ToValidUTF8(*text, "?")
		}
		plugin := newPlugin("shop", "a")
		spec := &plugin.Spec
		spec.Type, spec.FailStrategy, spec.ProxyVersion.Minimum = wasmv1alpha1.PluginType(kind), wasmv1alpha1.FailStrategy(strategy), minimum
		from := []wasmv1alpha1.RulesSource{{ConfigMapKeyRef: wasmv1alpha1.RulesKeyReference{KeyReference: wasmv1alpha1.KeyReference{Name: "c", Key: "k"}}}}
		if choice&1 != 0 {
			spec.RulesFrom = from
		}
		if choice&2 != 0 {
			group := "gateway.networking.k8s.io"
			spec.Selector, spec.TargetRefs = wasmv1alpha1.WorkloadSelector{}, []wasmv1alpha1.TargetReference{{Group: &group, Kind: target, Name: host}}
		}
		if choice&4 == 0 {
			spec.Overrides = []wasmv1alpha1.Override{
				{Match: wasmv1alpha1.OverrideMatch{Hosts: []string{host}}, Rules: &apiextensionsv1.JSON{Raw: []byte(rules)}},
				{Match: wasmv1alpha1.OverrideMatch{Hosts: []string{other}, Routes: []string{route}}, RulesFrom: from},
				{Match: wasmv1alpha1.OverrideMatch{Routes: []string{route, route + "2"}}, Mode: wasmv1alpha1.OverrideDisable},
			}
		}
		tryFuzzed(t, plugin, "", []byte(source))
	})
}

// tryFuzzed holds what comes of a plugin against what must be true of any pair, or of any refusal. sources is what the
// key k of ConfigMap c holds.
func tryFuzzed(t *testing.T, plugin *wasmv1alpha1.WasmPlugin, url string, sources ...[]byte) {
	t.Helper()
	in := translate.Input{Plugin: plugin, Options: translate.Options{RootNamespace: "istio-system"}, Sources: rules.Sources{}}
	for _, source := range sources {
		in.Sources[rules.Object{Kind: rules.ConfigMap, Name: "c"}] = rules.Content{Data: map[string][]byte{"k": source}}
	}
	pair, err := translate.Translate(in)
	if err == nil {
		checkInvariants(t, in, pair)
		return
	}
	var invalid *translate.InvalidSpecError
	if !errors.As(err, &invalid) || invalid.Field == "" {
		t.Errorf("names no field: %v", err)
	}
	if _, password, ok := strings.Cut(url, ":secret@"); ok && strings.Contains(err.Error(), password) && len(password) > 8 {
		t.Errorf("repeats the URL: %v", err)
	}
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
	copied := in
	copied.Plugin = in.Plugin.DeepCopy()
	again, err := translate.Translate(copied)
	if err != nil || !reflect.DeepEqual(pair, again) {
		t.Errorf("the same input gives another pair: %v", err)
	}
	config, filter := decode(t, pair.Config), decode(t, pair.Filter)
	checkObjects(t, in, pair, translate.Roles)
	if !proto.Equal(config.WorkloadSelector, filter.WorkloadSelector) {
		t.Error("the halves select different proxies")
	}
	if config.Priority != filter.Priority || config.Priority <= 0 || config.Priority%2 != 0 {
		t.Errorf("priorities %d and %d", config.Priority, filter.Priority)
	}
	checkGuards(t, config, filter)
	instances := checkDelivered(t, in, pair, config)
	checkFilters(t, filter, instances, in.Plugin.Spec.Activation.Mode == wasmv1alpha1.ActivationOff)
	checkExpectation(t, pair)
	checkTrial(t, in, pair)
}

// checkObjects sees that both halves are the plugin's, whatever they hold.
func checkObjects(t *testing.T, in translate.Input, pair translate.Pair, roles []wasmv1alpha1.EnvoyFilterRole) {
	t.Helper()
	for i, half := range pair.EnvoyFilters() {
		object := half.Object
		if object.GetNamespace() != in.Plugin.Namespace || len(object.GetName()) > 253 || object.GetName() != half.Name {
			t.Errorf("is %s/%s", object.GetNamespace(), object.GetName())
		}
		if half.Role != roles[i] || half.Name != translate.EnvoyFilterName(in.Plugin.Name, roles[i]) || half.Hash == "" {
			t.Errorf("%s is a %s with the hash %q", half.Name, half.Role, half.Hash)
		}
		if !maps.Equal(object.GetLabels(), translate.Labels(in.Plugin, roles[i])) {
			t.Errorf("%s has the labels %v", half.Name, object.GetLabels())
		}
		if !metav1.IsControlledBy(object, in.Plugin) {
			t.Error("isn't controlled by the plugin")
		}
		if plugin, ok := translate.PluginName(half.Name); !ok || plugin != in.Plugin.Name {
			t.Errorf("%s maps back to %q", half.Name, plugin)
		}
	}
}
