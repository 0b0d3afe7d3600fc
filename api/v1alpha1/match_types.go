// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

// LabelValue is the value of a label.
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:Pattern=`^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$`
type LabelValue string

// WorkloadSelector picks proxies by the labels of their pods.
type WorkloadSelector struct {
	// matchLabels must all be there, with these values.
	// +required
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(key, key.size() > 0 && key.size() <= 317)",message="a label's key has 1 to 317 characters"
	MatchLabels map[string]LabelValue `json:"matchLabels,omitempty"`
}

// TargetReference names a Gateway of the plugin's namespace, or, in the mesh's root namespace, the GatewayClass of all
// waypoints. Those are the kinds that istiod honours on an EnvoyFilter.
// +kubebuilder:validation:XValidation:rule="has(self.group) && self.group == 'gateway.networking.k8s.io'",message="must be gateway.networking.k8s.io, the only one that istiod honours on an EnvoyFilter; pick other proxies by selector",fieldPath=".group"
// +kubebuilder:validation:XValidation:rule="self.kind in ['Gateway', 'GatewayClass']",message="must be Gateway or GatewayClass, the only kinds that istiod honours on an EnvoyFilter; pick other proxies by selector",fieldPath=".kind"
// +kubebuilder:validation:XValidation:rule="self.kind != 'GatewayClass' || self.name == 'istio-waypoint'",message="istio-waypoint is the only GatewayClass that istiod honours on an EnvoyFilter; name a Gateway",fieldPath=".name"
type TargetReference struct {
	// group is gateway.networking.k8s.io.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Group *string `json:"group,omitempty"`

	// kind is Gateway or GatewayClass.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind,omitempty"`

	// name is the Gateway's name. A GatewayClass is istio-waypoint: every waypoint of the mesh.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`
}

// Scope picks proxies without naming labels.
// +kubebuilder:validation:Enum=Namespace
type Scope string

// Values of Scope.
const (
	ScopeNamespace Scope = "Namespace"
)

// Context is the kind of listener that a plugin runs in.
// +kubebuilder:validation:Enum=GATEWAY;SIDECAR_INBOUND;SIDECAR_OUTBOUND;ANY
type Context string

// Values of Context, as in an EnvoyFilter.
const (
	ContextGateway         Context = "GATEWAY"
	ContextSidecarInbound  Context = "SIDECAR_INBOUND"
	ContextSidecarOutbound Context = "SIDECAR_OUTBOUND"
	ContextAny             Context = "ANY"
)

// TrafficSelector picks listeners of a proxy.
// +kubebuilder:validation:MinProperties=1
type TrafficSelector struct {
	// context is the kind of listener. Default: GATEWAY.
	// +optional
	Context Context `json:"context,omitempty"`

	// ports are the ports of the listeners; any port if left out. It is the port that the proxy listens on (8080 where a
	// gateway's Service maps 80 to 8080), for SIDECAR_INBOUND the port of the application.
	// +optional
	// +listType=map
	// +listMapKey=number
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Ports []PortSelector `json:"ports,omitempty"`
}

// PortSelector is a port.
type PortSelector struct {
	// number is the port's number.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Number int32 `json:"number,omitempty"`
}

// PluginType says what a plugin filters.
// +kubebuilder:validation:Enum=HTTP;NETWORK
type PluginType string

// Values of PluginType.
const (
	PluginTypeHTTP    PluginType = "HTTP"
	PluginTypeNetwork PluginType = "NETWORK"
)

// Phase is a place in the chain of HTTP filters.
// +kubebuilder:validation:Enum=UNSPECIFIED;AUTHN;AUTHZ;STATS
type Phase string

// Values of Phase.
const (
	PhaseUnspecified Phase = "UNSPECIFIED"
	PhaseAuthn       Phase = "AUTHN"
	PhaseAuthz       Phase = "AUTHZ"
	PhaseStats       Phase = "STATS"
)

// Placement is a place next to a named filter. Where a proxy's chain doesn't have that filter, the plugin doesn't run.
// +kubebuilder:validation:ExactlyOneOf=before;after
type Placement struct {
	// before is the name of the HTTP filter that the plugin runs directly before, for example envoy.filters.http.cors.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Before string `json:"before,omitempty"`

	// after is the name of the HTTP filter that the plugin runs directly after.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self != 'envoy.filters.http.router'",message="nothing can run after envoy.filters.http.router; use before"
	After string `json:"after,omitempty"`
}

// Override gives some requests other rules, or none. Proxies of Istio 1.21 on.
// +kubebuilder:validation:ExactlyOneOf=rules;rulesFrom;mode
type Override struct {
	// match picks the requests.
	// +required
	Match OverrideMatch `json:"match,omitzero"`

	// rules replaces the plugin's rules for these requests, within the same bounds.
	// +optional
	// +mapType=atomic
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	Rules *apiextensionsv1.JSON `json:"rules,omitempty"`

	// rulesFrom replaces the plugin's rules for these requests, each source merged over those before it.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	RulesFrom []RulesSource `json:"rulesFrom,omitempty"`

	// mode Disable keeps the plugin from these requests.
	// +optional
	Mode OverrideMode `json:"mode,omitempty"`
}

// OverrideMode says what an override does instead of giving rules.
// +kubebuilder:validation:Enum=Disable
type OverrideMode string

// Values of OverrideMode.
const (
	OverrideDisable OverrideMode = "Disable"
)

// OverrideMatch picks requests by the virtual host and the route that serve them. Hosts and routes are ANDed.
// +kubebuilder:validation:AtLeastOneOf=hosts;routes
// +kubebuilder:validation:XValidation:rule="!has(self.hosts) || self.hosts.all(host, host.matches('^([*]|([*][.])?[a-z0-9_]([-a-z0-9_.]*[a-z0-9_])?)$'))",message="a host is a name in lower case without a port, such as shop.example.com or *.example.com",fieldPath=".hosts"
type OverrideMatch struct {
	// hosts are domains of virtual hosts, literally: a wildcard means the virtual host of that very name, not what it
	// covers. They need istiod 1.25 or newer.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=253
	Hosts []string `json:"hosts,omitempty"`

	// routes are names of routes, as Envoy has them: the name in a VirtualService's http (with a dot and the name of its
	// match, where that has one), or the name of an HTTPRoute's rule; of a rule without one, NAMESPACE.NAME.RULE, where
	// RULE is its number from 0.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	Routes []string `json:"routes,omitempty"`
}
