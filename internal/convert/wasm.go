// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"maps"
	"slices"
	"strings"
	"time"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

const (
	wasmType         = "envoy.extensions.filters.http.wasm.v3.Wasm"
	networkWasmType  = "envoy.extensions.filters.network.wasm.v3.Wasm"
	typedStruct      = "xds.type.v3.TypedStruct"
	olderTypedStruct = "udpa.type.v1.TypedStruct"
)

// message is a typed configuration.
type message struct {
	kind string
	body *fields
	// older says that it stands in a TypedStruct of the name that Envoy has left.
	older bool
}

// open takes a typed configuration out of what it is wrapped in.
func open(typed *fields) message {
	kind := messageOf(typed.text("@type"))
	if kind != typedStruct && kind != olderTypedStruct {
		return message{kind: kind, body: typed}
	}
	return message{messageOf(typed.text("typeUrl")), typed.object("value"), kind == olderTypedStruct}
}

func (m message) isWasm() bool {
	return strings.HasSuffix(m.kind, ".Wasm") && strings.Contains(m.kind, ".wasm.")
}

func (m message) isNetwork() bool { return strings.Contains(m.kind, ".network.") }

// wasm carries over Envoy's PluginConfig.
func (d *draft) wasm(m message) {
	spec := &d.plugin.Spec
	if m.older {
		d.note("%s: %s is the older name of %s; the operator writes Wasm itself", m.body.path, olderTypedStruct, typedStruct)
	}
	if m.kind != wasmType && m.kind != networkWasmType {
		d.note("%s: %s is of an Envoy that is gone; the operator writes %s", m.body.path, m.kind, wasmType)
	}
	if m.isNetwork() {
		spec.Type = wasmv1alpha1.PluginTypeNetwork
	}
	config := m.body.object("config")
	config.skip("name") // of logs and metrics; written anew
	spec.PluginName = config.text("rootId")
	d.configuration(config, "configuration")
	d.failure(config)
	d.switches(config)
	d.capabilities(config.object("capabilityRestrictionConfig"))
	d.vm(config.object("vmConfig"))
}

func (d *draft) failure(config *fields) {
	spec := &d.plugin.Spec
	if config.flag("failOpen") {
		spec.FailStrategy = wasmv1alpha1.FailOpen
	}
	switch policy := config.text("failurePolicy"); policy {
	case "", "UNSPECIFIED":
	case "FAIL_OPEN":
		spec.FailStrategy = wasmv1alpha1.FailOpen
	case "FAIL_CLOSED":
		spec.FailStrategy = wasmv1alpha1.FailClose
	case "FAIL_RELOAD":
		spec.FailStrategy = wasmv1alpha1.FailReload
	default:
		d.refuse("%s is none of FAIL_OPEN, FAIL_CLOSED and FAIL_RELOAD", config.join("failurePolicy"))
	}
	if !config.has("reloadConfig") {
		return
	}
	backoff := config.object("reloadConfig").object("backoff")
	reload := wasmv1alpha1.ReloadConfig{
		BaseIntervalSeconds: d.seconds(backoff, "baseInterval", 3600), MaxIntervalSeconds: d.seconds(backoff, "maxInterval", 86400),
	}
	if spec.FailStrategy == wasmv1alpha1.FailReload {
		spec.Envoy.ReloadConfig = reload
		return
	}
	d.note("%s: has an effect with FAIL_RELOAD only, and was left out", config.join("reloadConfig"))
}

// seconds reads a duration of protobuf, 2.5s, as whole seconds.
func (d *draft) seconds(f *fields, name string, most int32) int32 {
	if !f.has(name) {
		return 0
	}
	text := f.text(name)
	value, err := time.ParseDuration(text)
	if err != nil || value < 0 {
		d.refuse("%s is no duration such as 2s", f.join(name))
		return 0
	}
	whole := min(max(value.Round(time.Second), time.Second), time.Duration(most)*time.Second)
	if whole != value {
		d.note("%s: is %s; here it is whole seconds, from 1 to %d", f.join(name), value, most)
	}
	return int32(whole / time.Second) //nolint:gosec // it is bounded by most
}

func (d *draft) switches(config *fields) {
	if config.has("allowOnHeadersStopIteration") {
		d.plugin.Spec.Envoy.AllowOnHeadersStopIteration = switchOf(config.flag("allowOnHeadersStopIteration"))
	}
}

func switchOf(on bool) wasmv1alpha1.Switch {
	if on {
		return wasmv1alpha1.SwitchEnabled
	}
	return wasmv1alpha1.SwitchDisabled
}

func (d *draft) capabilities(config *fields) {
	allowed, _ := config.value("allowedCapabilities").(map[string]any)
	restriction := &d.plugin.Spec.Envoy.CapabilityRestriction
	for _, name := range slices.Sorted(maps.Keys(allowed)) {
		restriction.AllowedCapabilities = append(restriction.AllowedCapabilities, name)
		if settings, _ := allowed[name].(map[string]any); len(settings) > 0 {
			d.note("%s.%s: its sanitization was left out, which Envoy never looked at", config.join("allowedCapabilities"), name)
		}
	}
}

func (d *draft) vm(vm *fields) {
	spec := &d.plugin.Spec
	vm.skip("vmId") // written anew, and never shared
	if runtime := vm.text("runtime"); runtime == "envoy.wasm.runtime.null" {
		d.refuse("%s is a plugin that was compiled into Envoy, and no module", vm.join("runtime"))
	} else if runtime != "" && runtime != "envoy.wasm.runtime.v8" {
		d.note("%s: is %q; here it is always V8", vm.join("runtime"), runtime)
	}
	if vm.flag("allowPrecompiled") {
		d.note("%s: was left out; code that was compiled elsewhere is not run here", vm.join("allowPrecompiled"))
	}
	if vm.flag("nackOnCodeCacheMiss") {
		spec.Envoy.NackOnCodeCacheMiss = wasmv1alpha1.SwitchEnabled
	}
	if text, ok := vm.values["configuration"].(string); ok {
		vm.skip("configuration")
		spec.Envoy.VMConfiguration = text
	} else if vm.has("configuration") {
		spec.Envoy.VMConfiguration, _ = d.anyText(vm.object("configuration"))
	}
	if vm.has("capabilityRestrictionConfig") { // where Envoy's own VmConfig has it
		d.capabilities(vm.object("capabilityRestrictionConfig"))
	}
	d.environment(vm.object("environmentVariables"))
	d.code(vm.object("code"))
}

// environment leaves out what Istio's agent reads instead of the plugin.
func (d *draft) environment(f *fields) {
	spec := &d.plugin.Spec
	values := f.table("keyValues")
	for _, name := range slices.Sorted(maps.Keys(values)) {
		switch path := f.join("keyValues") + "." + name; {
		case name == "ISTIO_META_WASM_IMAGE_PULL_SECRET":
			d.note("%s: holds a registry's credentials for whoever may read the EnvoyFilter, and was left out; change the password, put it into a Secret of type kubernetes.io/dockerconfigjson, and name that in imagePullSecret", path)
		case name == "ISTIO_META_WASM_IMAGE_PULL_POLICY" && values[name] == string(wasmv1alpha1.PullAlways):
			spec.ImagePullPolicy = wasmv1alpha1.PullAlways
		case strings.HasPrefix(name, "ISTIO_META_"):
			d.note("%s: was left out; the operator writes what Istio's agent needs", path)
		default:
			spec.VMConfig.Env = append(spec.VMConfig.Env, wasmv1alpha1.EnvVar{Name: name, Value: new(values[name])})
		}
	}
	for _, name := range f.texts("hostEnvKeys") {
		if _, twice := values[name]; twice {
			d.note("%s: %s has a value of its own, too, which is kept", f.join("hostEnvKeys"), name)
			continue
		}
		spec.VMConfig.Env = append(spec.VMConfig.Env, wasmv1alpha1.EnvVar{Name: name, ValueFrom: wasmv1alpha1.EnvHost})
	}
}

// code is where the module is.
func (d *draft) code(code *fields) {
	if code.has("local") {
		code.skip("local")
		d.refuse("%s is a module in the proxy's own container; serve it over https, or push it to a registry, and write that as code.remote.http_uri.uri", code.join("local"))
		return
	}
	remote := code.object("remote")
	uri := remote.object("httpUri")
	d.plugin.Spec.URL = uri.text("uri")
	if d.plugin.Spec.URL == "" {
		d.refuse("%s names no module", code.path)
		return
	}
	d.sha256(remote.join("sha256"), remote.text("sha256"))
	if d.plugin.Spec.SHA256 == "" && !strings.Contains(d.plugin.Spec.URL, "@sha256:") {
		d.note("%s: is missing, so the module may change unnoticed; wasmctl inspect tells the digest", remote.join("sha256"))
	}
	if uri.text("cluster") == "" {
		d.note("%s: is missing, which Envoy requires; the operator writes it", uri.join("cluster"))
	}
	if !uri.has("timeout") {
		d.note("%s: is missing, and Istio's agent then gives up after 5 seconds; the operator writes 30", uri.join("timeout"))
	}
	uri.skip("timeout")
}
