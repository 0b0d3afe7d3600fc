// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	httpwasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	networking "istio.io/api/networking/v1alpha3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// ErrNoTrial is for a plugin that can only come into force at once.
var ErrNoTrial = errors.New("a plugin of type NETWORK has no trial")

const (
	routerFilter = "envoy.filters.http.router"
	// trialPriority is the one of every trial: nothing stands beside it in its listener. 0 is what istioctl warns of.
	trialPriority = 1
	// trialStats begins the names of the statistics of a listener that no request meets.
	trialStats = "wasm-trial"
	// trialNetwork is of class E, which nobody routes, beside 240.240.0.0/16, which istiod gives to ServiceEntries.
	trialNetwork = 241
)

// trialListeners are the ends of the listeners' names, in their contexts.
var trialListeners = map[networking.EnvoyFilter_PatchContext]string{
	networking.EnvoyFilter_GATEWAY:          "~gateway",
	networking.EnvoyFilter_SIDECAR_INBOUND:  "~inbound",
	networking.EnvoyFilter_SIDECAR_OUTBOUND: "~outbound",
}

// Trial renders the pair that has the proxies of a plugin say what they would of its content, where no request passes: in
// listeners of their own that are bound to no port. Each instance is there under another name than the plugin's and with
// the VM that it will run in. id tells one trial from another of the same content: neither Envoy, which doesn't look at
// unchanged content again, nor istiod, which keeps a refusal until the next acknowledgement, may take one for the other.
//
// It returns an *InvalidSpecError where Translate does, and ErrNoTrial for a network filter.
func Trial(in Input, id string) (Pair, error) {
	if err := validate(in); err != nil {
		return Pair{}, err
	}
	if isNetwork(in.Plugin.Spec) {
		return Pair{}, ErrNoTrial
	}
	in = tried(in)
	instances, _, err := instancesOf(in)
	if err != nil {
		return Pair{}, err
	}
	content, err := contentOf(in, instances)
	if err != nil {
		return Pair{}, fmt.Errorf("render the plugin's trial: %w", err)
	}
	base := resourceName(in.Plugin) + "~trial~" + content + "~" + id
	instances = byContent(instances, func(i int) string { return instanceName(base, i) })
	listeners, err := trialPatches(in, base, instances)
	if err != nil {
		return Pair{}, fmt.Errorf("render the plugin's trial: %w", err)
	}
	return pairOf(in, TrialRoles, content, instances, listeners)
}

// Emptied is what stays of a trial, or a canary, when it has gone: its half with the configuration, which delivers nothing.
func Emptied(pair Pair) EnvoyFilter {
	half := withoutPatches(pair.Config)
	half.Instances = nil
	return half
}

// Silenced is the half of a pair that puts its plugin into the chains, without doing so.
func Silenced(pair Pair) EnvoyFilter {
	return withoutPatches(pair.Filter)
}

// SilencedAs is the same of one that stands, where there is no pair, since the spec isn't accepted.
func SilencedAs(standing *unstructured.Unstructured, plugin metav1.Object) EnvoyFilter {
	role := wasmv1alpha1.EnvoyFilterFilter
	object := &unstructured.Unstructured{Object: map[string]any{"spec": standing.Object["spec"]}}
	identify(object, plugin, role)
	return withoutPatches(EnvoyFilter{Name: object.GetName(), Role: role, Object: object})
}

func withoutPatches(half EnvoyFilter) EnvoyFilter {
	half.Object = half.Object.DeepCopy()
	unstructured.RemoveNestedField(half.Object.Object, "spec", "configPatches")
	half, _ = sealed(half) // it was sealed when there was more of it
	return half
}

func trialPatches(in Input, base string, instances []instance) ([]*networking.EnvoyFilter_EnvoyConfigObjectPatch, error) {
	manager, err := trialManager(instances)
	if err != nil {
		return nil, err
	}
	var patches []*networking.EnvoyFilter_EnvoyConfigObjectPatch
	// istiod adds a listener of context ANY to gateways and to what leaves sidecars only.
	for _, context := range listenerContextsOf(in.Plugin.Spec) {
		value, err := toStruct(trialListener(base+trialListeners[context], context, manager))
		if err != nil {
			return nil, err
		}
		patches = append(patches, &networking.EnvoyFilter_EnvoyConfigObjectPatch{
			ApplyTo: networking.EnvoyFilter_LISTENER,
			Match:   &networking.EnvoyFilter_EnvoyConfigObjectMatch{Context: context},
			Patch:   &networking.EnvoyFilter_Patch{Operation: networking.EnvoyFilter_Patch_ADD, Value: value},
		})
	}
	return patches, nil
}

// trialListener has an address that no other listener has, since Envoy refuses two that share one.
func trialListener(name string, context networking.EnvoyFilter_PatchContext, manager *anypb.Any) *listenerv3.Listener {
	sum := sha256.Sum256([]byte(name))
	direction := corev3.TrafficDirection_OUTBOUND
	if context == networking.EnvoyFilter_SIDECAR_INBOUND {
		direction = corev3.TrafficDirection_INBOUND
	}
	return &listenerv3.Listener{
		Name: name,
		Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address:       fmt.Sprintf("%d.%d.%d.%d", trialNetwork, sum[0], sum[1], sum[2]),
			PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 1 + uint32(binary.BigEndian.Uint16(sum[3:5]))%65535},
		}}},
		BindToPort:       wrapperspb.Bool(false),
		TrafficDirection: direction,
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
			Name: connectionManager, ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: manager},
		}}}},
	}
}

// trialManager discovers every instance. Whatever the plugin's failStrategy, it takes nothing but the plugin: an RBAC
// filter in its stead, when the module can't be fetched, would pass for it.
func trialManager(instances []instance) (*anypb.Any, error) {
	router, err := anypb.New(&routerv3.Router{})
	if err != nil {
		return nil, err
	}
	manager := &hcmv3.HttpConnectionManager{
		StatPrefix:     trialStats,
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{}},
	}
	for _, instance := range instances {
		manager.HttpFilters = append(manager.HttpFilters, &hcmv3.HttpFilter{
			Name:       instance.name,
			ConfigType: &hcmv3.HttpFilter_ConfigDiscovery{ConfigDiscovery: discovery(typeURL(&httpwasmv3.Wasm{}))},
		})
	}
	manager.HttpFilters = append(manager.HttpFilters, &hcmv3.HttpFilter{
		Name: routerFilter, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: router},
	})
	return anypb.New(manager)
}
