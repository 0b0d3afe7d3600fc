// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Condition types. The first five are positive, and all are present from the operator's first visit. Reconciling and
// Stalled are kstatus' (helm --wait, Flux, Argo CD): each is present only while it is True.
const (
	// ConditionAccepted is True when the spec, and what it names, are good.
	ConditionAccepted = "Accepted"
	// ConditionModuleResolved is True when the module was fetched, verified and started on trial.
	ConditionModuleResolved = "ModuleResolved"
	// ConditionApplied is True when both EnvoyFilters stand as rendered from this generation.
	ConditionApplied = "Applied"
	// ConditionProgrammed is True when every matched proxy runs this generation.
	ConditionProgrammed = "Programmed"
	// ConditionReady sums up the others. It is True when Accepted and Applied are True and none is False.
	ConditionReady = "Ready"
	// ConditionReconciling is True while the operator works on it and needs nobody's help.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is True when only the user can help.
	ConditionStalled = "Stalled"
)

// Reasons of Accepted.
const (
	// ReasonAccepted (True): the spec is good.
	ReasonAccepted = "Accepted"
	// ReasonInvalidSpec (False): a field has a value that can't be used; the message names it.
	ReasonInvalidSpec = "InvalidSpec"
	// ReasonInvalidRules (False): rules or rulesText can't be delivered to the plugin.
	ReasonInvalidRules = "InvalidRules"
	// ReasonNotSupported (False): a field is set whose effect this version doesn't have; the message names it.
	ReasonNotSupported = "NotSupported"
	// ReasonRootNamespace (False): scope Namespace in the mesh's root namespace, where it would reach every proxy.
	ReasonRootNamespace = "RootNamespace"
	// ReasonReferenceNotFound (False): a ConfigMap, a Secret or a key that the spec names doesn't exist.
	ReasonReferenceNotFound = "ReferenceNotFound"
	// ReasonReferenceNotPermitted (False): a ConfigMap or a Secret that the spec names may not be read.
	ReasonReferenceNotPermitted = "ReferenceNotPermitted"
	// ReasonDigestRequired (False): this installation runs modules by digest only, and the spec pins none.
	ReasonDigestRequired = "DigestRequired"
	// ReasonSignatureRequired (False): this installation runs signed modules only, and the spec asks for no signature.
	ReasonSignatureRequired = "SignatureRequired"
	// ReasonRulesRejected (False): the plugin was started with these rules and refused them; the message has its own words.
	ReasonRulesRejected = "RulesRejected"
	// ReasonRenderedTooLarge (False, also of Applied): an EnvoyFilter would become too large to be stored, by itself or with
	// what stands in it until a change is complete.
	ReasonRenderedTooLarge = "RenderedTooLarge"
)

// Reasons of Applied.
const (
	// ReasonApplied (True): both EnvoyFilters stand as rendered.
	ReasonApplied = "Applied"
	// ReasonConflict (False): an EnvoyFilter of the name that is needed belongs to somebody else.
	ReasonConflict = "Conflict"
	// ReasonRefused (False): the API server, or an admission webhook, refuses the EnvoyFilter.
	ReasonRefused = "Refused"
	// ReasonApplyFailed (False): the API server could not be reached or failed; the operator tries again.
	ReasonApplyFailed = "ApplyFailed"
	// ReasonDeleting (False): an EnvoyFilter is being deleted, and a finalizer of somebody else holds it; the operator makes
	// it again when it is gone.
	ReasonDeleting = "Deleting"
	// ReasonNotAccepted (Unknown): nothing was applied, since the spec isn't accepted.
	ReasonNotAccepted = "NotAccepted"
	// ReasonNotResolved (Unknown): nothing was applied, since the module isn't there yet.
	ReasonNotResolved = "NotResolved"
)

// Reasons of ModuleResolved. False are also Blocked, Unreachable, TimedOut, Denied, NotFound, InvalidPullSecret,
// InvalidReference, TooLarge, BadArtifact, NotWasm, Unsupported, DigestMismatch, NotSigned, InvalidKey, InvalidIdentity and
// InvalidTrustRoot.
const (
	// ReasonResolved (True): the module was fetched, verified and, where the installation does so, started.
	ReasonResolved = "Resolved"
	// ReasonResolving (Unknown): the module is being fetched or started.
	ReasonResolving = "Resolving"
	// ReasonModuleRejected (False): the module was started and failed before it was given rules.
	ReasonModuleRejected = "ModuleRejected"
	// ReasonStoreUnavailable (False): the store doesn't take the module; the operator tries again.
	ReasonStoreUnavailable = "StoreUnavailable"
	// ReasonCheckerUnavailable (False): the process that starts modules doesn't answer; the operator tries again.
	ReasonCheckerUnavailable = "CheckerUnavailable"
)

// Reasons of ModuleResolved and Programmed.
const (
	// ReasonNotObserved (Unknown): this installation doesn't look at modules or proxies, or can't.
	ReasonNotObserved = "NotObserved"
)

// Reasons of Programmed, and by it of Ready.
const (
	// ReasonProgrammed (True): every matched proxy runs this generation.
	ReasonProgrammed = "Programmed"
	// ReasonWaiting (Unknown): proxies have yet to answer; the message says which.
	ReasonWaiting = "Waiting"
	// ReasonNoMatchingProxies (Unknown): no proxy that is connected runs the plugin by its selector and match.
	ReasonNoMatchingProxies = "NoMatchingProxies"
	// ReasonRejected (False): a proxy refused it; the message has Envoy's words.
	ReasonRejected = "Rejected"
	// ReasonBlockedByOther (False): a proxy refuses what it is sent because of another plugin; the message names it.
	ReasonBlockedByOther = "BlockedByOther"
	// ReasonNotEnforced (False, of Ready): the trial passed its deadline, and what was in force before still is.
	ReasonNotEnforced = "NotEnforced"
	// ReasonOff (False, of Ready): the plugin is switched off by spec.activation.mode.
	ReasonOff = "Off"
	// ReasonOnTrial (Unknown, of Applied): the EnvoyFilters are written when the proxies have accepted them on trial.
	ReasonOnTrial = "OnTrial"
	// ReasonOnCanary (Unknown): the canary proxies have the change, and the others what was in force before.
	ReasonOnCanary = "OnCanary"
	// ReasonTakenBack (False): the canary proxies have what was in force before again; the message says why.
	ReasonTakenBack = "TakenBack"
)
