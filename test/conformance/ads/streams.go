// SPDX-License-Identifier: Apache-2.0

package ads

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

// deltaStream speaks the delta variant.
type deltaStream struct {
	stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	node   *corev3.Node
}

func (s *deltaStream) request(typeURL string, names []string) error {
	return s.stream.Send(&discoveryv3.DeltaDiscoveryRequest{Node: s.node, TypeUrl: typeURL, ResourceNamesSubscribe: names})
}

func (s *deltaStream) receive() (string, []*anypb.Any, error) {
	response, err := s.stream.Recv()
	if err != nil {
		return "", nil, err
	}
	resources := make([]*anypb.Any, 0, len(response.GetResources()))
	for _, resource := range response.GetResources() {
		resources = append(resources, resource.GetResource())
	}
	ack := &discoveryv3.DeltaDiscoveryRequest{Node: s.node, TypeUrl: response.GetTypeUrl(), ResponseNonce: response.GetNonce()}
	return response.GetTypeUrl(), resources, s.stream.Send(ack)
}

// worldStream speaks the state-of-the-world variant.
type worldStream struct {
	stream discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesClient
	node   *corev3.Node
	// names of the last request of a type: an ACK repeats them.
	names map[string][]string
}

func (s *worldStream) request(typeURL string, names []string) error {
	if s.names == nil {
		s.names = map[string][]string{}
	}
	s.names[typeURL] = names
	return s.stream.Send(&discoveryv3.DiscoveryRequest{Node: s.node, TypeUrl: typeURL, ResourceNames: names})
}

func (s *worldStream) receive() (string, []*anypb.Any, error) {
	response, err := s.stream.Recv()
	if err != nil {
		return "", nil, err
	}
	ack := &discoveryv3.DiscoveryRequest{
		Node: s.node, TypeUrl: response.GetTypeUrl(), ResourceNames: s.names[response.GetTypeUrl()],
		VersionInfo: response.GetVersionInfo(), ResponseNonce: response.GetNonce(),
	}
	return response.GetTypeUrl(), response.GetResources(), s.stream.Send(ack)
}
