// SPDX-License-Identifier: Apache-2.0

package translate

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	httpwasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	networking "istio.io/api/networking/v1alpha3"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// connectionManager is the canonical name. istiod compares names as they are since 1.19, so the older
// envoy.http_connection_manager matches nothing there, without a word.
const connectionManager = "envoy.filters.network.http_connection_manager"

// filterPatches puts the plugin's filter into the chain of each matched listener, once.
func filterPatches(plugin *wasmv1alpha1.WasmPlugin) ([]*networking.EnvoyFilter_EnvoyConfigObjectPatch, error) {
	at := positionOf(plugin.Spec)
	var patches []*networking.EnvoyFilter_EnvoyConfigObjectPatch
	for _, listener := range matchedListeners(plugin.Spec.Match) {
		value, err := toStruct(discoveredFilter(plugin))
		if err != nil {
			return nil, err
		}
		patches = append(patches, &networking.EnvoyFilter_EnvoyConfigObjectPatch{
			ApplyTo: networking.EnvoyFilter_HTTP_FILTER,
			Match:   listenerMatch(listener, at.anchor),
			Patch:   &networking.EnvoyFilter_Patch{Operation: at.operation, Value: value},
		})
	}
	return patches, nil
}

func listenerMatch(listener matchedListener, anchor string) *networking.EnvoyFilter_EnvoyConfigObjectMatch {
	filter := &networking.EnvoyFilter_ListenerMatch_FilterMatch{Name: connectionManager}
	if anchor != "" {
		filter.SubFilter = &networking.EnvoyFilter_ListenerMatch_SubFilterMatch{Name: anchor}
	}
	return &networking.EnvoyFilter_EnvoyConfigObjectMatch{
		Context: listener.context,
		ObjectTypes: &networking.EnvoyFilter_EnvoyConfigObjectMatch_Listener{Listener: &networking.EnvoyFilter_ListenerMatch{
			PortNumber:  listener.port,
			FilterChain: &networking.EnvoyFilter_ListenerMatch_FilterChainMatch{Filter: filter},
		}},
	}
}

// discoveredFilter is a filter whose configuration the proxy asks for by name. A timeout of 0 makes a listener wait for
// it: no request passes before the plugin is there.
func discoveredFilter(plugin *wasmv1alpha1.WasmPlugin) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{
		Name: resourceName(plugin),
		ConfigType: &hcmv3.HttpFilter_ConfigDiscovery{ConfigDiscovery: &corev3.ExtensionConfigSource{
			ConfigSource: &corev3.ConfigSource{
				ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
				InitialFetchTimeout:   durationpb.New(0),
				ResourceApiVersion:    corev3.ApiVersion_V3,
			},
			TypeUrls: discoveredTypes(plugin.Spec.FailStrategy),
		}},
	}
}

// discoveredTypes are the types that the proxy takes under the plugin's name. When the agent can't fetch the module it
// sends an RBAC filter instead, which allows everything under FAIL_OPEN and denies everything otherwise (1.25 on).
// FAIL_OPEN takes it. FAIL_CLOSE doesn't: the proxy then refuses it, which istiod knows of, and a running plugin stays.
func discoveredTypes(strategy wasmv1alpha1.FailStrategy) []string {
	types := []string{typeURL(&httpwasmv3.Wasm{})}
	if strategy == wasmv1alpha1.FailOpen {
		types = append(types, typeURL(&rbacv3.RBAC{}))
	}
	return types
}

func typeURL(message proto.Message) string {
	return "type.googleapis.com/" + string(message.ProtoReflect().Descriptor().FullName())
}
