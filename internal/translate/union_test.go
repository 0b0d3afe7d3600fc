// SPDX-License-Identifier: Apache-2.0

package translate_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/rules"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// withOverrides has a host for each text of rules.
func withOverrides(texts ...string) *wasmv1alpha1.WasmPlugin {
	plugin := newPlugin("shop", "auth")
	for i, text := range texts {
		plugin.Spec.Overrides = append(plugin.Spec.Overrides, wasmv1alpha1.Override{
			Match: wasmv1alpha1.OverrideMatch{Hosts: []string{fmt.Sprintf("h%d.example.com", i)}},
			Rules: &apiextensionsv1.JSON{Raw: []byte(text)},
		})
	}
	return plugin
}

func translated(t *testing.T, plugin *wasmv1alpha1.WasmPlugin) translate.Pair {
	t.Helper()
	pair, err := translate.Translate(translate.Input{Plugin: plugin})
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func TestUnion(t *testing.T) {
	before, after := translated(t, withOverrides(`{"a":1}`, `{"b":2}`)).Config, translated(t, withOverrides(`{"a":1}`)).Config
	union, err := translate.Union(after, before.Object)
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Sorted(slices.Values(slices.Concat(before.Instances, after.Instances)))
	if !slices.Equal(union.Instances, want) || len(slices.Compact(want)) != 5 {
		t.Errorf("got %v, want %v", union.Instances, want)
	}
	if got := checkDelivered(t, translate.Input{Plugin: newPlugin("shop", "auth")}, translate.Pair{Config: union}, decode(t, union)); len(got) != 5 {
		t.Errorf("delivers %v", got)
	}
	again, err := translate.Union(after, union.Object)
	if err != nil || again.Hash != union.Hash {
		t.Errorf("a union with itself is another: %v", err)
	}
	same, err := translate.Union(after, after.Object)
	if err != nil || same.Hash != after.Hash {
		t.Errorf("nothing was to be kept: %v", err)
	}
	if union.Hash == after.Hash || union.Hash == before.Hash {
		t.Error("the union has the hash of one of its parts")
	}
}

// TestNamesOfInstances sees when names stay: then nothing but configurations changes, and each request meets the old rules
// or the new ones. Where routes or chains change, all names do, so that a chain and routes of different times have nothing
// to do with each other.
func TestNamesOfInstances(t *testing.T) {
	pair := func(change func(*wasmv1alpha1.WasmPluginSpec), texts ...string) translate.Pair {
		plugin := withOverrides(texts...)
		if change != nil {
			change(&plugin.Spec)
		}
		return translated(t, plugin)
	}
	before := pair(nil, `{"a":1}`, `{"b":2}`, `{"a":1}`)
	tests := map[string]struct {
		after translate.Pair
		stay  bool
	}{
		"new base rules": {pair(func(spec *wasmv1alpha1.WasmPluginSpec) {
			spec.Rules = &apiextensionsv1.JSON{Raw: []byte(`{"a":1}`)}
		}, `{"a":1}`, `{"b":2}`, `{"a":1}`), true},
		"new rules of an override":     {pair(nil, `{"a":1}`, `{"b":3}`, `{"a":1}`), true},
		"new rules of those who share": {pair(nil, `{"a":7}`, `{"b":2}`, `{"a":7}`), true},
		"another order": {pair(func(spec *wasmv1alpha1.WasmPluginSpec) {
			slices.Reverse(spec.Overrides)
			spec.Overrides[0].Rules.Raw = []byte(`{"a":8}`)
			spec.Overrides[2].Rules.Raw = []byte(`{"a":8}`)
		}, `{"a":1}`, `{"b":2}`, `{"a":1}`), true},
		"two share no more":  {pair(nil, `{"a":1}`, `{"b":2}`, `{"c":3}`), false},
		"two begin to share": {pair(nil, `{"a":1}`, `{"a":1}`, `{"a":1}`), false},
		"an override less":   {pair(nil, `{"a":1}`, `{"b":2}`), false},
		"no overrides":       {pair(nil), false},
		"another host": {pair(func(spec *wasmv1alpha1.WasmPluginSpec) {
			spec.Overrides[1].Match.Hosts = []string{"other.example.com"}
		}, `{"a":1}`, `{"b":2}`, `{"a":1}`), false},
		"disabled": {pair(func(spec *wasmv1alpha1.WasmPluginSpec) {
			spec.Overrides[1].Rules, spec.Overrides[1].Mode = nil, wasmv1alpha1.OverrideDisable
		}, `{"a":1}`, `{"b":2}`, `{"a":1}`), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			common := slices.ContainsFunc(test.after.Config.Instances, func(instance string) bool {
				return slices.Contains(before.Config.Instances, instance)
			})
			same := slices.Equal(test.after.Config.Instances, before.Config.Instances)
			if same != test.stay || common != test.stay || (test.after.Filter.Hash == before.Filter.Hash) != test.stay {
				t.Errorf("%v became %v", before.Config.Instances, test.after.Config.Instances)
			}
			if test.after.Config.Hash == before.Config.Hash {
				t.Error("the configuration is the same")
			}
		})
	}
}

func TestRefusesWhatIsTooLargeToStore(t *testing.T) {
	var texts []string
	for i := range 6 {
		texts = append(texts, fmt.Sprintf(`{"n":%d,"x":"%s"}`, i, strings.Repeat("x", 200<<10)))
	}
	_, err := translate.Translate(translate.Input{Plugin: withOverrides(texts...)})
	if err == nil || !strings.Contains(err.Error(), "at most 1048576 can be stored") || len(err.Error()) > 300 {
		t.Errorf("got %v", err)
	}
}

// TestRefusesWhatManyPlacesMake: each place names every instance. That is refused before it is rendered.
func TestRefusesWhatManyPlacesMake(t *testing.T) {
	var texts []string
	for i := range 64 {
		texts = append(texts, fmt.Sprintf(`{"n":%d}`, i))
	}
	plugin := withOverrides(texts...)
	for i := range plugin.Spec.Overrides {
		var hosts []string
		for j := range 8 {
			hosts = append(hosts, fmt.Sprintf("h%d-%d.example.com", i, j))
		}
		plugin.Spec.Overrides[i].Match.Hosts = hosts
	}
	_, err := translate.Translate(translate.Input{Plugin: plugin})
	if err == nil || !strings.Contains(err.Error(), " or more bytes, at most 1048576 can be stored") {
		t.Errorf("got %v", err)
	}
}

func TestReferences(t *testing.T) {
	plugin := newPlugin("shop", "auth")
	source := func(name, key string) wasmv1alpha1.RulesKeyReference {
		return wasmv1alpha1.RulesKeyReference{KeyReference: wasmv1alpha1.KeyReference{Name: name, Key: key}}
	}
	plugin.Spec.RulesFrom = []wasmv1alpha1.RulesSource{
		{SecretKeyRef: source("b", "x")}, {ConfigMapKeyRef: source("b", "x")}, {ConfigMapKeyRef: source("b", "y")},
	}
	plugin.Spec.Overrides = []wasmv1alpha1.Override{{RulesFrom: []wasmv1alpha1.RulesSource{{ConfigMapKeyRef: source("a", "x")}}}}
	key := wasmv1alpha1.KeyReference{Name: "signer", Key: "x"}
	plugin.Spec.Verification = wasmv1alpha1.Verification{
		Keys:      []wasmv1alpha1.VerificationKey{{ConfigMapKeyRef: key}, {SecretKeyRef: wasmv1alpha1.KeyReference{Name: "private"}}, {Inline: "key"}},
		TrustRoot: wasmv1alpha1.TrustRoot{ConfigMapKeyRef: wasmv1alpha1.KeyReference{Name: "root", Key: "x"}},
	}
	want := []rules.Object{
		{Kind: rules.ConfigMap, Name: "a"},
		{Kind: rules.ConfigMap, Name: "b"},
		{Kind: rules.ConfigMap, Name: "root"},
		{Kind: rules.ConfigMap, Name: "signer"},
		{Kind: rules.Secret, Name: "b"},
	}
	if got := translate.References(plugin.Spec); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for i := range 70 {
		plugin.Spec.RulesFrom = append(plugin.Spec.RulesFrom, wasmv1alpha1.RulesSource{ConfigMapKeyRef: source(fmt.Sprint("c", i), "x")})
	}
	plugin.Spec.Overrides = nil
	_, err := translate.Translate(translate.Input{Plugin: plugin})
	if err == nil || !strings.Contains(err.Error(), "at most 64 are followed") {
		t.Errorf("got %v", err)
	}
}
