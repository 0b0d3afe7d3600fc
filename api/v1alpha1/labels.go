// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// FieldManager owns the fields that the operator applies, on EnvoyFilters and on a WasmPlugin's status. It is frozen:
// another name would leave the old one's fields behind in live clusters.
const FieldManager = "wasmplugin-operator"

// Labels of the EnvoyFilters that the operator writes.
const (
	// LabelManagedBy has the value FieldManager on every EnvoyFilter that the operator writes.
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// LabelPlugin names the WasmPlugin, in the same namespace, that an EnvoyFilter belongs to.
	LabelPlugin = "wasm.solarmesh.io/plugin"
	// LabelRole says which half of which pair an EnvoyFilter is: RoleConfig, RoleFilter, or one of those of a trial
	// or a canary.
	LabelRole = "wasm.solarmesh.io/role"
)

// Annotations of the EnvoyFilters that the operator writes: what a restarted operator must know without reading a spec.
// No key may contain "istio.io": istiod pushes to the proxies on every metadata change of an object that has one.
const (
	// AnnotationPluginUID is the UID of the WasmPlugin.
	AnnotationPluginUID = "wasm.solarmesh.io/plugin-uid"
	// AnnotationPluginGeneration is the WasmPlugin's generation that the pair was last rendered from, and a hash of the
	// sources, if it has some: 7 or 7-1c2d3e4f. It stands on the EnvoyFilter that was written last, so that it is there only
	// when the whole pair is.
	AnnotationPluginGeneration = "wasm.solarmesh.io/plugin-generation"
	// AnnotationHash is a hash of the rendered spec.
	AnnotationHash = "wasm.solarmesh.io/hash"
	// AnnotationRenderer tells which way of rendering the pair came from: another release of the operator, or another flag,
	// may make another pair of the same spec.
	AnnotationRenderer = "wasm.solarmesh.io/renderer"
	// AnnotationGeneration is the EnvoyFilter's own generation as the operator left it. Another generation means that
	// somebody else changed the spec.
	AnnotationGeneration = "wasm.solarmesh.io/generation"
	// AnnotationSources tells, on the half with the configuration, which versions of ConfigMaps and Secrets the rules were
	// made of, as JSON.
	AnnotationSources = "wasm.solarmesh.io/sources"
	// AnnotationModule tells, on the half with the configuration, what spec.url led to and that it was checked, as JSON: what
	// a tag meant is remembered here.
	AnnotationModule = "wasm.solarmesh.io/module"
	// AnnotationInstances has, on the half with the configuration, a checksum and the names under which it delivers: one that
	// the filter refers to must never go missing there.
	AnnotationInstances = "wasm.solarmesh.io/instances"
	// AnnotationContent is a hash of all in a pair that a proxy may refuse: the module, the VM, the rules, and which proxies
	// get them. A pair whose content was proven by a trial, or is that of the pair that stands, needs no trial.
	AnnotationContent = "wasm.solarmesh.io/content"
	// AnnotationExpectation tells, on a half with a configuration, as JSON, which proxies are to run it and by what one knows
	// that they were sent it.
	AnnotationExpectation = "wasm.solarmesh.io/expectation"
	// AnnotationTrial tells, on the trial's half with the configuration, as JSON, when the trial began, and how it ended
	// where proxies refused the content.
	AnnotationTrial = "wasm.solarmesh.io/trial"
	// AnnotationCanary tells, on the canary's half with the configuration, as JSON, since when all canary proxies have run the
	// change, and why it was taken back.
	AnnotationCanary = "wasm.solarmesh.io/canary"
	// AnnotationRejected tells, on the half with the configuration, as JSON, which proxies refused what it delivers, where
	// that met them without a trial.
	AnnotationRejected = "wasm.solarmesh.io/rejected"
	// AnnotationNudge counts, on the half with the configuration, how often proxies were asked again with the same content.
	AnnotationNudge = "wasm.solarmesh.io/nudge"
)

// AnnotationRefresh on a WasmPlugin makes the operator read the Secrets that its rules come from, and look what the tag of
// its module means, at once, whenever its value changes.
const AnnotationRefresh = "wasm.solarmesh.io/refresh"

// Annotations on a WasmPlugin that end the canary of a change by hand. Their value is what the condition Programmed names
// as the change, so that they mean no other one.
const (
	// AnnotationPromote brings the change to the other proxies now.
	AnnotationPromote = "wasm.solarmesh.io/promote"
	// AnnotationAbort takes it back.
	AnnotationAbort = "wasm.solarmesh.io/abort"
)

// AnnotationModeBeforeOff on a WasmPlugin is where wasmctl off keeps spec.activation.mode for wasmctl on. The operator doesn't
// read it.
const AnnotationModeBeforeOff = "wasm.solarmesh.io/mode-before-off"

// LabelRules with the value RulesAllowed on a Secret is its owner's consent that its values may become rules of plugins,
// and so stand in EnvoyFilters, which more people may read.
const (
	LabelRules   = "wasm.solarmesh.io/rules"
	RulesAllowed = "allowed"
)

// LabelRevision is Istio's: the control plane that an object is meant for. A WasmPlugin's goes to its EnvoyFilters, as no
// other label does.
const LabelRevision = "istio.io/rev"

// Roles of an EnvoyFilter, the values of LabelRole.
const (
	RoleConfig       = "config"
	RoleFilter       = "filter"
	RoleTrialConfig  = "trial-config"
	RoleTrialFilter  = "trial-filter"
	RoleCanaryConfig = "canary-config"
	RoleCanaryFilter = "canary-filter"
)
