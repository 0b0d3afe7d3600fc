// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"encoding/json"
	"fmt"
	"strings"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// Exported is Istio's WasmPlugin that was made of one of ours.
type Exported struct {
	// Object is the WasmPlugin of extensions.istio.io/v1alpha1.
	Object map[string]any
	// Notes are sentences about what Istio's kind can't say, and doesn't matter to who is let in.
	Notes []string
	// Lost are sentences about what it can't say, and may change who is let in.
	Lost []string
	// Impossible says why there is none at all.
	Impossible string
}

type export struct {
	Exported

	plugin *wasmv1alpha1.WasmPlugin
	spec   map[string]any
}

func (e *export) note(format string, args ...any) {
	e.Notes = append(e.Notes, fmt.Sprintf(format, args...))
}

func (e *export) lose(format string, args ...any) {
	e.Lost = append(e.Lost, fmt.Sprintf(format, args...))
}

// set leaves out what is empty.
func (e *export) set(name string, value string) {
	if value != "" {
		e.spec[name] = value
	}
}

// ToIstio makes Istio's WasmPlugin of one of ours.
func ToIstio(plugin *wasmv1alpha1.WasmPlugin) Exported {
	e := &export{plugin: plugin, spec: map[string]any{}}
	metadata := map[string]any{"name": plugin.Name, "namespace": plugin.Namespace}
	if revision := plugin.Labels[wasmv1alpha1.LabelRevision]; revision != "" {
		metadata["labels"] = map[string]any{wasmv1alpha1.LabelRevision: revision}
	}
	for _, step := range []func(wasmv1alpha1.WasmPluginSpec){e.module, e.rules, e.target, e.listeners, e.place, e.vm, e.envoy, e.change} {
		step(plugin.Spec)
	}
	e.Object = map[string]any{
		"apiVersion": groupIstio + "/v1alpha1", "kind": kindPlugin, "metadata": metadata, "spec": e.spec,
	}
	return e.Exported
}

func (e *export) module(spec wasmv1alpha1.WasmPluginSpec) {
	if strings.HasPrefix(spec.URL, "store://") {
		e.Impossible = "spec.url is in the operator's own store, from which only its own pairs lead; push the module to a registry, and write that"
	}
	e.set("url", spec.URL)
	e.set("sha256", spec.SHA256)
	e.set("imagePullPolicy", string(spec.ImagePullPolicy))
	if spec.ImagePullPolicy == wasmv1alpha1.PullAlways {
		e.note("spec.imagePullPolicy: there each proxy fetches again after each change of the object, and at no other time")
	}
	e.set("imagePullSecret", spec.ImagePullSecret)
	e.set("pluginName", spec.PluginName)
	e.set("failStrategy", string(spec.FailStrategy))
	if spec.Type == wasmv1alpha1.PluginTypeNetwork {
		e.set("type", string(spec.Type))
	}
	if len(spec.Verification.Keys)+len(spec.Verification.Identities) > 0 {
		e.lose("spec.verification: nothing there verifies a signature, so any module at that place runs; pin it with sha256")
	}
	if spec.Delivery == wasmv1alpha1.DeliveryStore {
		e.note("spec.delivery: there each proxy fetches the module itself, from url")
	}
}

func (e *export) rules(spec wasmv1alpha1.WasmPluginSpec) {
	if spec.Rules != nil {
		e.spec["pluginConfig"] = json.RawMessage(spec.Rules.Raw)
		if !floats(spec.Rules) {
			e.lose("spec.rules: has numbers that become others there, where all are 64-bit floating point")
		}
	}
	if spec.RulesText != "" {
		e.lose("spec.rulesText: there a configuration is fields and their values, and no other text; the plugin would have none")
	}
	if len(spec.RulesFrom) > 0 {
		e.lose("spec.rulesFrom: nothing there reads ConfigMaps and Secrets; only what stands in rules is left")
	}
	for i, override := range spec.Overrides {
		words := "get the plugin's own rules"
		if override.Mode == wasmv1alpha1.OverrideDisable {
			words = "run the plugin"
		}
		e.lose("spec.overrides[%d]: nothing there is for single hosts or routes; these requests would %s: %s", i, words,
			strings.Join(append(append([]string{}, override.Match.Hosts...), override.Match.Routes...), ", "))
	}
}

func (e *export) target(spec wasmv1alpha1.WasmPluginSpec) {
	if len(spec.Selector.MatchLabels) > 0 {
		labels := map[string]any{}
		for key, value := range spec.Selector.MatchLabels {
			labels[key] = string(value)
		}
		e.spec["selector"] = map[string]any{"matchLabels": labels}
	}
	var references []any
	for _, target := range spec.TargetRefs {
		reference := map[string]any{"kind": target.Kind, "name": target.Name}
		if target.Group != nil {
			reference["group"] = *target.Group
		}
		references = append(references, reference)
	}
	if references != nil {
		e.spec["targetRefs"] = references
	}
}

func (e *export) place(spec wasmv1alpha1.WasmPluginSpec) {
	if spec.Phase != wasmv1alpha1.PhaseUnspecified {
		e.set("phase", string(spec.Phase))
	}
	if spec.Phase == wasmv1alpha1.PhaseAuthn || spec.Phase == wasmv1alpha1.PhaseAuthz {
		e.note("spec.phase: %s is another place there: AUTHN after external authorization (CUSTOM), AUTHZ before Istio's own authorization", spec.Phase)
	}
	if spec.Placement != (wasmv1alpha1.Placement{}) {
		e.placement(spec)
	}
	if spec.Priority != nil {
		e.spec["priority"] = *spec.Priority
	}
	if spec.ProxyVersion.Minimum != "" {
		e.note("spec.proxyVersion: older proxies would get the plugin, too")
	}
}

// placement knows one place that there is, too: the end of the chain.
func (e *export) placement(spec wasmv1alpha1.WasmPluginSpec) {
	if spec.Placement.Before == routerFilter {
		e.note("spec.placement: before the router; there the phase UNSPECIFIED is nearly the same, before fault and cors")
		return
	}
	e.lose("spec.placement: there are phases alone, so the plugin would stand after Istio's own authorization")
}

func (e *export) vm(spec wasmv1alpha1.WasmPluginSpec) {
	var env []any
	for _, variable := range spec.VMConfig.Env {
		entry := map[string]any{"name": variable.Name}
		if variable.ValueFrom != "" {
			entry["valueFrom"] = string(variable.ValueFrom)
		}
		if variable.Value != nil {
			entry["value"] = *variable.Value
		}
		env = append(env, entry)
	}
	if env != nil {
		e.spec["vmConfig"] = map[string]any{"env": env}
	}
}

func (e *export) envoy(spec wasmv1alpha1.WasmPluginSpec) {
	envoy := spec.Envoy
	if envoy.AllowOnHeadersStopIteration == wasmv1alpha1.SwitchEnabled {
		e.lose("spec.envoy.allowOnHeadersStopIteration: Istio's kind doesn't have it, and the plugin would see bodies another way")
	}
	if len(envoy.CapabilityRestriction.AllowedCapabilities) > 0 {
		e.lose("spec.envoy.capabilityRestriction: Istio's kind doesn't have it, and the plugin might call everything")
	}
	if envoy.VMConfiguration != "" {
		e.lose("spec.envoy.vmConfiguration: Istio's kind doesn't have it")
	}
	if envoy.ReloadConfig != (wasmv1alpha1.ReloadConfig{}) {
		e.note("spec.envoy.reloadConfig: Istio's kind doesn't have it; Envoy's own intervals hold")
	}
	if envoy.NackOnCodeCacheMiss == wasmv1alpha1.SwitchEnabled {
		e.note("spec.envoy.nackOnCodeCacheMiss: Istio's kind doesn't have it")
	}
}

// change is how a change comes into force: there at once.
func (e *export) change(spec wasmv1alpha1.WasmPluginSpec) {
	if spec.Activation.Mode == wasmv1alpha1.ActivationOff {
		e.lose("spec.activation.mode: is Off, and there it would run")
	} else if spec.Activation.Mode != wasmv1alpha1.ActivationImmediate {
		e.note("spec.activation: there a change comes into force at once, without a trial: rules that the plugin refuses, or a module that can't be fetched, turn every request into a 500")
	}
	if len(spec.Rollout.Canary.Selector.MatchLabels) > 0 {
		e.note("spec.rollout: there a change comes to all proxies at once")
	}
}
