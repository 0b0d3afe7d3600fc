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

// Verification asks for a cosign signature, in either of the places where cosign keeps it in a registry. Any one of the
// keys and identities must have signed the image's manifest, or that of the index that lists it.
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:validation:XValidation:rule="has(self.keys) || has(self.identities)",message="needs keys or identities; without them there is nobody who may sign"
// +kubebuilder:validation:XValidation:rule="!has(self.trustRoot) || has(self.identities)",message="is what identities are checked against, and there are none; set identities, or take this out",fieldPath=".trustRoot"
type Verification struct {
	// keys are cosign public keys. What is signed with a key counts without an entry in a transparency log.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Keys []VerificationKey `json:"keys,omitempty"`

	// identities are signers without a key of their own (keyless). What proves their signature must come with it and is
	// checked against the trust root: the certificate and, as far as the trust root names them, the entries in the
	// certificate log and in the transparency log, or a timestamp. No service is asked.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Identities []VerificationIdentity `json:"identities,omitempty"`

	// trustRoot is what identities are checked against. Default: the trust root of the operator's installation.
	// +optional
	TrustRoot TrustRoot `json:"trustRoot,omitempty,omitzero"`
}

// VerificationIdentity is somebody for whom an issuer of identities vouches, as certificates of Sigstore name them.
// +kubebuilder:validation:ExactlyOneOf=issuer;issuerRegExp
// +kubebuilder:validation:ExactlyOneOf=subject;subjectRegExp
type VerificationIdentity struct {
	// issuer is who vouches for the signer, such as https://token.actions.githubusercontent.com.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Issuer string `json:"issuer,omitempty"`

	// issuerRegExp matches the issuer, from ^ to $, in RE2's syntax.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.startsWith('^') && self.endsWith('$')",message="must begin with ^ and end with $, so that it matches no longer name; write for example ^https://.*[.]example[.]com$"
	// +kubebuilder:validation:XValidation:rule="''.matches(self) || !''.matches(self)",message="is not a regular expression of RE2's syntax"
	IssuerRegExp string `json:"issuerRegExp,omitempty"`

	// subject is the signer: an e-mail address, or the URI of a workflow or a workload.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Subject string `json:"subject,omitempty"`

	// subjectRegExp matches the signer, from ^ to $, in RE2's syntax.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.startsWith('^') && self.endsWith('$')",message="must begin with ^ and end with $, so that it matches no longer name; write for example ^https://github[.]com/example/.*$"
	// +kubebuilder:validation:XValidation:rule="''.matches(self) || !''.matches(self)",message="is not a regular expression of RE2's syntax"
	SubjectRegExp string `json:"subjectRegExp,omitempty"`
}

// TrustRoot is a trusted_root.json of Sigstore: its certificate authorities, logs and timestamp authorities. cosign
// trusted-root create writes one.
// +kubebuilder:validation:ExactlyOneOf=inline;configMapKeyRef
type TrustRoot struct {
	// inline is the document itself.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=65536
	Inline string `json:"inline,omitempty"`

	// configMapKeyRef names a key of a ConfigMap of this namespace.
	// +optional
	ConfigMapKeyRef KeyReference `json:"configMapKeyRef,omitempty,omitzero"`
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
