// SPDX-License-Identifier: Apache-2.0

// Package ads asks istiod what it would send to a proxy, as that proxy would: over one aggregated stream, by the delta
// or by the state-of-the-world variant of xDS, in Envoy's order (clusters, listeners, the routes that listeners name,
// the extensions that filters name), with an ACK for each answer.
//
//	client, err := ads.NewClient(istiod.DiscoveryAddress)
//	defer client.Close()
//	config, err := client.Ask(ctx, ads.Proxy{Kind: ads.Router, Name: "gateway", Namespace: "shop", ...}, ads.Delta)
package ads

import (
	"context"
	"errors"
	"fmt"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/anypb"
)

// Variant is one of the two protocols that istiod speaks with proxies.
type Variant string

// The variants of xDS. Proxies of Istio 1.22 and later use Delta.
const (
	Delta           Variant = "delta"
	StateOfTheWorld Variant = "state of the world"
)

// answerTimeout is how long istiod may take for one answer. It answers nothing at all where it knows none of the names.
const answerTimeout = 5 * time.Second

// maxMessage bounds one answer; gRPC's default of 4 MiB is less than what a proxy accepts.
const maxMessage = 64 << 20

// Client asks one istiod.
type Client struct {
	connection *grpc.ClientConn
}

// NewClient connects to an istiod that serves plain text.
func NewClient(address string) (*Client, error) {
	connection, err := grpc.NewClient(address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
	if err != nil {
		return nil, fmt.Errorf("connect to istiod at %s: %w", address, err)
	}
	return &Client{connection}, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.connection.Close() }

// stream is one proxy's conversation with istiod.
type stream interface {
	// request asks for all resources of a type, or for those of these names.
	request(typeURL string, names []string) error
	// receive returns the next answer, acknowledged.
	receive() (typeURL string, resources []*anypb.Any, err error)
}

// Ask returns all that istiod sends to a proxy that connects now.
func (c *Client) Ask(ctx context.Context, proxy Proxy, variant Variant) (*Config, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conversation, err := c.open(ctx, proxy, variant)
	if err != nil {
		return nil, fmt.Errorf("open a stream (%s): %w", variant, err)
	}
	config := &Config{}
	for _, step := range []struct {
		typeURL string
		names   func() []string
	}{
		{clusterType, nil},
		{listenerType, nil},
		{routeType, config.routeNames},
		{extensionType, config.ExtensionNames},
	} {
		var names []string
		if step.names != nil {
			if names = step.names(); len(names) == 0 {
				continue
			}
		}
		resources, err := answer(cancel, conversation, step.typeURL, names)
		if err != nil {
			return nil, fmt.Errorf("ask for %s %q (%s): %w", step.typeURL, names, variant, err)
		}
		if err := config.add(step.typeURL, resources); err != nil {
			return nil, err
		}
	}
	return config, nil
}

func (c *Client) open(ctx context.Context, proxy Proxy, variant Variant) (stream, error) {
	node, err := proxy.node()
	if err != nil {
		return nil, err
	}
	client := discoveryv3.NewAggregatedDiscoveryServiceClient(c.connection)
	if variant == Delta {
		grpcStream, err := client.DeltaAggregatedResources(ctx)
		return &deltaStream{stream: grpcStream, node: node}, err
	}
	grpcStream, err := client.StreamAggregatedResources(ctx)
	return &worldStream{stream: grpcStream, node: node}, err
}

// answer sends a request and returns what comes for its type. What istiod pushes meanwhile of other types is
// acknowledged and left: whoever asks waits until all of an answer fits together.
func answer(cancel context.CancelFunc, conversation stream, typeURL string, names []string) ([]*anypb.Any, error) {
	timer := time.AfterFunc(answerTimeout, cancel)
	defer timer.Stop()
	if err := conversation.request(typeURL, names); err != nil {
		return nil, err
	}
	for {
		got, resources, err := conversation.receive()
		switch {
		case err != nil && !timer.Stop():
			return nil, errors.Join(fmt.Errorf("no answer within %s", answerTimeout), err)
		case err != nil:
			return nil, err
		case got == typeURL:
			return resources, nil
		}
	}
}
