// SPDX-License-Identifier: Apache-2.0

package ads

import (
	"fmt"
	"maps"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// The types of xDS that are asked for.
const (
	clusterType   = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	listenerType  = "type.googleapis.com/envoy.config.listener.v3.Listener"
	routeType     = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
	extensionType = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"
)

// Config is what istiod sends to a proxy, decoded.
type Config struct {
	Clusters  map[string]*clusterv3.Cluster
	Listeners map[string]*listenerv3.Listener
	// Routes are those that connection managers discover by name, and Inline those that stand in them.
	Routes     map[string]*routev3.RouteConfiguration
	Extensions map[string]*corev3.TypedExtensionConfig

	// Chains are the filter chains of all listeners, in the listeners' order of names.
	Chains []Chain
}

// Messages are all resources.
func (c *Config) Messages() []proto.Message {
	var all []proto.Message
	all = appendSorted(all, c.Clusters)
	all = appendSorted(all, c.Listeners)
	all = appendSorted(all, c.Routes)
	return appendSorted(all, c.Extensions)
}

func appendSorted[M proto.Message](to []proto.Message, from map[string]M) []proto.Message {
	for _, name := range slices.Sorted(maps.Keys(from)) {
		to = append(to, from[name])
	}
	return to
}

func (c *Config) add(typeURL string, resources []*anypb.Any) (err error) {
	switch typeURL {
	case clusterType:
		c.Clusters, err = decode[clusterv3.Cluster](resources, (*clusterv3.Cluster).GetName)
	case listenerType:
		if c.Listeners, err = decode[listenerv3.Listener](resources, (*listenerv3.Listener).GetName); err == nil {
			c.Chains, err = chainsOf(c.Listeners)
		}
	case routeType:
		c.Routes, err = decode[routev3.RouteConfiguration](resources, (*routev3.RouteConfiguration).GetName)
	case extensionType:
		c.Extensions, err = decode[corev3.TypedExtensionConfig](resources, (*corev3.TypedExtensionConfig).GetName)
	}
	return err
}

// message is a pointer to a generated struct.
type message[T any] interface {
	*T
	proto.Message
}

// decode refuses a name that comes twice, as Envoy does: it then refuses all that came with it.
func decode[T any, M message[T]](resources []*anypb.Any, name func(M) string) (map[string]M, error) {
	decoded := map[string]M{}
	for _, resource := range resources {
		into := M(new(T))
		if err := resource.UnmarshalTo(into); err != nil {
			return nil, err
		}
		if _, twice := decoded[name(into)]; twice {
			return nil, fmt.Errorf("istiod sent the %s %q twice", resource.MessageName().Name(), name(into))
		}
		decoded[name(into)] = into
	}
	return decoded, nil
}

// routeNames are the route configurations that connection managers discover.
func (c *Config) routeNames() []string {
	names := map[string]bool{}
	for _, chain := range c.Chains {
		if name := chain.HTTP.GetRds().GetRouteConfigName(); name != "" {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// ExtensionNames are the extensions that filters discover.
func (c *Config) ExtensionNames() []string {
	names := map[string]bool{}
	for _, chain := range c.Chains {
		for _, filter := range chain.Filters {
			if filter.Discovery != nil {
				names[filter.Name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// RouteConfiguration is that of a chain, discovered or inline; nil where the chain has no connection manager.
func (c *Config) RouteConfiguration(chain Chain) *routev3.RouteConfiguration {
	if name := chain.HTTP.GetRds().GetRouteConfigName(); name != "" {
		return c.Routes[name]
	}
	return chain.HTTP.GetRouteConfig()
}

// Chain is one chain of filters: a connection's, or where that ends in a connection manager, also a request's.
type Chain struct {
	// Listener and Name are those of the listener and of the filter chain in it.
	Listener, Name string
	// Network and Requests are the filters of connections and of requests, in order; Filters are both.
	Network, Requests, Filters []Filter
	// HTTP is the connection manager, nil where the chain has none.
	HTTP *hcmv3.HttpConnectionManager
	// Port is the port that the listener is bound to, or, in a listener of redirected traffic, that of the chain.
	Port uint32
}

// Filter is a filter of either kind.
type Filter struct {
	Name string
	// Discovery is nil where the filter's configuration stands in the listener.
	Discovery *corev3.ExtensionConfigSource
	Disabled  bool
}

func chainsOf(listeners map[string]*listenerv3.Listener) ([]Chain, error) {
	var chains []Chain
	for _, name := range slices.Sorted(maps.Keys(listeners)) {
		listener := listeners[name]
		all := slices.Clone(listener.GetFilterChains())
		if fallback := listener.GetDefaultFilterChain(); fallback != nil {
			all = append(all, fallback)
		}
		for _, filterChain := range all {
			chain, err := chainOf(listener, filterChain)
			if err != nil {
				return nil, fmt.Errorf("listener %s: %w", name, err)
			}
			chains = append(chains, chain)
		}
	}
	return chains, nil
}

func chainOf(listener *listenerv3.Listener, from *listenerv3.FilterChain) (Chain, error) {
	chain := Chain{Listener: listener.GetName(), Name: from.GetName(), Port: listener.GetAddress().GetSocketAddress().GetPortValue()}
	if port := from.GetFilterChainMatch().GetDestinationPort(); port != nil {
		chain.Port = port.GetValue()
	}
	for _, filter := range from.GetFilters() {
		chain.Network = append(chain.Network, Filter{Name: filter.GetName(), Discovery: filter.GetConfigDiscovery()})
		if !filter.GetTypedConfig().MessageIs(&hcmv3.HttpConnectionManager{}) {
			continue
		}
		chain.HTTP = &hcmv3.HttpConnectionManager{}
		if err := filter.GetTypedConfig().UnmarshalTo(chain.HTTP); err != nil {
			return Chain{}, err
		}
	}
	for _, filter := range chain.HTTP.GetHttpFilters() {
		chain.Requests = append(chain.Requests,
			Filter{Name: filter.GetName(), Discovery: filter.GetConfigDiscovery(), Disabled: filter.GetDisabled()})
	}
	chain.Filters = slices.Concat(chain.Network, chain.Requests)
	return chain, nil
}
