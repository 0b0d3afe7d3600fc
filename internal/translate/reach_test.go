// SPDX-License-Identifier: Apache-2.0

package translate_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

var (
	gatewayAPI = "gateway.networking.k8s.io"
	byName     = wasmv1alpha1.TargetReference{Group: &gatewayAPI, Kind: "Gateway", Name: "g"}
	byClass    = wasmv1alpha1.TargetReference{Group: &gatewayAPI, Kind: "GatewayClass", Name: "istio-waypoint"}
)

func TestReachOf(t *testing.T) {
	type spec = *wasmv1alpha1.WasmPluginSpec
	labels := map[string]string{"istio": "gateway"}
	targets := func(s spec, refs ...wasmv1alpha1.TargetReference) {
		s.Selector, s.TargetRefs = wasmv1alpha1.WorkloadSelector{}, refs
	}
	match := func(contexts ...wasmv1alpha1.Context) func(spec) {
		return func(s spec) {
			for _, context := range contexts {
				s.Match = append(s.Match, wasmv1alpha1.TrafficSelector{Context: context})
			}
		}
	}
	tests := map[string]struct {
		namespace string
		change    func(spec)
		want      translate.Reach
	}{
		"selector":     {"shop", func(spec) {}, translate.Reach{Namespace: "shop", Labels: labels, Types: []string{"router"}}},
		"everywhere":   {"istio-system", func(spec) {}, translate.Reach{Labels: labels, Types: []string{"router"}}},
		"sidecars":     {"shop", match("SIDECAR_OUTBOUND", "SIDECAR_INBOUND"), translate.Reach{Namespace: "shop", Labels: labels, Types: []string{"sidecar"}}},
		"any context":  {"shop", match("ANY"), translate.Reach{Namespace: "shop", Labels: labels, Types: []string{"router", "sidecar"}}},
		"two contexts": {"shop", match("SIDECAR_INBOUND", "GATEWAY"), translate.Reach{Namespace: "shop", Labels: labels, Types: []string{"router", "sidecar"}}},
		"a namespace": {
			"shop", func(s spec) { s.Selector, s.Scope = wasmv1alpha1.WorkloadSelector{}, wasmv1alpha1.ScopeNamespace },
			translate.Reach{Namespace: "shop", Types: []string{"router"}},
		},
		"gateways": {"shop", func(s spec) {
			other := byName
			other.Name = "f"
			targets(s, byName, other)
		}, translate.Reach{Namespace: "shop", Gateways: []string{"f", "g"}, Types: []string{"router", "waypoint"}, MinimumMinor: 27}},
		"a gateway of the root namespace": {
			"istio-system", func(s spec) { targets(s, byName) },
			translate.Reach{Namespace: "istio-system", Gateways: []string{"g"}, Types: []string{"router", "waypoint"}, MinimumMinor: 27},
		},
		"a gateway's port": {"shop", func(s spec) {
			targets(s, byName)
			s.Match = []wasmv1alpha1.TrafficSelector{{Ports: []wasmv1alpha1.PortSelector{{Number: 7}}}}
		}, translate.Reach{Namespace: "shop", Gateways: []string{"g"}, Types: []string{"router"}, MinimumMinor: 27}},
		"waypoints": {
			"istio-system", func(s spec) { targets(s, byClass) },
			translate.Reach{Waypoints: true, Types: []string{"waypoint"}, MinimumMinor: 27},
		},
		"waypoints and a gateway": {
			"istio-system", func(s spec) { targets(s, byClass, byName) },
			translate.Reach{Namespace: "istio-system", Gateways: []string{"g"}, Waypoints: true, Types: []string{"router", "waypoint"}, MinimumMinor: 27},
		},
		"version": {"shop", func(s spec) { s.ProxyVersion.Minimum = "1.22" }, translate.Reach{Namespace: "shop", Labels: labels, Types: []string{"router"}, MinimumMinor: 22}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			plugin := newPlugin(test.namespace, "auth")
			plugin.Labels, test.want.Revision = map[string]string{"istio.io/rev": "default", "a": "b"}, "default"
			test.change(&plugin.Spec)
			pair, err := translate.Translate(translate.Input{Plugin: plugin, Options: translate.Options{RootNamespace: "istio-system"}})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, pair.Expectation.Reach); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestReachMatches(t *testing.T) {
	type (
		reach = translate.Reach
		proxy = translate.Proxy
	)
	labels := map[string]string{"app": "a"}
	named := map[string]string{"app": "a", "gateway.networking.k8s.io/gateway-name": "g"}
	selector := reach{Namespace: "shop", Labels: labels, Types: []string{"router", "sidecar"}}
	gateways := reach{Namespace: "shop", Gateways: []string{"f", "g"}, Types: []string{"router", "waypoint"}, MinimumMinor: 27}
	waypoints := reach{Waypoints: true, Types: []string{"waypoint"}}
	both := reach{Namespace: "mesh", Gateways: []string{"g"}, Waypoints: true, Types: []string{"router", "waypoint"}}
	tests := map[string]struct {
		reach reach
		proxy proxy
		want  bool
	}{
		"labels":                         {selector, proxy{Namespace: "shop", Type: "router", Labels: labels}, true},
		"a sidecar":                      {selector, proxy{Namespace: "shop", Type: "sidecar", Labels: labels}, true},
		"another type":                   {reach{Types: []string{"sidecar"}}, proxy{Type: "router"}, false},
		"ztunnel":                        {selector, proxy{Namespace: "shop", Type: "ztunnel", Labels: labels}, false},
		"other labels":                   {selector, proxy{Namespace: "shop", Type: "router", Labels: map[string]string{"app": "b"}}, false},
		"no labels":                      {selector, proxy{Namespace: "shop", Type: "router"}, false},
		"a label without a value":        {reach{Labels: map[string]string{"app": ""}, Types: []string{"router"}}, proxy{Type: "router"}, false},
		"another namespace":              {selector, proxy{Namespace: "other", Type: "router", Labels: labels}, false},
		"every namespace":                {reach{Labels: labels, Types: []string{"router"}}, proxy{Namespace: "other", Type: "router", Labels: labels}, true},
		"a whole namespace":              {reach{Namespace: "shop", Types: []string{"router"}}, proxy{Namespace: "shop", Type: "router"}, true},
		"a selector and a Gateway":       {selector, proxy{Namespace: "shop", Type: "router", Labels: named}, true},
		"a selector and a waypoint":      {reach{Types: []string{"waypoint"}}, proxy{Type: "waypoint", Labels: named}, false},
		"a Gateway":                      {gateways, proxy{Namespace: "shop", Type: "router", Version: "1.31.0", Labels: named}, true},
		"a waypoint":                     {gateways, proxy{Namespace: "shop", Type: "waypoint", Version: "1.31.0", Labels: named}, true},
		"another Gateway":                {reach{Gateways: []string{"f"}, Types: []string{"router"}}, proxy{Type: "router", Labels: named}, false},
		"one of another namespace":       {gateways, proxy{Namespace: "other", Type: "router", Version: "1.31.0", Labels: named}, false},
		"no Gateway":                     {gateways, proxy{Namespace: "shop", Type: "router", Version: "1.31.0", Labels: labels}, false},
		"an old Gateway":                 {gateways, proxy{Namespace: "shop", Type: "router", Version: "1.26.9", Labels: named}, false},
		"all waypoints":                  {waypoints, proxy{Namespace: "other", Type: "waypoint", Labels: named}, true},
		"all waypoints, and one without": {waypoints, proxy{Namespace: "other", Type: "waypoint"}, false},
		"both: a waypoint":               {both, proxy{Namespace: "other", Type: "waypoint", Labels: named}, true},
		"both: a Gateway":                {both, proxy{Namespace: "mesh", Type: "router", Labels: named}, true},
		"both: one of another namespace": {both, proxy{Namespace: "other", Type: "router", Labels: named}, false},
		"its revision":                   {reach{Types: []string{"router"}, Revision: "r"}, proxy{Type: "router", Revision: "r"}, true},
		"another revision":               {reach{Types: []string{"router"}, Revision: "r"}, proxy{Type: "router", Revision: "s"}, false},
		"an unknown revision":            {reach{Types: []string{"router"}, Revision: "r"}, proxy{Type: "router"}, true},
		"any revision":                   {reach{Types: []string{"router"}}, proxy{Type: "router", Revision: "s"}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := test.reach.Matches(test.proxy); got != test.want {
				t.Errorf("%+v matches %+v: %t", test.reach, test.proxy, got)
			}
		})
	}
}

func TestReachEqual(t *testing.T) {
	whole := translate.Reach{
		Namespace: "shop", Labels: map[string]string{"a": "b"}, Gateways: []string{"g"}, Waypoints: true,
		Types: []string{"router"}, MinimumMinor: 27, Revision: "r",
	}
	raw, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	var read translate.Reach
	if err := json.Unmarshal(raw, &read); err != nil || !read.Equal(whole) {
		t.Errorf("%s is read as %+v, %v", raw, read, err)
	}
	for i := range reflect.TypeFor[translate.Reach]().NumField() {
		other := whole
		reflect.ValueOf(&other).Elem().Field(i).SetZero()
		if other.Equal(whole) {
			t.Errorf("%+v is equal to %+v", other, whole)
		}
	}
}
