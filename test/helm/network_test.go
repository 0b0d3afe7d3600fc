// SPDX-License-Identifier: Apache-2.0

package helm

import (
	"net/netip"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// other is one end of a connection: a pod of the installation's namespace, a pod elsewhere, or an address outside.
type other struct {
	deployment string
	namespace  string
	address    string
}

var (
	proxy    = other{namespace: "shop"}
	istiod   = other{namespace: "istio-system"}
	internet = other{address: "203.0.113.7"}
	ofSix    = other{address: "2001:db8::7"}
	metadata = other{address: "169.254.169.254"}
)

// connection is one that a policy must let through or not.
type connection struct {
	policy string
	in     bool
	other  other
	port   int32
	open   bool
}

// TestNetworkPolicies asks the policies as a network plugin reads them.
func TestNetworkPolicies(t *testing.T) {
	operator, store := other{deployment: release}, other{deployment: storeAccount}
	const in, out = true, false
	for name, test := range map[string]struct {
		values      string
		connections []connection
	}{
		"default": {"{}", []connection{
			{release, in, proxy, 8443, true}, // metrics, which ask for a token
			{release, in, proxy, 8081, false},
			{release, out, internet, 6443, true}, // an API server
			{release, out, internet, 53, true},
			{release, out, internet, 80, true},
			{release, out, ofSix, 5000, true},
			{release, out, proxy, 5000, true}, // a registry in the cluster
			{release, out, istiod, 15012, true},
			{release, out, proxy, 15012, false},
			{release, out, internet, 15012, false},
			{release, out, internet, 25, false},
			{release, out, metadata, 80, false},
			{release, out, metadata, 5000, false},
			{release, out, other{address: "fe80::1"}, 80, false},
			{release, out, other{address: "fd00:ec2::254"}, 80, false},
			{release, out, store, 8443, true},
			{storeAccount, in, proxy, 8082, true},
			{storeAccount, in, internet, 8082, true},
			{storeAccount, in, operator, 8443, true},
			{storeAccount, in, store, 8443, true},
			{storeAccount, in, proxy, 8443, true}, // who uploads shows a token
			{storeAccount, in, proxy, 8444, true}, // metrics
			{storeAccount, in, proxy, 9999, false},
			{storeAccount, out, internet, 6443, true},
			{storeAccount, out, store, 8443, true},
			{storeAccount, out, internet, 53, true},
			{storeAccount, out, internet, 80, false},
			{storeAccount, out, metadata, 80, false},
		}},
		"uploads from one namespace": {
			"store: {networkPolicy: {uploadFrom: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ci}}}]}}",
			[]connection{
				{storeAccount, in, other{namespace: "ci"}, 8443, true},
				{storeAccount, in, operator, 8443, true},
				{storeAccount, in, store, 8443, true},
				{storeAccount, in, proxy, 8443, false},
				{storeAccount, in, internet, 8443, false},
				{storeAccount, in, proxy, 8082, true},
			},
		},
		"a bucket": {
			"{networkPolicy: {apiServerPorts: [6443]}, store: {bucket: s3://modules, networkPolicy: {bucketPorts: [443, 80]}}}",
			[]connection{
				{storeAccount, out, internet, 443, true},
				{storeAccount, out, metadata, 80, true}, // credentials
				{storeAccount, out, internet, 53, true},
				{storeAccount, out, store, 8443, false},
			},
		},
		"a volume": {"store: {persistence: {enabled: true}}", []connection{
			{storeAccount, out, internet, 6443, true},
			{storeAccount, out, internet, 53, false},
		}},
		"other ports of registries": {"{networkPolicy: {apiServerPorts: [6443]}, modules: {egressPorts: [8088]}}", []connection{
			{release, out, proxy, 8088, true},
			{release, out, internet, 443, false},
		}},
		"istiod elsewhere": {"{proxies: {istiodNamespace: mesh}, networkPolicy: {istiodPorts: [15112]}}", []connection{
			{release, out, other{namespace: "mesh"}, 15112, true},
			{release, out, other{namespace: "mesh"}, 15012, false},
			{release, out, istiod, 15112, false},
		}},
		"istiod at an address": {"{proxies: {istiodAddresses: [\"istiod.example.com:8015\"]}, modules: {resolve: false}, store: {enabled: false}}", []connection{
			{release, out, internet, 8015, true},
			{release, out, istiod, 15012, true}, // behind a Service of another port
			{release, out, internet, 53, true},
		}},
		"istiod not asked": {"proxies: {observe: false}", []connection{{release, out, istiod, 15012, false}}},
		"modules not resolved": {"{modules: {resolve: false}, store: {enabled: false}}", []connection{
			{release, out, internet, 6443, true},
			{release, out, internet, 53, false},
			{release, out, internet, 80, false},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			objects := render(t, valuesFile(t, test.values))
			for _, c := range test.connections {
				if open := c.passes(t, objects); open != c.open {
					t.Errorf("%s, in %t, %+v, port %d: passes %t, want %t", c.policy, c.in, c.other, c.port, open, c.open)
				}
			}
		})
	}
}

func (c connection) passes(t *testing.T, objects []*unstructured.Unstructured) bool {
	t.Helper()
	spec := typed[networkingv1.NetworkPolicy](t, named(t, objects, "NetworkPolicy", c.policy)).Spec
	if len(spec.PolicyTypes) != 2 {
		t.Errorf("%s is for %v, want both directions", c.policy, spec.PolicyTypes)
	}
	ports := containerPorts(t, objects, c.policy)
	if c.in {
		return slices.ContainsFunc(spec.Ingress, func(rule networkingv1.NetworkPolicyIngressRule) bool {
			return c.matches(t, objects, ports, rule.Ports, rule.From)
		})
	}
	return slices.ContainsFunc(spec.Egress, func(rule networkingv1.NetworkPolicyEgressRule) bool {
		return c.matches(t, objects, nil, rule.Ports, rule.To)
	})
}

func (c connection) matches(
	t *testing.T, objects []*unstructured.Unstructured, byName map[string]int32,
	ports []networkingv1.NetworkPolicyPort, peers []networkingv1.NetworkPolicyPeer,
) bool {
	t.Helper()
	onPort := slices.ContainsFunc(ports, func(port networkingv1.NetworkPolicyPort) bool {
		number := port.Port.IntVal
		if port.Port.StrVal != "" {
			number = byName[port.Port.StrVal]
		}
		return number == c.port
	})
	if len(ports) == 0 {
		t.Errorf("%s has a rule for all ports", c.policy)
	}
	isPeer := func(peer networkingv1.NetworkPolicyPeer) bool { return c.other.is(t, objects, peer) }
	return onPort && (len(peers) == 0 || slices.ContainsFunc(peers, isPeer))
}

// is says whether a peer of a rule means this one. An address block means nobody in the cluster, as some plugins read it.
func (o other) is(t *testing.T, objects []*unstructured.Unstructured, peer networkingv1.NetworkPolicyPeer) bool {
	t.Helper()
	switch {
	case peer.IPBlock != nil:
		return o.address != "" && within(t, o.address, peer.IPBlock)
	case o.address != "":
		return false
	case peer.NamespaceSelector != nil:
		return isSubset(peer.NamespaceSelector, map[string]string{corev1.LabelMetadataName: o.namespace})
	default: // pods of the policy's own namespace
		if o.deployment == "" {
			return false
		}
		template := typed[appsv1.Deployment](t, named(t, objects, "Deployment", o.deployment)).Spec.Template
		return isSubset(peer.PodSelector, template.Labels)
	}
}

func isSubset(selector *metav1.LabelSelector, labels map[string]string) bool {
	return containsAll(labels, selector.MatchLabels)
}

func within(t *testing.T, address string, block *networkingv1.IPBlock) bool {
	t.Helper()
	contains := func(cidr string) bool {
		prefix, err := netip.ParsePrefix(cidr)
		if err != nil {
			t.Fatal(err)
		}
		return prefix.Contains(netip.MustParseAddr(address))
	}
	return contains(block.CIDR) && !slices.ContainsFunc(block.Except, contains)
}

// containerPorts are the ports of a Deployment's pods by name.
func containerPorts(t *testing.T, objects []*unstructured.Unstructured, deployment string) map[string]int32 {
	t.Helper()
	ports := map[string]int32{}
	for _, container := range typed[appsv1.Deployment](t, named(t, objects, "Deployment", deployment)).Spec.Template.Spec.Containers {
		for _, port := range container.Ports {
			ports[port.Name] = port.ContainerPort
		}
	}
	return ports
}
