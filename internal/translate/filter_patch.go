// SPDX-License-Identifier: Apache-2.0

package translate

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	networkrbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	networking "istio.io/api/networking/v1alpha3"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

const (
	// connectionManager is the canonical name. istiod compares names as they are since 1.19, so the older
	// envoy.http_connection_manager matches nothing there, without a word.
	connectionManager = "envoy.filters.network.http_connection_manager"
	tcpProxy          = "envoy.filters.network.tcp_proxy"
)

// filterPatches puts each instance's filter into the chain of each matched listener, once.
func filterPatches(spec wasmv1alpha1.WasmPluginSpec, instances []instance) ([]*networking.EnvoyFilter_EnvoyConfigObjectPatch, error) {
	var patches []*networking.EnvoyFilter_EnvoyConfigObjectPatch
	for _, listener := range listenersFor(spec) {
		for i, instance := range instances {
			added, err := listenerPatches(spec, listener, instance, i > 0 || isOff(spec))
			if err != nil {
				return nil, err
			}
			patches = append(patches, added...)
		}
	}
	return patches, nil
}

func listenerPatches(spec wasmv1alpha1.WasmPluginSpec, listener matchedListener, instance instance, disabled bool) ([]*networking.EnvoyFilter_EnvoyConfigObjectPatch, error) {
	if isNetwork(spec) {
		return networkPatches(spec, listener, instance)
	}
	patch, err := httpPatch(spec, listener, positionOf(spec), instance, disabled)
	return []*networking.EnvoyFilter_EnvoyConfigObjectPatch{patch}, err
}

func httpPatch(spec wasmv1alpha1.WasmPluginSpec, listener matchedListener, at position, instance instance, disabled bool) (*networking.EnvoyFilter_EnvoyConfigObjectPatch, error) {
	value, err := toStruct(&hcmv3.HttpFilter{
		Name:       instance.name,
		Disabled:   disabled,
		ConfigType: &hcmv3.HttpFilter_ConfigDiscovery{ConfigDiscovery: discovery(discoveredTypes(spec)...)},
	})
	if err != nil {
		return nil, err
	}
	filter := &networking.EnvoyFilter_ListenerMatch_FilterMatch{Name: connectionManager}
	if at.anchor != "" {
		filter.SubFilter = &networking.EnvoyFilter_ListenerMatch_SubFilterMatch{Name: at.anchor}
	}
	return &networking.EnvoyFilter_EnvoyConfigObjectPatch{
		ApplyTo: networking.EnvoyFilter_HTTP_FILTER,
		Match:   listenerMatch(listener, filter),
		Patch:   &networking.EnvoyFilter_Patch{Operation: at.operation, Value: value},
	}, nil
}

// networkPatches has a patch for each kind of filter chain: one ends in a TCP proxy or in an HTTP connection manager.
func networkPatches(spec wasmv1alpha1.WasmPluginSpec, listener matchedListener, instance instance) ([]*networking.EnvoyFilter_EnvoyConfigObjectPatch, error) {
	value, err := toStruct(&listenerv3.Filter{
		Name:       instance.name,
		ConfigType: &listenerv3.Filter_ConfigDiscovery{ConfigDiscovery: discovery(discoveredTypes(spec)...)},
	})
	if err != nil {
		return nil, err
	}
	var patches []*networking.EnvoyFilter_EnvoyConfigObjectPatch
	for _, terminal := range []string{tcpProxy, connectionManager} {
		patches = append(patches, &networking.EnvoyFilter_EnvoyConfigObjectPatch{
			ApplyTo: networking.EnvoyFilter_NETWORK_FILTER,
			Match:   listenerMatch(listener, &networking.EnvoyFilter_ListenerMatch_FilterMatch{Name: terminal}),
			Patch:   &networking.EnvoyFilter_Patch{Operation: networking.EnvoyFilter_Patch_INSERT_BEFORE, Value: value},
		})
	}
	return patches, nil
}

func listenerMatch(listener matchedListener, filter *networking.EnvoyFilter_ListenerMatch_FilterMatch) *networking.EnvoyFilter_EnvoyConfigObjectMatch {
	return &networking.EnvoyFilter_EnvoyConfigObjectMatch{
		Context: listener.context,
		ObjectTypes: &networking.EnvoyFilter_EnvoyConfigObjectMatch_Listener{Listener: &networking.EnvoyFilter_ListenerMatch{
			Name:        listener.name,
			PortNumber:  listener.port,
			FilterChain: &networking.EnvoyFilter_ListenerMatch_FilterChainMatch{Filter: filter},
		}},
	}
}

// discovery makes a proxy ask for a filter's configuration by the filter's name. A timeout of 0 makes a listener wait
// for it: no request passes before the plugin is there.
func discovery(types ...string) *corev3.ExtensionConfigSource {
	return &corev3.ExtensionConfigSource{
		ConfigSource: &corev3.ConfigSource{
			ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
			InitialFetchTimeout:   durationpb.New(0),
			ResourceApiVersion:    corev3.ApiVersion_V3,
		},
		TypeUrls: types,
	}
}

// discoveredTypes are the types that the proxy takes under the plugin's name. When the agent can't fetch the module it
// sends an RBAC filter instead, which allows everything under FAIL_OPEN and denies everything otherwise (1.25 on).
// FAIL_OPEN takes it. FAIL_CLOSE doesn't: the proxy then refuses it, which istiod knows of, and a running plugin stays.
func discoveredTypes(spec wasmv1alpha1.WasmPluginSpec) []string {
	types := []string{typeURL(filterMessage(spec, nil))}
	switch {
	case spec.FailStrategy != wasmv1alpha1.FailOpen:
	case isNetwork(spec):
		types = append(types, typeURL(&networkrbacv3.RBAC{}))
	default:
		types = append(types, typeURL(&rbacv3.RBAC{}))
	}
	return types
}

func typeURL(message proto.Message) string {
	return "type.googleapis.com/" + string(message.ProtoReflect().Descriptor().FullName())
}

func isNetwork(spec wasmv1alpha1.WasmPluginSpec) bool {
	return spec.Type == wasmv1alpha1.PluginTypeNetwork
}
