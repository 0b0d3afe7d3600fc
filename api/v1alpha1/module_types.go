// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// ImagePullPolicy says when a proxy fetches a module again.
// +kubebuilder:validation:Enum=IfNotPresent;Always
type ImagePullPolicy string

// Values of ImagePullPolicy.
const (
	PullIfNotPresent ImagePullPolicy = "IfNotPresent"
	PullAlways       ImagePullPolicy = "Always"
)

// Delivery says where proxies fetch a module.
// +kubebuilder:validation:Enum=Store;Direct
type Delivery string

// Values of Delivery.
const (
	DeliveryStore  Delivery = "Store"
	DeliveryDirect Delivery = "Direct"
)

// Verification asks for a cosign signature.
// +kubebuilder:validation:MinProperties=1
type Verification struct {
	// keys are cosign public keys; any one of them must have signed the module.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Keys []VerificationKey `json:"keys,omitempty"`
}

// VerificationKey is a public key in PEM.
// +kubebuilder:validation:ExactlyOneOf=inline;configMapKeyRef;secretKeyRef
type VerificationKey struct {
	// inline is the key itself.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=8192
	Inline string `json:"inline,omitempty"`

	// configMapKeyRef names a key of a ConfigMap of this namespace.
	// +optional
	ConfigMapKeyRef KeyReference `json:"configMapKeyRef,omitempty,omitzero"`

	// secretKeyRef names a key of a Secret of this namespace.
	// +optional
	SecretKeyRef KeyReference `json:"secretKeyRef,omitempty,omitzero"`
}

// KeyReference names a key of a ConfigMap or a Secret of the plugin's namespace.
type KeyReference struct {
	// name is the object's name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// key is the key in it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key,omitempty"`
}

// RulesSource names rules that stand in a ConfigMap or a Secret of the plugin's namespace.
// +kubebuilder:validation:ExactlyOneOf=configMapKeyRef;secretKeyRef
type RulesSource struct {
	// configMapKeyRef names a key of a ConfigMap.
	// +optional
	ConfigMapKeyRef RulesKeyReference `json:"configMapKeyRef,omitempty,omitzero"`

	// secretKeyRef names a key of a Secret whose owner labelled it wasm.solarmesh.io/rules=allowed: its value ends in an
	// EnvoyFilter, which more people may read.
	// +optional
	SecretKeyRef RulesKeyReference `json:"secretKeyRef,omitempty,omitzero"`
}

// RulesKeyReference names a key that holds rules, as core/v1's ConfigMapKeySelector does.
type RulesKeyReference struct {
	KeyReference `json:",inline"`

	// optional skips the source where the object or the key isn't there. Default: false.
	// +optional
	Optional *bool `json:"optional,omitempty"`
}
