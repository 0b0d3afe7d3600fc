// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	httpwasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	networkwasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/wasm/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// Proxy is what an istiod says of a proxy that is connected to it.
type Proxy struct {
	// ID is NAME.NAMESPACE.
	ID, Cluster, Namespace string
	// Type is router, sidecar or waypoint, Version the proxy's release of Istio.
	Type, Version string
	Labels        map[string]string
	ConnectedAt   time.Time
	// Statistics is where Prometheus reads it, as address and port; empty for unknown.
	Statistics string
	// Connection is the id of its connection. istiod finds a proxy by any part of that (getProxyConnection in
	// pilot/pkg/xds/debug.go), so that an ID alone may also be the end of another one, and the beginning of its namespace.
	Connection string
	// Watches are the names of the configurations that it asks for (ECDS).
	Watches map[string]bool
	// Plugins is how many of this operator's plugins those are of.
	Plugins int
	// Extensions and Listeners are what became of those (ECDS), and of its listeners (LDS).
	Extensions, Listeners TypeState
	// Push is the number of the last push that reached it, whatever its type.
	Push uint64
	// Ambiguous says that it has several connections right now, so that it isn't known of which one the rest is.
	Ambiguous bool
}

// TypeState is what was sent of a type, as nonces, and what the proxy refused last.
type TypeState struct{ Sent, Acked, Error string }

const (
	extensionType = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"
	listenerType  = "type.googleapis.com/envoy.config.listener.v3.Listener"
)

// connections is istiod's adsz (istio.io/istio 1.31, pilot/pkg/xds/debug.go, AdsClients).
type connections struct {
	Clients []struct {
		ConnectionID string              `json:"connectionId"`
		ConnectedAt  time.Time           `json:"connectedAt"`
		Address      string              `json:"address"`
		Labels       map[string]string   `json:"labels"`
		Watches      map[string][]string `json:"watches"`
		Metadata     nodeMetadata        `json:"metadata"`
	} `json:"clients"`
}

type nodeMetadata struct {
	Namespace   string          `json:"NAMESPACE"`
	Version     string          `json:"ISTIO_VERSION"`
	ProxyConfig json.RawMessage `json:"PROXY_CONFIG"`
	Generator   string          `json:"GENERATOR"`
	// InstanceIPs are the proxy's own addresses, the first one of its pod.
	InstanceIPs    string `json:"INSTANCE_IPS"`
	PrometheusPort int    `json:"ENVOY_PROMETHEUS_PORT"`
}

// isEnvoy says that it is an Envoy with Istio's agent: only agents send PROXY_CONFIG (pkg/bootstrap/config.go), and all else
// that they speak for has a GENERATOR.
func (n nodeMetadata) isEnvoy() bool { return len(n.ProxyConfig) > 0 && n.Generator == "" }

// synced is istiod's syncz (SyncStatus there).
type synced struct {
	Proxy     string `json:"proxy"`
	Type      string `json:"proxy_type"`
	Cluster   string `json:"cluster_id"`
	Version   string `json:"istio_version"`
	Resources map[string]struct {
		Sent      string `json:"sent"`
		Acked     string `json:"acked"`
		LastError string `json:"lastError"`
	} `json:"resources"`
}

// DecodeProxies joins what adsz and syncz say of the proxies that are in both. Whoever isn't an Envoy of Istio's is left out:
// those that ask, as this operator, ztunnels, and programs that speak gRPC without a proxy.
func DecodeProxies(adsz, syncz []byte) ([]Proxy, error) {
	var connected connections
	if err := json.Unmarshal(adsz, &connected); err != nil {
		return nil, fmt.Errorf("its list of proxies (adsz) can't be read: %w", err)
	}
	var states []synced
	if err := json.Unmarshal(syncz, &states); err != nil {
		return nil, fmt.Errorf("its list of what proxies acknowledged (syncz) can't be read: %w", err)
	}
	stateOf, several := byProxy(states)
	at := map[string]int{}
	var proxies []Proxy
	for _, client := range connected.Clients {
		id, ok := proxyOf(client.ConnectionID)
		state, known := stateOf[id]
		if !ok || !known || !client.Metadata.isEnvoy() || !isProxy(state.Type) {
			continue
		}
		if i, has := at[id]; has {
			proxies[i].Ambiguous = true
			continue
		}
		at[id] = len(proxies)
		watches := client.Watches[extensionType]
		proxies = append(proxies, Proxy{
			ID: id, Cluster: state.Cluster, Namespace: client.Metadata.Namespace, Type: state.Type, Version: client.Metadata.Version,
			Labels: client.Labels, ConnectedAt: client.ConnectedAt, Connection: client.ConnectionID, Watches: setOf(watches), Plugins: translate.PluginsIn(slices.Values(watches)),
			Extensions: state.of(extensionType), Listeners: state.of(listenerType), Push: state.push(), Ambiguous: several[id],
			Statistics: client.Metadata.statistics(client.Address),
		})
	}
	return proxies, nil
}

// byProxy has the states by proxy, and says of which proxies there are several.
func byProxy(states []synced) (stateOf map[string]synced, several map[string]bool) {
	stateOf, several = map[string]synced{}, map[string]bool{}
	for _, state := range states {
		if _, has := stateOf[state.Proxy]; has {
			several[state.Proxy] = true
		}
		stateOf[state.Proxy] = state
	}
	return stateOf, several
}

func (s synced) of(typeURL string) TypeState {
	resource := s.Resources[typeURL]
	return TypeState{Sent: resource.Sent, Acked: resource.Acked, Error: resource.LastError}
}

func (s synced) push() uint64 {
	var last uint64
	for _, resource := range s.Resources {
		if _, number, ok := PushVersion(resource.Sent); ok {
			last = max(last, number)
		}
	}
	return last
}

func isProxy(nodeType string) bool {
	return nodeType == "router" || nodeType == "sidecar" || nodeType == "waypoint"
}

// proxyOf is the proxy of a connection: istiod adds a number to its id.
func proxyOf(connection string) (string, bool) {
	at := strings.LastIndex(connection, "-")
	if at <= 0 {
		return "", false
	}
	_, err := strconv.ParseUint(connection[at+1:], 10, 64)
	return connection[:at], err == nil
}

func setOf(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}

// DecodeExtensions returns what a config_dump of type ecds says that istiod sends a proxy, by name. It has Wasm HTTP filters
// bare, under the name of their plugin, and all else as it is sent (getConfigDumpByResourceType). What can't be decoded is
// left out: it is of somebody else.
func DecodeExtensions(dump []byte) (map[string]*anypb.Any, error) {
	var list struct {
		Configs []json.RawMessage `json:"configs"`
	}
	if err := json.Unmarshal(dump, &list); err != nil {
		return nil, fmt.Errorf("its dump of what a proxy is sent can't be read: %w", err)
	}
	extensions := map[string]*anypb.Any{}
	for _, config := range list.Configs {
		message := &anypb.Any{}
		if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(config, message); err != nil {
			continue
		}
		name := pluginNameOf(message)
		if typed := (&corev3.TypedExtensionConfig{}); message.MessageIs(typed) && message.UnmarshalTo(typed) == nil {
			name, message = typed.GetName(), typed.GetTypedConfig()
		}
		if name != "" && message != nil {
			extensions[name] = message
		}
	}
	return extensions, nil
}

func pluginNameOf(message *anypb.Any) string {
	http, network := &httpwasmv3.Wasm{}, &networkwasmv3.Wasm{}
	switch {
	case message.MessageIs(http) && message.UnmarshalTo(http) == nil:
		return http.GetConfig().GetName()
	case message.MessageIs(network) && message.UnmarshalTo(network) == nil:
		return network.GetConfig().GetName()
	default:
		return ""
	}
}

// noncePattern is istiod's: the version of a push, which is when istiod started and a number, and a UUID (nonce in
// pilot/pkg/xds/discovery.go).
var noncePattern = regexp.MustCompile(`^(.+)/(\d+?)([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$`)

// PushVersion returns the push that a nonce is of: the run of istiod, and the number of the push.
func PushVersion(nonce string) (start string, number uint64, ok bool) {
	parts := noncePattern.FindStringSubmatch(nonce)
	if parts == nil {
		return "", 0, false
	}
	number, err := strconv.ParseUint(parts[2], 10, 64)
	return parts[1], number, err == nil
}
