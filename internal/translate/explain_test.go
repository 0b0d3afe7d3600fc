// SPDX-License-Identifier: Apache-2.0

package translate_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// TestWhySaysWhatMatchesDecides tries every combination of what both look at.
func TestWhySaysWhatMatchesDecides(t *testing.T) {
	reaches := []translate.Reach{
		{Types: []string{"router"}},
		{Namespace: "shop", Types: []string{"router", "sidecar"}, Labels: map[string]string{"a": "b", "c": "d"}, MinimumMinor: 21, Revision: "blue"},
		{Namespace: "shop", Types: []string{"router", "waypoint"}, Gateways: []string{"f", "g"}},
		{Namespace: "shop", Types: []string{"waypoint"}, Waypoints: true, MinimumMinor: 27},
		{Types: []string{"sidecar", "waypoint"}},
	}
	labels := []map[string]string{
		nil,
		{"a": "b"},
		{"a": "b", "c": "d"},
		{"a": "x", "c": "d"},
		{"gateway.networking.k8s.io/gateway-name": "g"},
		{"gateway.networking.k8s.io/gateway-name": "h"},
	}
	matched, all := 0, 0
	for _, reach := range reaches {
		for _, namespace := range []string{"shop", "other"} {
			for _, kind := range []string{"router", "sidecar", "waypoint", "ztunnel"} {
				for _, version := range []string{"1.20.9", "1.31.0", "1.31-alpha.0f1e2d", "unknown"} {
					for _, revision := range []string{"", "blue", "green"} {
						for _, has := range labels {
							proxy := translate.Proxy{Namespace: namespace, Type: kind, Version: version, Revision: revision, Labels: has}
							why, matches := reach.Why(proxy), reach.Matches(proxy)
							all++
							if matches {
								matched++
							}
							if matches != (len(why) == 0) {
								t.Fatalf("%+v, %+v: matches %v, why %v", reach, proxy, matches, why)
							}
							for _, one := range why {
								if one.Kind == "" || one.Found == "" {
									t.Fatalf("%+v, %+v: why %q", reach, proxy, why)
								}
							}
						}
					}
				}
			}
		}
	}
	if matched == 0 || matched == all {
		t.Errorf("%d of %d match", matched, all)
	}
}

func TestWhy(t *testing.T) {
	reach := translate.Reach{Namespace: "shop", Types: []string{"router"}, Labels: map[string]string{"istio": "gw"}, MinimumMinor: 21}
	why := reach.Why(translate.Proxy{Namespace: "other", Type: "sidecar", Version: "1.20.1", Labels: map[string]string{"istio": "x"}})
	var got []string
	for _, one := range why {
		got = append(got, one.String())
	}
	want := "not a router: type sidecar|not in namespace shop: namespace other|no label istio=gw: istio=x|older than Istio 1.21: version 1.20.1"
	if text := strings.Join(got, "|"); text != want {
		t.Errorf("why %s", text)
	}
	if !reach.TooOld("1.20.1") || reach.TooOld("1.21.0") {
		t.Error("another age")
	}
}

func TestPartOf(t *testing.T) {
	tests := map[string]string{
		"wasm.solarmesh.io/shop.auth":                            "base 0",
		"wasm.solarmesh.io/shop.auth~network":                    "base 0",
		"wasm.solarmesh.io/shop.auth~e4bafe810544":               "base 0",
		"wasm.solarmesh.io/shop.auth~e4bafe810544.12":            "override 12",
		"wasm.solarmesh.io/shop.auth~trial~6384d1c73dff~1":       "trial 0",
		"wasm.solarmesh.io/shop.auth~trial~6384d1c73dff~2-a1b.2": "trial 2",
		"wasm.solarmesh.io/shop.auth~canary~dd437aa0dc50~1":      "canary 0",
		"wasm.solarmesh.io/shop.auth~canary~dd437aa0dc50~10.3":   "canary 3",
		"wasm.solarmesh.io/shop.auth.1":                          "",
		"wasm.solarmesh.io/shop.auth2":                           "",
		"wasm.solarmesh.io/shop.auth-more~e4bafe810544":          "",
		"wasm.solarmesh.io/shop.auth~more":                       "",
		"wasm.solarmesh.io/other.auth":                           "",
		"extensions.istio.io/wasmplugin/shop.auth":               "",
		"shop.auth": "",
		"":          "",
		"wasm.solarmesh.io/shop.auth~trial~6384d1c73dff~1~gateway":  "",
		"wasm.solarmesh.io/shop.auth~e4bafe810544~e4bafe810544.1.2": "",
	}
	for name, want := range tests {
		part, index, ok := translate.PartOf("shop", "auth", name)
		got := strings.TrimSpace(string(part) + " " + index)
		if got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v", name, got, ok)
		}
	}
}

// TestPlaceIsThatOfTheEnvoyFilter compares with what is rendered.
func TestPlaceIsThatOfTheEnvoyFilter(t *testing.T) {
	ten := int32(10)
	for _, spec := range []wasmv1alpha1.WasmPluginSpec{
		{},
		{Phase: wasmv1alpha1.PhaseAuthn, Priority: &ten},
		{Placement: wasmv1alpha1.Placement{After: "istio.stats"}},
		{Type: wasmv1alpha1.PluginTypeNetwork},
	} {
		spec.URL, spec.Selector.MatchLabels = "oci://example.com/a:1", map[string]wasmv1alpha1.LabelValue{"a": "b"}
		plugin := &wasmv1alpha1.WasmPlugin{Spec: spec}
		plugin.Namespace, plugin.Name, plugin.UID, plugin.Generation = "shop", "auth", "1", 1
		pair, err := translate.Translate(translate.Input{Plugin: plugin, Options: translate.Options{RootNamespace: "istio-system", ResolveModules: true}})
		if err != nil {
			t.Fatal(err)
		}
		priority, _, _ := unstructured.NestedFieldNoCopy(pair.Filter.Object.Object, "spec", "priority")
		place := translate.PlaceOf(plugin)
		if got, ok := toInt(priority); !ok || got != int64(place.Packed) {
			t.Errorf("%+v: priority %v, place %+v", spec, priority, place)
		}
		patches, _, _ := unstructured.NestedSlice(pair.Filter.Object.Object, "spec", "configPatches")
		operation, _, _ := unstructured.NestedString(patches[0].(map[string]any), "patch", "operation")
		if operation != place.Operation {
			t.Errorf("%+v: operation %s, place %+v", spec, operation, place)
		}
		if place.Certain == (spec.Placement.After != "") {
			t.Errorf("%+v: certain is %v", spec, place.Certain)
		}
	}
}

func toInt(value any) (int64, bool) {
	switch value := value.(type) {
	case int64:
		return value, true
	case float64:
		return int64(value), true
	default:
		return 0, false
	}
}
