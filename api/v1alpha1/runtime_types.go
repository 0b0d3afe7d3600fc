// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// FailStrategy says what happens to requests when the plugin can't be fetched or its VM fails.
// +kubebuilder:validation:Enum=FAIL_CLOSE;FAIL_OPEN;FAIL_RELOAD
type FailStrategy string

// Values of FailStrategy, as in Istio's own WasmPlugin.
const (
	FailClose  FailStrategy = "FAIL_CLOSE"
	FailOpen   FailStrategy = "FAIL_OPEN"
	FailReload FailStrategy = "FAIL_RELOAD"
)

// VMConfig is the environment of a plugin's VM.
// +kubebuilder:validation:MinProperties=1
type VMConfig struct {
	// env are the VM's environment variables.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	Env []EnvVar `json:"env,omitempty"`
}

// EnvVar is an environment variable of a plugin's VM.
// +kubebuilder:validation:XValidation:rule="self.name.matches('^[-._a-zA-Z][-._a-zA-Z0-9]*$')",message="has letters, digits and -._ only, and begins with no digit",fieldPath=".name"
// +kubebuilder:validation:XValidation:rule="!self.name.startsWith('ISTIO_META_')",message="names that begin with ISTIO_META_ are reserved for the mesh",fieldPath=".name"
// +kubebuilder:validation:XValidation:rule="!has(self.valueFrom) || self.valueFrom != 'HOST' || !has(self.value)",message="leave it out with valueFrom HOST, which takes the proxy's own value",fieldPath=".value"
type EnvVar struct {
	// The rules about name stand above, on the whole, since the API server repeats a name that breaks a rule of its own, and
	// people write NAME=SECRET.

	// name is the variable's name. Names that begin with ISTIO_META_ are the mesh's own.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Name string `json:"name,omitempty"`

	// valueFrom says where the value comes from: INLINE (default), from value, or HOST, from the proxy's own variable of
	// that name.
	// +optional
	ValueFrom EnvValueSource `json:"valueFrom,omitempty"`

	// value is the value for INLINE.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	Value *string `json:"value,omitempty"`
}

// EnvValueSource says where a variable's value comes from.
// +kubebuilder:validation:Enum=INLINE;HOST
type EnvValueSource string

// Values of EnvValueSource, as in Istio's own WasmPlugin.
const (
	EnvInline EnvValueSource = "INLINE"
	EnvHost   EnvValueSource = "HOST"
)

// EnvoyConfig holds fields of Envoy's PluginConfig and VmConfig.
// +kubebuilder:validation:MinProperties=1
type EnvoyConfig struct {
	// allowOnHeadersStopIteration lets a plugin hold back the headers while the body still reaches it (Envoy's
	// allow_on_headers_stop_iteration). Default: Envoy's, where the body is held back as well. It needs proxies of Istio
	// 1.28 or newer.
	// +optional
	AllowOnHeadersStopIteration Switch `json:"allowOnHeadersStopIteration,omitempty"`

	// capabilityRestriction names all that the plugin may call or be called for (Envoy's capability_restriction_config).
	// Default: everything. A change starts a new VM.
	// +optional
	CapabilityRestriction CapabilityRestriction `json:"capabilityRestriction,omitempty,omitzero"`

	// reloadConfig says how often a failed VM is started anew (Envoy's reload_config). Only with failStrategy FAIL_RELOAD,
	// and so on proxies of Istio 1.25 or newer.
	// +optional
	ReloadConfig ReloadConfig `json:"reloadConfig,omitempty,omitzero"`

	// vmConfiguration is passed to the VM when it starts (Envoy's vm_config.configuration). A change starts a new VM.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=65536
	VMConfiguration string `json:"vmConfiguration,omitempty"`

	// nackOnCodeCacheMiss refuses a configuration whose module isn't in Envoy's cache yet (Envoy's
	// vm_config.nack_on_code_cache_miss). Default: Disabled. Without an effect where Istio's agent fetches the module, since
	// Envoy then reads a file.
	// +optional
	NackOnCodeCacheMiss Switch `json:"nackOnCodeCacheMiss,omitempty"`
}

// Switch is on or off.
// +kubebuilder:validation:Enum=Enabled;Disabled
type Switch string

// Values of Switch.
const (
	SwitchEnabled  Switch = "Enabled"
	SwitchDisabled Switch = "Disabled"
)

// CapabilityRestriction names all that a plugin may call.
type CapabilityRestriction struct {
	// allowedCapabilities are functions of the proxy-wasm ABI, for example proxy_log.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	AllowedCapabilities []string `json:"allowedCapabilities,omitempty"`
}

// ReloadConfig says how often a failed VM is started anew.
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:validation:XValidation:rule="!has(self.baseIntervalSeconds) || !has(self.maxIntervalSeconds) || self.maxIntervalSeconds >= self.baseIntervalSeconds",message="is shorter than baseIntervalSeconds; raise it",fieldPath=".maxIntervalSeconds"
type ReloadConfig struct {
	// baseIntervalSeconds is the first interval of the backoff. Envoy's default: 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	BaseIntervalSeconds int32 `json:"baseIntervalSeconds,omitempty"`

	// maxIntervalSeconds is the longest interval of the backoff. Envoy's default: ten times the first.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	MaxIntervalSeconds int32 `json:"maxIntervalSeconds,omitempty"`
}

// ProxyVersion is a range of proxy versions.
type ProxyVersion struct {
	// minimum is the oldest release of Istio whose proxies get the plugin, for example "1.21": 1.12 or newer, and no older
	// than what the fields in use need.
	// +required
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=8
	// +kubebuilder:validation:Pattern=`^1\.(1[2-9]|[2-9][0-9])$`
	Minimum string `json:"minimum,omitempty"`
}

// Activation says how a change comes into force.
// +kubebuilder:validation:MinProperties=1
type Activation struct {
	// mode is Safe (a trial where no request passes comes first), Immediate (as Istio does), or Off (loaded, runs on no
	// request).
	// +optional
	Mode ActivationMode `json:"mode,omitempty"`

	// deadlineSeconds is how long a trial may take. Default: 120.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	DeadlineSeconds int32 `json:"deadlineSeconds,omitempty"`

	// onDeadline says what happens when a trial takes longer: Hold (default) leaves in force what was, until every proxy has
	// answered; Proceed brings the change into force unless a proxy has refused it.
	// +optional
	OnDeadline OnDeadline `json:"onDeadline,omitempty"`
}

// ActivationMode says how a change comes into force.
// +kubebuilder:validation:Enum=Safe;Immediate;Off
type ActivationMode string

// Values of ActivationMode.
const (
	ActivationSafe      ActivationMode = "Safe"
	ActivationImmediate ActivationMode = "Immediate"
	ActivationOff       ActivationMode = "Off"
)

// OnDeadline says what happens when a trial takes too long.
// +kubebuilder:validation:Enum=Hold;Proceed
type OnDeadline string

// Values of OnDeadline.
const (
	OnDeadlineHold    OnDeadline = "Hold"
	OnDeadlineProceed OnDeadline = "Proceed"
)

// Rollout brings a change of a plugin that is in force to some proxies first, after its trial. A new plugin, and a change of
// its place alone, come to all of them at once.
type Rollout struct {
	// canary are the proxies that get a change first.
	// +required
	Canary Canary `json:"canary,omitzero"`
}

// Canary picks the proxies that get a change first.
type Canary struct {
	// selector has the labels that they have beside those of the plugin's own selector.
	// +required
	Selector WorkloadSelector `json:"selector,omitzero"`

	// holdSeconds is how long all of them must have run it before the others get it. Default: 300.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	HoldSeconds int32 `json:"holdSeconds,omitempty"`
}
