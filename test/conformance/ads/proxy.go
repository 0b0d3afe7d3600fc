// SPDX-License-Identifier: Apache-2.0

package ads

import (
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

// Kind is what istiod calls the type of a proxy.
type Kind string

// The kinds of proxies.
const (
	Router   Kind = "router"
	Sidecar  Kind = "sidecar"
	Waypoint Kind = "waypoint"
)

// Proxy is who asks.
type Proxy struct {
	Kind            Kind
	Name, Namespace string
	// IP is that of the proxy's Pod.
	IP string
	// Labels are those of the proxy's Pod. Istiod takes the Pod's own if there is one with the proxy's Name, else these;
	// but up to 1.30 it doesn't find the Services of a proxy without a Pod.
	Labels map[string]string
	// Version is the release of the proxy's agent, for example 1.31.0.
	Version string
}

// String names the proxy as istiod does.
func (p Proxy) String() string { return p.Name + "." + p.Namespace }

func (p Proxy) node() (*corev3.Node, error) {
	labels := map[string]any{}
	for key, value := range p.Labels {
		labels[key] = value
	}
	metadata, err := structpb.NewStruct(map[string]any{
		"CLUSTER_ID":        "Kubernetes",
		"INSTANCE_IPS":      p.IP,
		"INTERCEPTION_MODE": "REDIRECT",
		"ISTIO_VERSION":     p.Version,
		"LABELS":            labels,
		"MESH_ID":           "cluster.local",
		"NAME":              p.Name,
		"NAMESPACE":         p.Namespace,
		"SERVICE_ACCOUNT":   p.Name,
		"WORKLOAD_NAME":     p.Name,
	})
	if err != nil {
		return nil, err
	}
	domain := p.Namespace + ".svc.cluster.local"
	return &corev3.Node{
		Id:       strings.Join([]string{string(p.Kind), p.IP, p.String(), domain}, "~"),
		Cluster:  p.String(),
		Metadata: metadata,
	}, nil
}
