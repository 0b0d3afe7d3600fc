// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"cmp"
	"context"
	"net"
	"slices"
	"strconv"

	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Finder says who the istiods are, in a fixed order.
type Finder func(context.Context) ([]Istiod, error)

// Static are istiods at fixed addresses, HOST:PORT, that have one name in their certificates.
func Static(addresses []string, serverName string) Finder {
	var istiods []Istiod
	for _, address := range addresses {
		istiods = append(istiods, Istiod{Name: address, Address: address, ServerName: serverName})
	}
	return func(context.Context) ([]Istiod, error) { return istiods, nil }
}

// Lister lists EndpointSlices.
type Lister func(context.Context) ([]discoveryv1.EndpointSlice, error)

// Slices lists those of istiod's Services in a namespace. Kubernetes gives them the labels of their Services.
func Slices(reader client.Reader, namespace string) Lister {
	return func(ctx context.Context) ([]discoveryv1.EndpointSlice, error) {
		var list discoveryv1.EndpointSliceList
		err := reader.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabels{"app": "istiod"})
		return list.Items, err
	}
}

const (
	// tlsPortName and tlsPort are of istiod's TLS port in the Services of Istio's charts (1.12 to 1.31).
	tlsPortName = "https-dns"
	tlsPort     = 15012
)

// FromSlices are the istiods behind EndpointSlices, of every revision.
func FromSlices(list Lister) Finder {
	return func(ctx context.Context) ([]Istiod, error) {
		items, err := list(ctx)
		if err != nil {
			return nil, err
		}
		var istiods []Istiod
		for _, item := range items {
			istiods = append(istiods, istiodsOf(item)...)
		}
		slices.SortFunc(istiods, func(a, b Istiod) int {
			return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.ServerName, b.ServerName))
		})
		// A default revision has a Service of its own for the same Pods.
		return slices.CompactFunc(istiods, func(a, b Istiod) bool { return a.Address == b.Address }), nil
	}
}

func istiodsOf(item discoveryv1.EndpointSlice) []Istiod {
	port := portOf(item)
	if port == 0 {
		return nil
	}
	var istiods []Istiod
	for _, endpoint := range item.Endpoints {
		if ready := endpoint.Conditions.Ready; len(endpoint.Addresses) == 0 || (ready != nil && !*ready) {
			continue
		}
		istiod := Istiod{
			Address:    net.JoinHostPort(endpoint.Addresses[0], strconv.Itoa(int(port))),
			ServerName: item.Labels[discoveryv1.LabelServiceName] + "." + item.Namespace + ".svc",
			Revision:   item.Labels["istio.io/rev"],
		}
		istiod.Name = istiod.Address
		if endpoint.TargetRef != nil && endpoint.TargetRef.Name != "" {
			istiod.Name = endpoint.TargetRef.Name
		}
		istiods = append(istiods, istiod)
	}
	return istiods
}

// portOf is the TLS port's number, 0 for none.
func portOf(item discoveryv1.EndpointSlice) int32 {
	for _, port := range item.Ports {
		if port.Port != nil && port.Name != nil && *port.Name == tlsPortName {
			return *port.Port
		}
	}
	for _, port := range item.Ports {
		if port.Port != nil && *port.Port == tlsPort {
			return tlsPort
		}
	}
	return 0
}
