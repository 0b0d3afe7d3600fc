// SPDX-License-Identifier: Apache-2.0

package convert_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/solarmesh/wasmplugin-operator/internal/convert"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// TestSeedStaysWhatItIs compares the hand-written pair with the one that the operator would write of what became of it.
func TestSeedStaysWhatItIs(t *testing.T) {
	objects := readObjects(t, "testdata/import/seed.in.yaml")
	result := convert.Import(objects, convert.Options{RootNamespace: root, Selector: map[string]string{"istio": "ingressgateway"}})
	if len(result.Plugins) != 1 || len(result.Refused)+len(result.Skipped) > 0 {
		t.Fatalf("got %+v", result)
	}
	plugin := result.Plugins[0].Plugin
	if diff := cmp.Diff("ingressgateway", string(plugin.Spec.Selector.MatchLabels["istio"])); diff != "" || plugin.Spec.Scope != "" {
		t.Errorf("--selector has no effect: %s", diff)
	}
	written := translates(t, plugin)
	var seed any
	if err := json.Unmarshal(objects[1].JSON, &seed); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string][]any{
		"uri":     {"spec", "configPatches", 0, "patch", "value", "typed_config", "value", "config", "vm_config", "code", "remote", "http_uri", "uri"},
		"runtime": {"spec", "configPatches", 0, "patch", "value", "typed_config", "value", "config", "vm_config", "runtime"},
		"rules":   {"spec", "configPatches", 0, "patch", "value", "typed_config", "value", "config", "configuration", "value"},
	} {
		want := at(t, seed, path)
		ours := append([]any{}, path...)
		got := at(t, written.Config.Object.Object, append(ours[:6:6], ours[7:]...)) // without the TypedStruct's value
		if name == "rules" {
			want, got = decoded(t, want), decoded(t, got)
		}
		if !reflect.DeepEqual(want, got) {
			t.Errorf("%s: %v became %v", name, want, got)
		}
	}
	match := at(t, written.Filter.Object.Object, []any{"spec", "configPatches", 0, "match", "context"})
	if match != "GATEWAY" || len(translate.Roles) != 2 {
		t.Errorf("context: %v", match)
	}
}

func at(t *testing.T, value any, path []any) any {
	t.Helper()
	for _, step := range path {
		switch step := step.(type) {
		case string:
			fields, ok := value.(map[string]any)
			if !ok {
				t.Fatalf("no fields at %v of %v: %v", step, path, value)
			}
			value = fields[step]
		case int:
			list, ok := value.([]any)
			if !ok || len(list) <= step {
				t.Fatalf("no list at %v of %v: %v", step, path, value)
			}
			value = list[step]
		}
	}
	return value
}

func decoded(t *testing.T, text any) any {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(fmt.Sprint(text)), &value); err != nil {
		t.Fatalf("%v: %v", text, err)
	}
	return value
}

// TestConfigurationForms gives a plugin's configuration in each form, and looks what the plugin would get.
func TestConfigurationForms(t *testing.T) {
	const object = `{"apiVersion": "wasme.io/v1", "kind": "FilterDeployment", "metadata": {"name": "x", "namespace": "shop"}, "spec": {"filter": {"image": "registry.example.com/x:1", "config": %s}}}`
	text := func(value string) string {
		raw, err := json.Marshal(map[string]string{"@type": "type.googleapis.com/google.protobuf.StringValue", "value": value})
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	for name, test := range map[string]struct{ config, rules, text, refused string }{
		"JSON, sorted":            {config: text(`{"b": 1, "a": {"d": null, "c": "<>&"}}`), rules: `{"a":{"c":"<>&","d":null},"b":1}`},
		"64 bits":                 {config: text(`{"a": 9223372036854775807}`), rules: `{"a":9223372036854775807}`},
		"more than 64 bits":       {config: text(`{"a": 9223372036854775808}`), text: `{"a": 9223372036854775808}`},
		"a fraction":              {config: text(`{"a": 0.1}`), rules: `{"a":0.1}`},
		"a fraction of 20 digits": {config: text(`{"a": 0.10000000000000000555}`), text: `{"a": 0.10000000000000000555}`},
		"a huge exponent":         {config: text(`{"a": 1e999999999}`), text: `{"a": 1e999999999}`},
		"a tiny exponent":         {config: text(`{"a": 1e-999999999}`), text: `{"a": 1e-999999999}`},
		"zero of any exponent":    {config: text(`{"a": 0e-999999999}`), rules: `{"a":0e-999999999}`},
		"a list":                  {config: text(`[1]`), text: `[1]`},
		"no JSON":                 {config: text("a: 1\n"), text: "a: 1\n"},
		"nothing":                 {config: text("")},
		"a raw text":              {config: `"a: 1"`, text: "a: 1"},
		"bytes":                   {config: `{"@type": "type.googleapis.com/google.protobuf.BytesValue", "value": "eyJhIjogMX0="}`, rules: `{"a":1}`},
		"bytes that are no text":  {config: `{"@type": "type.googleapis.com/google.protobuf.BytesValue", "value": "/w=="}`, refused: "bytes that are no text"},
		"a Struct":                {config: `{"@type": "type.googleapis.com/google.protobuf.Struct", "value": {"b": 1, "a": [2]}}`, rules: `{"a":[2],"b":1}`},
		"another message":         {config: `{"@type": "type.googleapis.com/example.Secret", "value": "hunter2"}`, refused: `is of type "example.Secret"`},
		"nested too deep":         {config: text(strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100)), text: strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100)},
		"too long":                {config: text(strings.Repeat("x", 300<<10)), refused: "307200 bytes long"},
	} {
		t.Run(name, func(t *testing.T) {
			result := convert.Import(parseObjects(t, "x", fmt.Sprintf(object, test.config)), convert.Options{RootNamespace: root})
			if test.refused != "" {
				if len(result.Refused) != 1 || !strings.Contains(result.Refused[0].Why, test.refused) || strings.Contains(result.Refused[0].Why, "hunter2") {
					t.Errorf("got %+v", result)
				}
				return
			}
			if len(result.Plugins) != 1 {
				t.Fatalf("got %+v", result)
			}
			spec := result.Plugins[0].Plugin.Spec
			rules := ""
			if spec.Rules != nil {
				rules = string(spec.Rules.Raw)
			}
			if rules != test.rules || spec.RulesText != test.text {
				t.Errorf("got rules %s and text %q", rules, spec.RulesText)
			}
			translates(t, result.Plugins[0].Plugin)
		})
	}
}

// TestNames are unique, valid, and not those of what stands there.
func TestNames(t *testing.T) {
	const pair = "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: %s, namespace: shop}\nspec: {url: \"oci://registry.example.com/x:1\"}\n"
	var documents []string
	for _, name := range []string{"auth", "auth", "with-filter", strings.Repeat("a", 70), strings.Repeat("a", 70), "Upper_Case", `"--"`} {
		documents = append(documents, fmt.Sprintf(pair, name))
	}
	documents = append(documents, "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: with-filter-config, namespace: shop}\n",
		"apiVersion: wasm.solarmesh.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: auth-2, namespace: shop}\n")
	var names []string
	for _, plugin := range convert.Import(parseObjects(t, "x", strings.Join(documents, "\n---\n")), convert.Options{RootNamespace: root}).Plugins {
		names = append(names, plugin.Plugin.Name)
		translates(t, plugin.Plugin)
	}
	want := []string{"auth", "auth-3", "with-filter-2", strings.Repeat("a", 63), strings.Repeat("a", 61) + "-2", "upper-case", "plugin"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// FuzzImport converts any object: what comes out is what the operator takes, and it ends.
func FuzzImport(f *testing.F) {
	for _, kind := range []string{
		"networking.istio.io/v1 EnvoyFilter", "extensions.istio.io/v1alpha1 WasmPlugin", "extensions.istio.io/v1alpha1 TrafficExtension",
		"extensions.higress.io/v1alpha1 WasmPlugin", "wasme.io/v1 FilterDeployment", "microservice.slime.io/v1alpha1 PluginManager", "microservice.slime.io/v1alpha1 EnvoyPlugin",
	} {
		f.Add(kind, []byte(`{"metadata": {"labels": {"a": "b"}}, "spec": {"url": "x.example.com/y", "match": [{"mode": "CLIENT"}], "plugin": [{"enable": true, "wasm": {"url": "x"}}]}}`))
		f.Add(kind, []byte(`{"spec": {"configPatches": [{"applyTo": "HTTP_FILTER", "patch": {"value": {"name": "x", "typed_config": {"@type": "a/b.wasm.v3.Wasm", "config": null}}}}], "filter": []}}`))
	}
	f.Fuzz(func(t *testing.T, kind string, content []byte) {
		version, name, _ := strings.Cut(kind, " ")
		object := convert.Object{Place: "x", APIVersion: version, Kind: name, Namespace: "shop", Name: "x", JSON: content}
		result := convert.Import([]convert.Object{object}, convert.Options{RootNamespace: root})
		for _, plugin := range result.Plugins {
			translates(t, plugin.Plugin)
		}
		if _, err := convert.YAML(result.Plugins); err != nil {
			t.Error(err)
		}
	})
}
