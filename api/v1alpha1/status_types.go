// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// WasmPluginStatus is what the operator made of a WasmPlugin. It is a report: the operator itself reads nothing from it.
// +kubebuilder:validation:MinProperties=1
type WasmPluginStatus struct {
	// conditions are Accepted, ModuleResolved, Applied, Programmed and Ready, and Reconciling or Stalled while they hold.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation that this status is about.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// module is the module that the plugin runs.
	// +optional
	Module ModuleStatus `json:"module,omitempty,omitzero"`

	// envoyFilters are the EnvoyFilters that stand for this plugin. The hash is a key too, so that the operator sees by
	// metadata alone (managedFields) which pair the status was written for.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +listMapKey=hash
	// +kubebuilder:validation:MaxItems=8
	EnvoyFilters []EnvoyFilterStatus `json:"envoyFilters,omitempty"`

	// activation is what flags and defaults made of spec.activation.
	// +optional
	Activation ActivationStatus `json:"activation,omitempty,omitzero"`

	// delivery is what flags and defaults made of spec.delivery.
	// +optional
	Delivery Delivery `json:"delivery,omitempty"`

	// proxies says what the matched proxies do with it.
	// +optional
	Proxies ProxiesStatus `json:"proxies,omitempty,omitzero"`
}

// ModuleStatus is a resolved module.
// +kubebuilder:validation:MinProperties=1
type ModuleStatus struct {
	// digest is that of the module's bytes, sha256:….
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=71
	Digest string `json:"digest,omitempty"`

	// shortDigest is the beginning of digest, for people.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=16
	ShortDigest string `json:"shortDigest,omitempty"`

	// size is in bytes.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Size int64 `json:"size,omitempty"`

	// abi is the proxy-wasm ABI's version.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=16
	ABI string `json:"abi,omitempty"`

	// source is where it came from, with the digest that a tag was resolved to.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2200
	Source string `json:"source,omitempty"`

	// verifiedBy says how its signature was verified.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	VerifiedBy string `json:"verifiedBy,omitempty"`
}

// EnvoyFilterStatus is an EnvoyFilter that stands for a plugin.
type EnvoyFilterStatus struct {
	// name is the EnvoyFilter's name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// role is the part that it plays.
	// +optional
	Role EnvoyFilterRole `json:"role,omitempty"`

	// hash is a hash of what the operator applied.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Hash string `json:"hash,omitempty"`
}

// EnvoyFilterRole is the part that an EnvoyFilter plays for a plugin.
// +kubebuilder:validation:Enum=Config;Filter;TrialConfig;TrialFilter;CanaryConfig;CanaryFilter
type EnvoyFilterRole string

// Values of EnvoyFilterRole.
const (
	EnvoyFilterConfig EnvoyFilterRole = "Config"
	EnvoyFilterFilter EnvoyFilterRole = "Filter"
	// EnvoyFilterTrialConfig and EnvoyFilterTrialFilter stand while a change is on trial. The first one also stays behind
	// while what it delivered is refused: it remembers that.
	EnvoyFilterTrialConfig EnvoyFilterRole = "TrialConfig"
	EnvoyFilterTrialFilter EnvoyFilterRole = "TrialFilter"
	// EnvoyFilterCanaryConfig and EnvoyFilterCanaryFilter stand while a change is on canary. The first one also stays behind
	// while the change is taken back: it remembers why.
	EnvoyFilterCanaryConfig EnvoyFilterRole = "CanaryConfig"
	EnvoyFilterCanaryFilter EnvoyFilterRole = "CanaryFilter"
)

// ActivationState says whether the plugin runs on requests.
// +kubebuilder:validation:Enum=On;Off
type ActivationState string

// Values of ActivationState.
const (
	StateOn  ActivationState = "On"
	StateOff ActivationState = "Off"
)

// ActivationStatus says how the plugin came into force.
// +kubebuilder:validation:MinProperties=1
type ActivationStatus struct {
	// mode is the mode in effect.
	// +optional
	Mode ActivationMode `json:"mode,omitempty"`

	// state is On where the plugin runs on requests.
	// +optional
	State ActivationState `json:"state,omitempty"`

	// since is when state last changed.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`

	// message says why, where that isn't plain.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}

// ProxiesStatus says what the matched proxies do with a plugin.
// +kubebuilder:validation:MinProperties=1
type ProxiesStatus struct {
	// summary is programmed/matched, for people.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	Summary string `json:"summary,omitempty"`

	// matched is how many proxies the plugin selects.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Matched *int32 `json:"matched,omitempty"`

	// programmed is how many of them run this generation.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Programmed *int32 `json:"programmed,omitempty"`

	// rejectedTotal is how many of them refused it.
	// +optional
	// +kubebuilder:validation:Minimum=0
	RejectedTotal *int32 `json:"rejectedTotal,omitempty"`

	// rejections are the first 16 refusals.
	// +optional
	// +listType=map
	// +listMapKey=proxy
	// +kubebuilder:validation:MaxItems=16
	Rejections []ProxyRejection `json:"rejections,omitempty"`
}

// ProxyRejection is a proxy's refusal.
type ProxyRejection struct {
	// proxy is POD.NAMESPACE.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	Proxy string `json:"proxy,omitempty"`

	// message is in Envoy's own words.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}
