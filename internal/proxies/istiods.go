// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"cmp"
	"context"
	"net"
	"slices"
	"strconv"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"
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
		return once(istiods), nil
	}
}

// once leaves out istiods that are there already: several Services may have the same Pods, and a Pod may have two addresses,
// of IPv4 and IPv6, of which the former comes first.
func once(istiods []Istiod) []Istiod {
	seen := map[string]bool{}
	return slices.DeleteFunc(istiods, func(i Istiod) bool {
		has := seen[i.Address] || seen[i.Name]
		seen[i.Address], seen[i.Name] = true, true
		return has
	})
}

func istiodsOf(item discoveryv1.EndpointSlice) []Istiod {
	port := portOf(item)
	if _, tag := item.Labels["istio.io/tag"]; tag || port == 0 {
		// The Service of a tag has the Pods of a revision's, and a name that isn't in their certificates (getDNSNames in
		// pilot/pkg/bootstrap/server.go).
		return nil
	}
	var istiods []Istiod
	for _, endpoint := range item.Endpoints {
		if len(endpoint.Addresses) == 0 || !answers(endpoint.Conditions) {
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

// answers says that an istiod can be asked. One that is about to end still has its proxies.
func answers(conditions discoveryv1.EndpointConditions) bool {
	return ptr.Deref(conditions.Ready, true) || ptr.Deref(conditions.Serving, false)
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
