// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/status"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// View is what istiod sends to some proxies, equal for all of them, as far as the plugin is concerned.
type View struct {
	// Proxies are their names.
	Proxies []string `json:"proxies"`
	// Chains are the filter chains that have the plugin, each once; Without are those of the same kind that don't.
	Chains  []Chain `json:"chains,omitempty"`
	Without []Place `json:"without,omitempty"`
	// Delivered are the configurations that the chains name (ECDS).
	Delivered []Delivered `json:"delivered,omitempty"`
	// Natives are what Istio's own plugins of the chains load.
	Natives []Delivered `json:"natives,omitempty"`
	// NotDumped is why it isn't known what is delivered.
	NotDumped string `json:"notDumped,omitempty"`
	// Routes are the virtual hosts that lead through the chains.
	Routes []RouteConfiguration `json:"routes,omitempty"`

	// domains and routeNames are all of the proxy's, anchors the filters of all its chains.
	domains, routeNames map[string]bool
}

// Chain is a filter chain, and where it stands.
type Chain struct {
	Places  []Place  `json:"places"`
	Filters []Filter `json:"filters"`
	// Network says that these are the filters of connections, not of requests.
	Network bool `json:"network,omitempty"`
}

// Place is where a chain of filters is: a listener, and a filter chain of it.
type Place struct {
	Listener  string `json:"listener"`
	Address   string `json:"address,omitempty"`
	Direction string `json:"direction,omitempty"`
	// FilterChain is its name, Port and ServerNames what it is for, where it says so.
	FilterChain string   `json:"filterChain,omitempty"`
	Port        uint32   `json:"port,omitempty"`
	ServerNames []string `json:"serverNames,omitempty"`
	// RouteConfiguration is the name of its routes.
	RouteConfiguration string `json:"routeConfiguration,omitempty"`
	// TCP says that no HTTP is spoken there.
	TCP bool `json:"tcp,omitempty"`

	// filters are the names in its chain.
	filters []string
}

// Filter is one of a chain.
type Filter struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
	// Part and Instance say what an instance of the plugin is for.
	Part     translate.Part `json:"part,omitempty"`
	Instance string         `json:"instance,omitempty"`
	// Of is the namespace and name of another plugin.
	Of       string `json:"of,omitempty"`
	Disabled bool   `json:"disabled,omitempty"`
	// Discovered says that its configuration is delivered by itself (ECDS).
	Discovered bool `json:"discovered,omitempty"`
}

// Kind says whose a filter is.
type Kind string

// Values of Kind.
const (
	// KindOurs is the plugin, KindPlugin another plugin of this operator.
	KindOurs   Kind = "Ours"
	KindPlugin Kind = "Plugin"
	// KindNative is a WasmPlugin or TrafficExtension of Istio's.
	KindNative Kind = "Native"
	// KindIstio is of Istio itself, KindForeign of somebody else's EnvoyFilter.
	KindIstio   Kind = "Istio"
	KindForeign Kind = "Foreign"
)

// viewOf reads a dump for what concerns a plugin.
func viewOf(plugin *wasmv1alpha1.WasmPlugin, from Dump) (View, error) {
	d, err := decode(from.Content)
	if err != nil {
		return View{}, err
	}
	v := &viewer{plugin: plugin, dump: d, byFilters: map[string]int{}, view: View{NotDumped: status.Words(from.NoExtensions)}}
	for _, listener := range d.listeners {
		if err := v.addListener(listener); err != nil {
			return View{}, err
		}
	}
	v.coverage()
	v.delivered()
	return v.view, nil
}

// key is equal for equal views.
func (v View) key() string {
	v.Proxies = nil
	content, _ := json.Marshal(v) //nolint:errchkjson // made of strings, numbers and lists of them
	return string(content)
}

type viewer struct {
	plugin    *wasmv1alpha1.WasmPlugin
	dump      dump
	view      View
	byFilters map[string]int
}

func (v *viewer) addListener(l listener) error {
	chains := slices.Clone(l.Chains)
	if l.Default != nil {
		chains = append(chains, *l.Default)
	}
	for _, chain := range chains {
		place := Place{
			Listener: l.Name, Direction: strings.ToLower(l.Direction), FilterChain: chain.Name, ServerNames: chain.Match.ServerNames,
		}
		if l.Address.Socket.Address != "" {
			place.Address = fmt.Sprintf("%s:%d", l.Address.Socket.Address, l.Address.Socket.Port)
		}
		if chain.Match.Port != nil {
			place.Port = *chain.Match.Port
		}
		if err := v.addChain(place, chain); err != nil {
			return err
		}
	}
	return nil
}

func (v *viewer) addChain(place Place, chain filterChain) error {
	var manager *connectionManager
	for _, filter := range chain.Filters {
		found, err := filter.manager()
		if err != nil {
			return err
		}
		if found != nil {
			manager = found
		}
	}
	network := v.plugin.Spec.Type == wasmv1alpha1.PluginTypeNetwork
	filters := chain.Filters
	switch {
	case manager != nil:
		place.RouteConfiguration = manager.RDS.Name
		if manager.Routes != nil {
			place.RouteConfiguration = manager.Routes.Name
			v.dump.routes[manager.Routes.Name] = *manager.Routes
		}
		if !network {
			filters = manager.Filters
		}
	default:
		place.TCP = true
	}
	v.place(place, filters, network)
	return nil
}

// place sorts a chain in: where the plugin is, or where it isn't.
func (v *viewer) place(place Place, filters []filter, network bool) {
	named := make([]Filter, 0, len(filters))
	ours := false
	for _, filter := range filters {
		one := v.filterOf(filter)
		ours = ours || one.Kind == KindOurs
		named, place.filters = append(named, one), append(place.filters, one.Name)
	}
	if !ours {
		if v.concerns(place) {
			v.view.Without = append(v.view.Without, place)
		}
		return
	}
	key := fmt.Sprintf("%v %+v", network, named)
	at, there := v.byFilters[key]
	if !there {
		at = len(v.view.Chains)
		v.byFilters[key] = at
		v.view.Chains = append(v.view.Chains, Chain{Filters: named, Network: network})
	}
	v.view.Chains[at].Places = append(v.view.Chains[at].Places, place)
}

// concerns says whether one could expect the plugin in a place: not in the trial of another one, nor where no HTTP is spoken.
func (v *viewer) concerns(place Place) bool {
	return !strings.HasPrefix(place.Listener, ownPrefix) && (!place.TCP || v.plugin.Spec.Type == wasmv1alpha1.PluginTypeNetwork)
}

// ownPrefix begins the names of what this operator puts into proxies.
const ownPrefix = "wasm.solarmesh.io/"

func (v *viewer) filterOf(f filter) Filter {
	one := Filter{Name: f.Name, Disabled: f.Disabled, Discovered: len(f.Discovery) > 0}
	if part, index, ours := translate.PartOf(v.plugin.Namespace, v.plugin.Name, f.Name); ours {
		one.Kind, one.Part, one.Instance = KindOurs, part, index
		return one
	}
	switch of, native := nativeOf(f.Name); {
	case native:
		one.Kind, one.Of = KindNative, of
	case strings.HasPrefix(f.Name, ownPrefix):
		of, _, _ := strings.Cut(strings.TrimPrefix(f.Name, ownPrefix), "~")
		one.Kind, one.Of = KindPlugin, slashed(of)
	case slices.Contains(istioFilters, f.Name):
		one.Kind = KindIstio
	default:
		one.Kind = KindForeign
	}
	return one
}

// nativePrefixes begin the names under which istiod delivers its own plugins: 1.30 on, 1.26 on, and before that.
var nativePrefixes = []string{
	"extensions.istio.io/trafficextension/", "extensions.istio.io/wasmplugin/", "extenstions.istio.io/wasmplugin/",
}

// nativeOf is the plugin of Istio's that a filter is.
func nativeOf(name string) (string, bool) {
	rest := withoutPrefix(name)
	plugin, _, _ := strings.Cut(rest, "~")
	return slashed(plugin), rest != name
}

// withoutPrefix is the name of one of Istio's own plugins as it stands in its configuration.
func withoutPrefix(name string) string {
	for _, prefix := range nativePrefixes {
		name = strings.TrimPrefix(name, prefix)
	}
	return name
}

// slashed makes NAMESPACE/NAME of NAMESPACE.NAME: a namespace has no dot.
func slashed(name string) string { return strings.Replace(name, ".", "/", 1) }

// istioFilters are those that istiod itself puts into chains (1.21 to 1.31), of requests and of connections.
var istioFilters = []string{
	"connect_authority",
	"envoy.filters.http.cors",
	"envoy.filters.http.dynamic_forward_proxy",
	"envoy.filters.http.ext_authz",
	"envoy.filters.http.ext_proc",
	"envoy.filters.http.fault",
	"envoy.filters.http.grpc_stats",
	"envoy.filters.http.grpc_web",
	"envoy.filters.http.jwt_authn",
	"envoy.filters.http.rbac",
	"envoy.filters.http.router",
	"envoy.filters.http.stateful_session",
	"envoy.filters.network.ext_authz",
	"envoy.filters.network.http_connection_manager",
	"envoy.filters.network.mongo_proxy",
	"envoy.filters.network.mysql_proxy",
	"envoy.filters.network.rbac",
	"envoy.filters.network.redis_proxy",
	"envoy.filters.network.sni_cluster",
	"envoy.filters.network.tcp_proxy",
	"istio.alpn",
	"istio.metadata_exchange",
	"istio.peer_metadata",
	"istio.stats",
	"istio.waypoint.xfcc_client_identity",
	"istio_authn",
	"request_source",
	"waypoint_downstream_peer_metadata",
	"waypoint_upstream_peer_metadata",
}
