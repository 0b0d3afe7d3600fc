// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// WasmPlugin runs a WebAssembly plugin in proxies of an Istio mesh.
//
// The operator turns it into two EnvoyFilters of its namespace, <name>-config (the plugin's configuration, an
// EXTENSION_CONFIG) and <name>-filter (where it stands in the filter chain, an HTTP_FILTER). They go when it goes.
//
// +genclient
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=wasmp,categories=istio-extensions
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Proxies",type=string,JSONPath=`.status.proxies.summary`
// +kubebuilder:printcolumn:name="Digest",type=string,JSONPath=`.status.module.shortDigest`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63",message="metadata.name: at most 63 characters, since the EnvoyFilters' names and a label are made of it"
type WasmPlugin struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is what to run, where, and with which rules.
	// +required
	Spec WasmPluginSpec `json:"spec,omitzero"`

	// status is what the operator made of it.
	// +optional
	Status WasmPluginStatus `json:"status,omitempty,omitzero"`
}

// WasmPluginList is a list of WasmPlugins.
//
// +kubebuilder:object:root=true
type WasmPluginList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty,omitzero"`
	Items           []WasmPlugin `json:"items"`
}

// WasmPluginSpec says what to run, where, and with which rules. Required are url and one target: selector, targetRefs
// or scope.
//
// +kubebuilder:validation:ExactlyOneOf=selector;targetRefs;scope
// +kubebuilder:validation:AtMostOneOf=rules;rulesText
// +kubebuilder:validation:AtMostOneOf=rulesFrom;rulesText
// +kubebuilder:validation:AtMostOneOf=phase;placement
// +kubebuilder:validation:XValidation:rule="!has(self.sha256) || !self.url.contains('@sha256:') || self.url.endsWith('@sha256:' + self.sha256)",message="sha256: differs from the digest in url; keep one of them, or make them equal"
// +kubebuilder:validation:XValidation:rule="!has(self.delivery) || self.delivery != 'Direct' || (!has(self.imagePullSecret) && !self.url.startsWith('store://'))",message="delivery: Direct works neither with imagePullSecret nor with a store:// url, since the proxy fetches from url itself; set Store or leave it out"
type WasmPluginSpec struct {
	// url says where the module is: oci://registry/repository:tag or @sha256:digest (the scheme may be left out),
	// https://, http://, or store://NAME[:TAG] for the operator's own store. Credentials never stand in it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.matches('^[!-~]+$') && !self.contains('#')",message="must be printable ASCII without spaces or a fragment (#)"
	// +kubebuilder:validation:XValidation:rule="!self.contains('://') || self.matches('^(oci|https?|store)://')",message="unknown scheme; use oci://, https://, http:// or store://"
	// +kubebuilder:validation:XValidation:rule="self.contains('://') ? self.matches('^[a-z]+://[^/:?]') : self.matches('^[^/:?]')",message="has no host; write for example oci://registry.example.com/plugin:1.0"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[a-z]+://[^/]*@[^/]*/') && !self.matches('^[^/@]*:[^/@]*@[^/]*/') && !self.matches('^https?://[^/]*@')",message="must not contain a user name or password; name a Secret in imagePullSecret"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^https?://') || (isURL(self) && url(self).getHostname() != '')",message="not a valid URL; check the host and %-escapes"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[a-z]+://[^/]*:(0*|[0-9]{6,})/')",message="has a port that is empty, 0 or above 65535"
	URL string `json:"url,omitempty"`

	// sha256 pins the module, 64 lower-case hex digits. For oci it is the digest of the image's manifest, for http(s) of
	// the module itself after unpacking, both as in Istio's own WasmPlugin.
	// +optional
	// +kubebuilder:validation:MinLength=64
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[a-f0-9]{64}$`
	SHA256 string `json:"sha256,omitempty"`

	// imagePullPolicy says when a proxy fetches the module again: IfNotPresent keeps what it has, Always fetches again
	// after every change of the spec. Default: Always for an oci url with the tag latest or none, otherwise IfNotPresent.
	// +optional
	ImagePullPolicy ImagePullPolicy `json:"imagePullPolicy,omitempty"`

	// imagePullSecret names a Secret of type kubernetes.io/dockerconfigjson in this namespace. The operator pulls with
	// it; it is copied nowhere.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ImagePullSecret string `json:"imagePullSecret,omitempty"`

	// verification asks for a signature on the module.
	// +optional
	Verification Verification `json:"verification,omitempty,omitzero"`

	// pluginName selects one of several plugins in the module: Envoy's root_id.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	PluginName string `json:"pluginName,omitempty"`

	// rules is the plugin's configuration, a JSON object. The same value arrives at the plugin as text: numbers as they
	// are written, keys sorted. At most 256 KiB and 64 levels.
	// +optional
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	Rules *apiextensionsv1.JSON `json:"rules,omitempty"`

	// rulesText is the plugin's configuration where that isn't JSON: it arrives byte for byte.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=262144
	RulesText string `json:"rulesText,omitempty"`

	// rulesFrom is merged in order over rules, each as a JSON merge patch (RFC 7386).
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	RulesFrom []RulesSource `json:"rulesFrom,omitempty"`

	// overrides gives requests of some hosts or routes other rules, or none. The most specific one wins.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Overrides []Override `json:"overrides,omitempty"`

	// selector picks the proxies of this namespace, or of all namespaces where this is the mesh's root namespace, by the
	// labels of their pods.
	// +optional
	Selector WorkloadSelector `json:"selector,omitempty,omitzero"`

	// targetRefs names Gateway API gateways, or what a waypoint serves.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	TargetRefs []TargetReference `json:"targetRefs,omitempty"`

	// scope Namespace picks every proxy of this namespace.
	// +optional
	Scope Scope `json:"scope,omitempty"`

	// match picks the listeners: any one of these. Default: every listener of a gateway.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Match []TrafficSelector `json:"match,omitempty"`

	// type is HTTP (default), for a plugin that filters requests, or NETWORK, for one that filters connections.
	// +optional
	Type PluginType `json:"type,omitempty"`

	// phase says where in the chain the plugin runs. AUTHN: first of all. AUTHZ, STATS, UNSPECIFIED (default): in this
	// order, after Istio's authentication and authorization.
	// +optional
	Phase Phase `json:"phase,omitempty"`

	// placement puts the plugin directly before or after a named filter, instead of phase.
	// +optional
	Placement Placement `json:"placement,omitempty,omitzero"`

	// priority orders plugins of one phase: the higher runs first. Default 0.
	// +optional
	// +kubebuilder:validation:Minimum=-1000
	// +kubebuilder:validation:Maximum=1000
	Priority *int32 `json:"priority,omitempty"`

	// failStrategy says what happens to requests when the plugin can't be fetched or its VM fails. FAIL_CLOSE (default):
	// they fail. FAIL_OPEN: they pass without it. FAIL_RELOAD: they fail until the VM was started anew.
	// +optional
	FailStrategy FailStrategy `json:"failStrategy,omitempty"`

	// vmConfig is the environment of the plugin's VM.
	// +optional
	VMConfig VMConfig `json:"vmConfig,omitempty,omitzero"`

	// envoy holds what Istio's own WasmPlugin leaves out of Envoy's PluginConfig and VmConfig.
	// +optional
	Envoy EnvoyConfig `json:"envoy,omitempty,omitzero"`

	// proxyVersion keeps the plugin from proxies that are too old for what it uses.
	// +optional
	ProxyVersion ProxyVersion `json:"proxyVersion,omitempty,omitzero"`

	// delivery says where proxies fetch the module: Store (the operator's store) or Direct (url itself). Default: Store
	// where the installation has one.
	// +optional
	Delivery Delivery `json:"delivery,omitempty"`

	// activation says how a change comes into force.
	// +optional
	Activation Activation `json:"activation,omitempty,omitzero"`

	// rollout brings a change to some proxies first.
	// +optional
	Rollout Rollout `json:"rollout,omitempty,omitzero"`
}
