// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"strings"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// Served is what a gateway answers to a request that reaches it.
const Served = "hello from the mesh"

// Gateway is a gateway of the mesh. It answers every request by itself, so no server is needed behind it.
type Gateway struct {
	Namespace, Name string
	// Label is the value of the label istio on its proxies. Istio gives a Gateway to the proxies of all namespaces with
	// its label, so no two share one.
	Label string
	// Labels are further ones of its proxies.
	Labels map[string]string
	// Ports are those it listens on.
	Ports []int
}

// YAML are the objects that make it.
func (g Gateway) YAML() string {
	var yaml strings.Builder
	fmt.Fprintf(&yaml, `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  hosts: ["*"]
  gateways: [%[2]s]
  http:
  - directResponse: {status: 200, body: {string: %[4]q}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  selector: {istio: %[3]s}
  servers:
`, g.Namespace, g.Name, g.Label, Served+"\n")
	for _, port := range g.Ports {
		fmt.Fprintf(&yaml, "  - {hosts: [\"*\"], port: {number: %[1]d, name: http-%[1]d, protocol: HTTP}}\n", port)
	}
	return yaml.String()
}

// URL is the address of a path on the first port.
func (g Gateway) URL(path string) string {
	return fmt.Sprintf("http://127.0.0.1:%d%s", g.Ports[0], path)
}

// StartGateway starts a proxy of a gateway, and waits until each port answers.
func (w *World) StartGateway(ctx context.Context, g Gateway) (*chain.Proxy, error) {
	labels := map[string]string{"istio": g.Label}
	maps.Copy(labels, g.Labels)
	proxy, err := w.StartProxy(ctx, chain.ProxyOptions{Name: g.Name, Namespace: g.Namespace, Labels: labels})
	if err != nil {
		return nil, err
	}
	if err := chain.Apply(ctx, w.Cluster.Config, g.YAML()); err != nil {
		return nil, err
	}
	for _, port := range g.Ports {
		probe := chain.Probe{URL: fmt.Sprintf("http://127.0.0.1:%d/", port)}
		if _, err := probe.Until(ctx, chain.Status(200), chain.Body(Served)); err != nil {
			return nil, fmt.Errorf("the gateway does not answer: %w", err)
		}
	}
	return proxy, nil
}

// StartProxy starts a proxy that Stop stops.
func (w *World) StartProxy(ctx context.Context, options chain.ProxyOptions) (*chain.Proxy, error) {
	options.Dir = filepath.Join(w.Dir, options.Namespace, options.Name)
	proxy, err := chain.StartProxy(ctx, w.Bin, w.Istiod, options)
	if err == nil {
		w.proxies = append(w.proxies, proxy)
	}
	return proxy, err
}
