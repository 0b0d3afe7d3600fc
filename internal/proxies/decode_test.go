// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	httpwasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	networkwasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/wasm/v3"
)

const (
	nonce7 = "2026-11-28T11:00:00Z/70a6e5c6f-1b7d-4f43-9f0a-3b0c5d6e7f80"
	nonce9 = "2026-11-28T11:00:00Z/91a6e5c6f-1b7d-4f43-9f0a-3b0c5d6e7f80"
)

// adszOf is what istiod 1.31 writes for some connections.
func adszOf(clients ...string) string {
	return fmt.Sprintf(`{"totalClients": %d, "clients": [%s]}`, len(clients), strings.Join(clients, ","))
}

// connectionOf is a connection of an Envoy in adsz, with what else is said of one that doesn't matter here.
func connectionOf(connection string, watches ...string) string {
	return fmt.Sprintf(`{"connectionId": %q, "connectedAt": "2026-11-28T11:59:58.123456789Z", "address": "10.244.0.9:40112",
		"labels": {"istio": "gateway", "app": "x"}, "locality": {"region": "r"},
		"metadata": {"PROXY_CONFIG": {"binaryPath": "/usr/local/bin/envoy"}, "ISTIO_VERSION": "1.31.0", "LABELS": {"istio": "gateway"},
			"NAMESPACE": "shop", "NAME": "gateway", "INTERCEPTION_MODE": ""},
		"watches": {"type.googleapis.com/envoy.config.cluster.v3.Cluster": null, %q: ["%s"]}}`,
		connection, extensionType, strings.Join(watches, `","`))
}

// stateOf is a proxy in syncz: both its old fields and the new ones.
func stateOf(id, kind string) string {
	return fmt.Sprintf(`{"cluster_id": "Kubernetes", "proxy": %q, "proxy_type": %q, "istio_version": "1.31.0", "cluster_sent": "x",
		"resources": {
			%q: {"sent": %q, "acked": %q, "sentTime": "2026-11-28T11:59:59Z", "lastError": "Unable to create Wasm plugin x"},
			%q: {"sent": %q, "acked": %q, "sentTime": "0001-01-01T00:00:00Z"}}}`,
		id, kind, extensionType, nonce7, nonce7, listenerType, nonce9, nonce7)
}

func list(states ...string) string { return "[" + strings.Join(states, ",") + "]" }

func TestDecodeProxies(t *testing.T) {
	proxies, err := DecodeProxies([]byte(adszOf(connectionOf("gw-1.shop-12", ours, others))), []byte(list(stateOf("gw-1.shop", "router"))))
	if err != nil || len(proxies) != 1 {
		t.Fatalf("got %+v, %v", proxies, err)
	}
	p := proxies[0]
	if p.ID != "gw-1.shop" || p.Cluster != "Kubernetes" || p.Namespace != "shop" || p.Type != "router" || p.Version != "1.31.0" || p.Ambiguous {
		t.Errorf("got %+v", p)
	}
	if !p.ConnectedAt.Equal(time.Date(2026, 11, 28, 11, 59, 58, 123456789, time.UTC)) || p.Labels["istio"] != "gateway" {
		t.Errorf("got %+v", p)
	}
	if len(p.Watches) != 2 || !p.Watches[ours] || !p.Watches[others] {
		t.Errorf("watches %v", p.Watches)
	}
	if want := (TypeState{nonce7, nonce7, "Unable to create Wasm plugin x"}); p.Extensions != want {
		t.Errorf("extensions %+v", p.Extensions)
	}
	if want := (TypeState{Sent: nonce9, Acked: nonce7}); p.Listeners != want || p.Push != 9 {
		t.Errorf("listeners %+v, push %d", p.Listeners, p.Push)
	}
}

func TestWhoIsAProxy(t *testing.T) {
	gateway := list(stateOf("gw.shop", "router"))
	ask := `{"connectionId": "operator.istio-system-3", "connectedAt": "2026-11-28T11:59:58Z", "address": "10.244.0.9:1", "metadata": {}, "watches": {}}`
	tests := map[string]struct {
		adsz, syncz string
		want        []string
		ambiguous   bool
	}{
		"router":                {adszOf(connectionOf("gw.shop-1")), gateway, []string{"gw.shop"}, false},
		"sidecar":               {adszOf(connectionOf("a.shop-1")), list(stateOf("a.shop", "sidecar")), []string{"a.shop"}, false},
		"waypoint":              {adszOf(connectionOf("w.shop-1")), list(stateOf("w.shop", "waypoint")), []string{"w.shop"}, false},
		"ztunnel":               {adszOf(connectionOf("z.istio-system-1")), list(stateOf("z.istio-system", "ztunnel")), nil, false},
		"whoever asks":          {adszOf(ask), list(stateOf("operator.istio-system", "sidecar")), nil, false},
		"without metadata":      {adszOf(strings.Replace(ask, `"metadata": {}, `, "", 1)), list(stateOf("operator.istio-system", "sidecar")), nil, false},
		"gRPC without a proxy":  {adszOf(strings.Replace(connectionOf("g.shop-1"), `"NAME"`, `"GENERATOR": "grpc", "NAME"`, 1)), list(stateOf("g.shop", "sidecar")), nil, false},
		"not in syncz yet":      {adszOf(connectionOf("gw.shop-1"), connectionOf("new.shop-2")), gateway, []string{"gw.shop"}, false},
		"not in adsz any more":  {adszOf(connectionOf("gw.shop-1")), list(stateOf("gw.shop", "router"), stateOf("old.shop", "router")), []string{"gw.shop"}, false},
		"two connections":       {adszOf(connectionOf("gw.shop-1"), connectionOf("gw.shop-2")), list(stateOf("gw.shop", "router"), stateOf("gw.shop", "router")), []string{"gw.shop"}, true},
		"two in adsz":           {adszOf(connectionOf("gw.shop-1"), connectionOf("gw.shop-2")), gateway, []string{"gw.shop"}, true},
		"two in syncz":          {adszOf(connectionOf("gw.shop-1")), list(stateOf("gw.shop", "router"), stateOf("gw.shop", "router")), []string{"gw.shop"}, true},
		"an id without number":  {adszOf(connectionOf("gw.shop")), gateway, nil, false},
		"an id with a name":     {adszOf(connectionOf("gw.shop-x")), gateway, nil, false},
		"nothing connected":     {`{"totalClients": 0}`, `null`, nil, false},
		"nothing, as a list":    {`{"totalClients": 0, "clients": []}`, `[]`, nil, false},
		"a name with a number":  {adszOf(connectionOf("gw-7.shop-1")), list(stateOf("gw-7.shop", "router")), []string{"gw-7.shop"}, false},
		"a namespace like this": {adszOf(connectionOf("gw.shop-2-1")), list(stateOf("gw.shop-2", "router")), []string{"gw.shop-2"}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			proxies, err := DecodeProxies([]byte(test.adsz), []byte(test.syncz))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, proxy := range proxies {
				got = append(got, proxy.ID)
				if proxy.Ambiguous != test.ambiguous {
					t.Errorf("ambiguous: %t", proxy.Ambiguous)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestGarbage(t *testing.T) {
	adsz, syncz := adszOf(connectionOf("gw.shop-1")), list(stateOf("gw.shop", "router"))
	tests := map[string]struct{ adsz, syncz, says string }{
		"adsz is cut off":   {adsz[:len(adsz)-2], syncz, "(adsz)"},
		"adsz is empty":     {"", syncz, "(adsz)"},
		"adsz is a list":    {syncz, syncz, "(adsz)"},
		"a time is none":    {strings.Replace(adsz, "2026-", "next ", 1), syncz, "(adsz)"},
		"syncz is cut off":  {adsz, syncz[:len(syncz)-1], "(syncz)"},
		"syncz is an error": {adsz, "<html>", "(syncz)"},
		"syncz is another":  {adsz, adsz, "(syncz)"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			proxies, err := DecodeProxies([]byte(test.adsz), []byte(test.syncz))
			if err == nil || !strings.Contains(err.Error(), test.says) || proxies != nil {
				t.Errorf("got %v, %v", proxies, err)
			}
		})
	}
	for _, dump := range []string{"", "[]", `{"configs": {}}`, `{"configs": [`} {
		if extensions, err := DecodeExtensions([]byte(dump)); err == nil {
			t.Errorf("%q is read as %v", dump, extensions)
		}
	}
}

// dump is a config_dump of type ecds.
const dump = `{"configs": [
	{"@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm", "config": {"name": "http", "rootId": "r", "aFieldOfLater": 1}},
	{"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig", "name": "network",
		"typedConfig": {"@type": "type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm", "config": {"name": "another"}}},
	{"@type": "type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm", "config": {"name": "bare-network"}},
	{"@type": "type.googleapis.com/nobody.knows.V1", "name": "unknown"},
	{"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig", "name": "unknown inside",
		"typedConfig": {"@type": "type.googleapis.com/nobody.knows.V1"}},
	{"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig", "name": "empty"},
	{"@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm", "config": {}},
	{"@type": "type.googleapis.com/envoy.config.core.v3.Node", "id": "another kind"},
	{"no": "type"}, 7]}`

func TestDecodeExtensions(t *testing.T) {
	extensions, err := DecodeExtensions([]byte(dump))
	if err != nil || len(extensions) != 3 {
		t.Fatalf("got %v, %v", extensions, err)
	}
	http, network := &httpwasmv3.Wasm{}, &networkwasmv3.Wasm{}
	if err := extensions["http"].UnmarshalTo(http); err != nil || http.GetConfig().GetRootId() != "r" {
		t.Errorf("http: %v, %v", http, err)
	}
	if err := extensions["network"].UnmarshalTo(network); err != nil || network.GetConfig().GetName() != "another" {
		t.Errorf("network: %v, %v", network, err)
	}
	if err := extensions["bare-network"].UnmarshalTo(network); err != nil {
		t.Errorf("bare network: %v", err)
	}
	if extensions, err := DecodeExtensions([]byte(`{}`)); err != nil || len(extensions) != 0 {
		t.Errorf("got %v, %v", extensions, err)
	}
}

func TestPushVersion(t *testing.T) {
	const start, id = "2026-11-28T11:00:00Z", "0a6e5c6f-1b7d-4f43-9f0a-3b0c5d6e7f80"
	tests := map[string]struct {
		nonce  string
		number uint64
		ok     bool
	}{
		"one digit":               {start + "/1" + id, 1, true},
		"a UUID begins so, too":   {start + "/1" + "12345678" + id[8:], 1, true},
		"many digits":             {start + "/1234567890" + "12345678" + id[8:], 1234567890, true},
		"zero":                    {start + "/0" + id, 0, true},
		"the greatest":            {start + "/18446744073709551615" + id, 18446744073709551615, true},
		"greater":                 {start + "/18446744073709551616" + id, 0, false},
		"no number":               {start + "/" + id, 0, false},
		"no UUID":                 {start + "/1", 0, false},
		"a shorter UUID":          {start + "/1" + id[:35], 0, false},
		"a UUID in capitals":      {start + "/1" + strings.ToUpper(id), 0, false},
		"something after it":      {start + "/1" + id + "x", 0, false},
		"no start":                {"/1" + id, 0, false},
		"nothing":                 {"", 0, false},
		"as other versions of it": {"1", 0, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			began, number, ok := PushVersion(test.nonce)
			if ok != test.ok || (ok && (number != test.number || began != start)) {
				t.Errorf("got %q, %d, %t", began, number, ok)
			}
		})
	}
}
