// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// WasmPlugin runs a WebAssembly plugin in proxies of an Istio mesh.
//
// The operator turns it into two EnvoyFilters of its namespace, <name>-config (the plugin's configuration, an
// EXTENSION_CONFIG) and <name>-filter (where it stands in the filter chain, an HTTP_FILTER or NETWORK_FILTER, and which
// requests are overridden). They go when it goes.
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
// +kubebuilder:validation:XValidation:rule="self.url.matches('^[!-~]+$') && !self.url.contains('#')",message="must be printable ASCII without spaces or a fragment (#)",fieldPath=".url"
// +kubebuilder:validation:XValidation:rule="!self.url.contains('://') || self.url.matches('^(oci|https?|store)://')",message="has an unknown scheme; use oci://, https://, http:// or store://",fieldPath=".url"
// +kubebuilder:validation:XValidation:rule="self.url.contains('://') ? self.url.matches('^[a-z]+://[^/:?]') : self.url.matches('^[^/:?]')",message="has no host; write for example oci://registry.example.com/plugin:1.0",fieldPath=".url"
// +kubebuilder:validation:XValidation:rule="!self.url.matches('^(https?|store)://[^/?]*@')",message="must not contain a user name or password; the module must be readable without them",fieldPath=".url"
// +kubebuilder:validation:XValidation:rule="self.url.matches('^(https?|store)://') || self.url.matches('^[^@]*(@sha256:[a-f0-9]{64})?$')",message="has an @ that begins no digest; a digest is @sha256: and 64 lower-case hex digits, and a user name or password must not stand here: name a Secret in imagePullSecret",fieldPath=".url"
// +kubebuilder:validation:XValidation:rule="self.url.matches('^(https?|store)://') || self.url.matches('^(oci://)?([[][^]/]*[]])?[-A-Za-z0-9._:/@]*$')",message="has a character that no image's name has; write for example oci://registry.example.com/plugin:1.0",fieldPath=".url"
// +kubebuilder:validation:XValidation:rule="!self.url.matches('^https?://') || (isURL(self.url) && url(self.url).getHostname().size() > 0)",message="is not a valid URL; check the host and %-escapes",fieldPath=".url"
// +kubebuilder:validation:XValidation:rule="!self.url.matches('^[a-z]+://[^/]*:(0*|[0-9]{6,})/') && (self.url.contains('://') || !self.url.matches('^[^/]*:(0*|[0-9]{6,})/'))",message="has a port that is empty, 0 or above 65535",fieldPath=".url"
// +kubebuilder:validation:XValidation:rule="!self.url.matches('^((oci|https?)://)?([^/?:@[]*[.])?(0[xX][0-9A-Fa-f]*|[0-9]+)[.]?([:/?]|$)') || self.url.matches('^((oci|https?)://)?((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])[.]){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])([:/?]|$)')",message="has a host that is a number, or an address in an unusual form; write its name, or an address such as 192.0.2.1 (for a user of Docker Hub docker.io/USER/…)",fieldPath=".url"
// +kubebuilder:validation:XValidation:rule="!self.url.matches('^((oci|https?)://)?(169[.]254[.][0-9.]+([:/?]|$)|100[.]100[.]100[.]200([:/?]|$)|168[.]63[.]129[.]16([:/?]|$)|192[.]0[.]0[.]192([:/?]|$)|(?i:[[](fe[89ab][0-9a-f]:|fd00:0?ec2:|fd20:0{0,2}ce:|0{0,2}64:ff9b:|0{1,4}:|::)))') || self.url.matches('^((oci|https?)://)?[[]::1[]]')",message="names a link-local address, that of a cloud's metadata service, or an IPv6 address that wraps one of IPv4; write the host that serves the module",fieldPath=".url"
// +kubebuilder:validation:XValidation:rule="!has(self.sha256) || !self.url.contains('@sha256:') || self.url.endsWith('@sha256:' + self.sha256)",message="differs from the digest in url; keep one of them, or make them equal",fieldPath=".sha256"
// +kubebuilder:validation:XValidation:rule="!has(self.delivery) || self.delivery != 'Direct' || (!has(self.imagePullSecret) && !self.url.startsWith('store://'))",message="Direct works neither with imagePullSecret nor with a store:// url, since the proxy fetches from url itself; set Store or leave it out",fieldPath=".delivery"
// +kubebuilder:validation:XValidation:rule="!has(self.verification) || !self.url.matches('^(https?|store)://')",message="needs an image in a registry, since that is where cosign keeps signatures; use an oci:// url, or pin the module with sha256",fieldPath=".verification"
// +kubebuilder:validation:XValidation:rule="!has(self.type) || self.type != 'NETWORK' || (!has(self.overrides) && !has(self.placement))",message="NETWORK takes neither overrides nor placement, which are about HTTP; take them out",fieldPath=".type"
// +kubebuilder:validation:XValidation:rule="!has(self.targetRefs) || !has(self.match) || self.match.all(m, !has(m.context) || m.context in ['GATEWAY', 'ANY'])",message="targetRefs name gateways and waypoints, which have no such context; with them it is GATEWAY or ANY",fieldPath=".match"
// +kubebuilder:validation:XValidation:rule="!has(self.envoy) || !has(self.envoy.reloadConfig) || (has(self.failStrategy) && self.failStrategy == 'FAIL_RELOAD')",message="has an effect only with failStrategy: FAIL_RELOAD; set that, or take this out",fieldPath=".envoy.reloadConfig"
type WasmPluginSpec struct {
	// The rules about url stand above, on the whole: of a field with a rule of its own the API server repeats the value when
	// the rule is broken, and that value may hold a password.

	// url says where the module is: oci://registry/repository:tag or @sha256:digest (the scheme may be left out),
	// https://, http://, or store://NAME[:TAG] for the operator's own store. Credentials never stand in it, nor does a
	// link-local address or that of a cloud's metadata service.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	URL string `json:"url,omitempty"`

	// sha256 pins the module, 64 lower-case hex digits. For oci it is the digest of the image's manifest, for http(s) of
	// the module itself after unpacking, both as in Istio's own WasmPlugin.
	// +optional
	// +kubebuilder:validation:MinLength=64
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[a-f0-9]{64}$`
	SHA256 string `json:"sha256,omitempty"`

	// imagePullPolicy says when it is looked up what a tag means: IfNotPresent once, Always after every change of the spec
	// and again and again. Default: Always for an oci url with the tag latest or none, otherwise IfNotPresent.
	// +optional
	ImagePullPolicy ImagePullPolicy `json:"imagePullPolicy,omitempty"`

	// imagePullSecret names a Secret of type kubernetes.io/dockerconfigjson in this namespace. The operator pulls with
	// it; it is copied nowhere.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ImagePullSecret string `json:"imagePullSecret,omitempty"`

	// verification asks for a signature on the module, which must be an image in a registry.
	// +optional
	Verification Verification `json:"verification,omitempty,omitzero"`

	// pluginName selects one of several plugins in the module: Envoy's root_id.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	PluginName string `json:"pluginName,omitempty"`

	// rules is the plugin's configuration, a JSON object. The same value arrives at the plugin as text: numbers as they
	// are written, keys sorted. At most 256 KiB and 64 levels. To server-side apply it is one value, with one owner.
	// +optional
	// +mapType=atomic
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	Rules *apiextensionsv1.JSON `json:"rules,omitempty"`

	// rulesText is the plugin's configuration where that isn't JSON: it arrives byte for byte.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=262144
	RulesText string `json:"rulesText,omitempty"`

	// rulesFrom is merged in order over rules, each source as a JSON merge patch (RFC 7386): objects are merged, null
	// takes a member out, anything else replaces. The bounds of rules hold for the result. When a source changes, the
	// plugin's rules change.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	RulesFrom []RulesSource `json:"rulesFrom,omitempty"`

	// overrides gives requests of some hosts or routes other rules, or none. The most specific one wins: a route of a host,
	// then a route, then a host. At most 512 pairs of host and route in all. Not with type NETWORK.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.map(o, (has(o.match.hosts) ? o.match.hosts.size() : 1) * (has(o.match.routes) ? o.match.routes.size() : 1)).sum() <= 512",message="name more than 512 pairs of host and route; split the plugin, or match fewer"
	Overrides []Override `json:"overrides,omitempty"`

	// selector picks the proxies of this namespace, or of all namespaces where this is the mesh's root namespace, by the
	// labels of their pods.
	// +optional
	Selector WorkloadSelector `json:"selector,omitempty,omitzero"`

	// targetRefs picks the proxies of Gateways of the Gateway API, waypoints among them. It needs istiod 1.27 or newer:
	// older ones ignore it and patch every proxy of the namespace, so the operator then refuses it.
	// +optional
	// +listType=map
	// +listMapKey=kind
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	TargetRefs []TargetReference `json:"targetRefs,omitempty"`

	// scope Namespace picks every proxy of this namespace.
	// +optional
	Scope Scope `json:"scope,omitempty"`

	// match picks the listeners: any one of these. Default: every listener of a gateway, and with targetRefs of a waypoint
	// too.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Match []TrafficSelector `json:"match,omitempty"`

	// type is HTTP (default), for a plugin that filters requests, or NETWORK (proxies of Istio 1.20 on), for one that
	// filters connections.
	// +optional
	Type PluginType `json:"type,omitempty"`

	// phase says where in the chain the plugin runs. AUTHN: first of all. AUTHZ, STATS, UNSPECIFIED (default): in this
	// order, after Istio's authentication and authorization.
	// +optional
	Phase Phase `json:"phase,omitempty"`

	// placement puts the plugin directly before or after a named filter, instead of phase. Not with type NETWORK.
	// +optional
	Placement Placement `json:"placement,omitempty,omitzero"`

	// priority orders plugins of one phase: the higher runs first. Default 0.
	// +optional
	// +kubebuilder:validation:Minimum=-1000
	// +kubebuilder:validation:Maximum=1000
	Priority *int32 `json:"priority,omitempty"`

	// failStrategy says what happens to requests when the plugin can't be fetched or its VM fails. FAIL_CLOSE (default):
	// they fail. FAIL_OPEN: they pass without it. FAIL_RELOAD (proxies of Istio 1.25 on): a failed VM is started anew, at
	// most as often as envoy.reloadConfig says, and until then they fail.
	// +optional
	FailStrategy FailStrategy `json:"failStrategy,omitempty"`

	// vmConfig is the environment of the plugin's VM.
	// +optional
	VMConfig VMConfig `json:"vmConfig,omitempty,omitzero"`

	// envoy holds what Istio's own WasmPlugin leaves out of Envoy's PluginConfig and VmConfig.
	// +optional
	Envoy EnvoyConfig `json:"envoy,omitempty,omitzero"`

	// proxyVersion keeps the plugin from older proxies. Default: what the fields in use need, and any proxy where they
	// need nothing.
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
