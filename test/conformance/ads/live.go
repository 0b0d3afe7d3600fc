// SPDX-License-Identifier: Apache-2.0

package ads

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	statusv1 "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/types/known/structpb"
)

// Live speaks for a proxy that stays, until the context ends: it acknowledges the listeners that it is sent, asks for the
// extensions that their filters name, and no more for those that they don't, as Envoy does (delta xDS). refuse returns why
// it refuses some extensions, by name; "" for not at all.
func (c *Client) Live(ctx context.Context, proxy Proxy, refuse func(names []string) string) error {
	node, err := proxy.node()
	if err != nil {
		return err
	}
	// By this istiod's debug data tell an Envoy from whoever else asks.
	node.Metadata.Fields["PROXY_CONFIG"] = structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{
		"concurrency": structpb.NewNumberValue(1),
	}})
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(c.connection).DeltaAggregatedResources(ctx)
	if err != nil {
		return fmt.Errorf("open a stream: %w", err)
	}
	live := &live{stream: stream, node: node, listeners: map[string][]string{}, refuse: refuse}
	if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{Node: node, TypeUrl: listenerType}); err != nil {
		return err
	}
	for ctx.Err() == nil {
		if err := live.take(); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

type live struct {
	stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	node   *corev3.Node
	// listeners have the names of the extensions that each needs.
	listeners map[string][]string
	watched   []string
	refuse    func(names []string) string
}

// take takes the next answer.
func (l *live) take() error {
	response, err := l.stream.Recv()
	if err != nil {
		return err
	}
	answer := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: response.GetTypeUrl(), ResponseNonce: response.GetNonce()}
	switch response.GetTypeUrl() {
	case listenerType:
		if err := l.learn(response); err != nil {
			return err
		}
	case extensionType:
		var names []string
		for _, resource := range response.GetResources() {
			names = append(names, resource.GetName())
		}
		if words := l.refuse(names); words != "" {
			answer.ErrorDetail = &statusv1.Status{Code: 13, Message: words}
		}
	}
	if err := l.stream.Send(answer); err != nil {
		return err
	}
	return l.subscribe()
}

func (l *live) learn(response *discoveryv3.DeltaDiscoveryResponse) error {
	for _, name := range response.GetRemovedResources() {
		delete(l.listeners, name)
	}
	for _, resource := range response.GetResources() {
		listener := &listenerv3.Listener{}
		if err := resource.GetResource().UnmarshalTo(listener); err != nil {
			return err
		}
		chains, err := chainsOf(map[string]*listenerv3.Listener{listener.GetName(): listener})
		if err != nil {
			return err
		}
		config := &Config{Chains: chains}
		l.listeners[listener.GetName()] = config.ExtensionNames()
	}
	return nil
}

// subscribe asks for what is needed and isn't asked for, and for what isn't needed no more.
func (l *live) subscribe() error {
	needed := map[string]bool{}
	for _, names := range l.listeners {
		for _, name := range names {
			needed[name] = true
		}
	}
	names := slices.Sorted(maps.Keys(needed))
	request := &discoveryv3.DeltaDiscoveryRequest{
		Node: l.node, TypeUrl: extensionType, ResourceNamesSubscribe: without(names, l.watched), ResourceNamesUnsubscribe: without(l.watched, names),
	}
	l.watched = names
	if len(request.GetResourceNamesSubscribe())+len(request.GetResourceNamesUnsubscribe()) == 0 {
		return nil
	}
	if err := l.stream.Send(request); err != nil {
		return errors.Join(errors.New("ask for extensions"), err)
	}
	return nil
}

func without(names, taken []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(taken, name) })
}
