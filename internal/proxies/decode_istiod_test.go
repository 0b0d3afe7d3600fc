// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	httpwasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	networkwasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/wasm/v3"
	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// readFixture reads what an istiod with all kinds of clients says, this operator in a Pod with labels among them.
func readFixture(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestDecodeProxiesOfAMesh(t *testing.T) {
	proxies, err := DecodeProxies(readFixture(t, "adsz.json"), readFixture(t, "syncz.json"))
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, proxy := range proxies {
		ids = append(ids, proxy.ID)
		if twice := proxy.ID == "twice-0.shop" || proxy.ID == "twice-1.shop"; proxy.Ambiguous != twice {
			t.Errorf("%s: ambiguous is %v", proxy.ID, proxy.Ambiguous)
		}
	}
	want := []string{"gw-7d9c.istio-system", "cart-0.shop", "twice-0.shop", "twice-1.shop", "waypoint-5f.shop"}
	if diff := cmp.Diff(want, ids); diff != "" {
		t.Fatalf("other proxies:\n%s", diff)
	}
	gateway := Proxy{
		ID: "gw-7d9c.istio-system", Cluster: "Kubernetes", Namespace: "istio-system", Type: "router", Version: "1.31.0",
		Labels:      map[string]string{"istio": "ingressgateway", "topology.istio.io/cluster": "Kubernetes"},
		ConnectedAt: time.Date(2026, 11, 28, 3, 0, 30, 500_000_000, time.UTC), Connection: "gw-7d9c.istio-system-12",
		Watches: map[string]bool{"shop.auth": true, "shop.limit": true},
		Extensions: TypeState{
			Sent:  "2026-11-28T03:00:00Z/181a2b3c4d-0000-4000-8000-000000000018",
			Acked: "2026-11-28T03:00:00Z/176f9619ff-8b86-4d01-b42d-00cf4fc964fe",
			Error: "Unable to create Wasm plugin shop.auth",
		},
		Listeners: TypeState{
			Sent:  "2026-11-28T03:00:00Z/176f9619ff-8b86-4d01-b42d-00cf4fc964ff",
			Acked: "2026-11-28T03:00:00Z/176f9619ff-8b86-4d01-b42d-00cf4fc964ff",
		},
		Push: 18, Statistics: "10.0.0.1:15090",
	}
	if diff := cmp.Diff(gateway, proxies[0]); diff != "" {
		t.Errorf("another gateway:\n%s", diff)
	}
}

func TestDecodeExtensionsOfADump(t *testing.T) {
	extensions, err := DecodeExtensions(readFixture(t, "config_dump.json"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"shop.auth", "shop.auth-closed", "shop.tcp"}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(extensions))); diff != "" {
		t.Fatalf("other names:\n%s", diff)
	}
	if _, err := translate.Digest(extensions); err != nil {
		t.Errorf("no digest: %v", err)
	}
}

// TestDigestSurvivesADump writes a dump as istiod does: the digest of what is read is that of what is sent.
func TestDigestSurvivesADump(t *testing.T) {
	plugin := &wasmv3.PluginConfig{
		Name: "shop.auth", RootId: "auth", FailurePolicy: wasmv3.FailurePolicy_FAIL_CLOSED,
		Vm:            &wasmv3.PluginConfig_VmConfig{VmConfig: &wasmv3.VmConfig{Runtime: "envoy.wasm.runtime.v8"}},
		Configuration: packed(t, wrapperspb.String("{\"rules\":[\"ü\",1.0]}")),
	}
	http, network := packed(t, &httpwasmv3.Wasm{Config: plugin}), packed(t, &networkwasmv3.Wasm{Config: plugin})
	content, err := protojson.Marshal(&adminv3.ConfigDump{Configs: []*anypb.Any{
		http, packed(t, &corev3.TypedExtensionConfig{Name: "shop.tcp", TypedConfig: network}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	read, err := DecodeExtensions(content)
	if err != nil {
		t.Fatal(err)
	}
	want, err := translate.Digest(map[string]*anypb.Any{"shop.auth": http, "shop.tcp": network})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := translate.Digest(read); got != want || err != nil {
		t.Errorf("digest %s, %v, want %s", got, err, want)
	}
}

func packed(t *testing.T, message proto.Message) *anypb.Any {
	t.Helper()
	content, err := anypb.New(message)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
