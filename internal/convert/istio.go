// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"strings"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// gatewayGroup is that of Gateways.
const gatewayGroup = "gateway.networking.k8s.io"

func (i *importer) istioPlugin(r *reading) {
	spec := r.root.object("spec")
	d := newDraft(r.object, r.object.Name, r.root)
	d.metadata(r.root)
	d.module(spec)
	d.around(spec)
	i.done(d)
}

func (i *importer) trafficExtension(r *reading) {
	spec := r.root.object("spec")
	if !spec.has("wasm") {
		i.result.skip(r.object, "runs Lua, and no Wasm")
		return
	}
	d := newDraft(r.object, r.object.Name, r.root)
	d.metadata(r.root)
	d.module(spec.object("wasm"))
	d.around(spec)
	i.done(d)
}

// module reads what Istio's kinds and Higress' say of the plugin itself.
func (d *draft) module(f *fields) {
	spec := &d.plugin.Spec
	spec.URL = f.text("url")
	d.sha256(f.join("sha256"), f.text("sha256"))
	d.pullPolicy(f)
	spec.ImagePullSecret = f.text("imagePullSecret")
	if spec.ImagePullSecret != "" {
		d.note("%s: the operator must be allowed to read it (modules.secretNamespaces of the chart)", f.join("imagePullSecret"))
	}
	d.verificationKey(f)
	spec.Rules = d.structRules(f.join("pluginConfig"), f.value("pluginConfig"))
	spec.PluginName = f.text("pluginName")
	spec.FailStrategy = wasmv1alpha1.FailStrategy(f.text("failStrategy"))
	d.pluginType(f)
	for _, env := range f.object("vmConfig").objects("env") {
		variable := wasmv1alpha1.EnvVar{Name: env.text("name"), ValueFrom: wasmv1alpha1.EnvValueSource(env.text("valueFrom"))}
		if env.has("value") && variable.ValueFrom != wasmv1alpha1.EnvHost {
			variable.Value = new(env.text("value"))
		}
		env.skip("value")
		spec.VMConfig.Env = append(spec.VMConfig.Env, variable)
	}
}

func (d *draft) pullPolicy(f *fields) {
	switch policy := wasmv1alpha1.ImagePullPolicy(f.text("imagePullPolicy")); policy {
	case "", "UNSPECIFIED_POLICY":
	case wasmv1alpha1.PullAlways:
		d.plugin.Spec.ImagePullPolicy = policy
		d.note("%s: here the operator looks every 10 minutes and after each change, and not each proxy", f.join("imagePullPolicy"))
	case wasmv1alpha1.PullIfNotPresent:
		d.plugin.Spec.ImagePullPolicy = policy
	default:
		d.refuse("%s is none of IfNotPresent and Always", f.join("imagePullPolicy"))
	}
}

func (d *draft) pluginType(f *fields) {
	switch kind := f.text("type"); kind {
	case "", "HTTP", "UNSPECIFIED_PLUGIN_TYPE":
	default:
		d.plugin.Spec.Type = wasmv1alpha1.PluginType(kind) // what is none, Verify says
	}
}

// verificationKey has no effect there; here it has.
func (d *draft) verificationKey(f *fields) {
	key := f.text("verificationKey")
	if key == "" {
		return
	}
	if scheme, _, found := strings.Cut(d.plugin.Spec.URL, "://"); found && scheme != "oci" {
		d.note("%s: was left out; only images in a registry have signatures", f.join("verificationKey"))
		return
	}
	d.plugin.Spec.Verification.Keys = []wasmv1alpha1.VerificationKey{{Inline: key}}
	d.note("%s: had no effect there; here a module that this key didn't sign is refused", f.join("verificationKey"))
}

// around reads what Istio's kinds say of where the plugin runs.
func (d *draft) around(f *fields) {
	d.position(f)
	d.istioTarget(f)
	entries := f.objects("match")
	targeted := len(d.plugin.Spec.TargetRefs) > 0
	if len(entries) == 0 && !targeted {
		d.match(wasmv1alpha1.ContextAny)
	}
	for _, entry := range entries {
		var ports []int64
		for _, port := range entry.objects("ports") {
			if number, there := port.number("number"); there {
				ports = append(ports, number)
			}
		}
		d.mode(entry, targeted, ports)
	}
}

// position reads phase and priority.
func (d *draft) position(f *fields) {
	spec := &d.plugin.Spec
	switch phase := f.text("phase"); phase {
	case "", "UNSPECIFIED_PHASE", "UNSPECIFIED":
	case "AUTHN":
		spec.Phase = wasmv1alpha1.PhaseAuthn
		d.note("%s: AUTHN is first of all here, before external authorization (CUSTOM); there it is after it", f.join("phase"))
	case "AUTHZ":
		spec.Phase = wasmv1alpha1.PhaseAuthz
		d.note("%s: AUTHZ is right after Istio's own authorization here, and gets no request that it denies; there it is before it", f.join("phase"))
	default:
		spec.Phase = wasmv1alpha1.Phase(phase)
	}
	if priority, there := f.number("priority"); there {
		d.priority(f.join("priority"), priority)
	}
}

// modes are Istio's, and what they mean here.
var modes = map[string][]wasmv1alpha1.Context{
	"": {wasmv1alpha1.ContextAny}, "UNDEFINED": {wasmv1alpha1.ContextAny}, modeBoth: {wasmv1alpha1.ContextAny},
	modeClient: {wasmv1alpha1.ContextGateway, wasmv1alpha1.ContextSidecarOutbound}, modeServer: {wasmv1alpha1.ContextSidecarInbound},
}

// mode adds the listeners of a mode.
func (d *draft) mode(entry *fields, targeted bool, ports []int64) {
	mode := entry.text("mode")
	meant, known := modes[mode]
	switch {
	case !known:
		d.refuse("%s is none of CLIENT, SERVER and CLIENT_AND_SERVER", entry.join("mode"))
		return
	case targeted && len(ports) > 0:
		meant = []wasmv1alpha1.Context{wasmv1alpha1.ContextGateway}
	case targeted:
		meant = nil
	}
	if targeted && (mode == modeClient || mode == modeServer) {
		d.note("%s: was left out; with targetRefs the plugin runs in every listener of the gateways and waypoints that they name", entry.join("mode"))
	}
	for _, context := range meant {
		d.match(context, ports...)
	}
}

// istioTarget never widens a target: what names nothing that can be named here is refused.
func (d *draft) istioTarget(f *fields) {
	references := f.objects("targetRefs")
	if f.has("targetRef") {
		references = append(references, f.object("targetRef"))
	}
	if len(references) == 0 {
		d.target(f.object("selector").table("matchLabels"))
		return
	}
	for _, reference := range references {
		group, kind, name := reference.text("group"), reference.text("kind"), reference.text("name")
		reference.skip("namespace") // its own, or istiod refuses it
		if group != gatewayGroup {
			d.note("%s: a %s can't be named here, since istiod doesn't honour it on an EnvoyFilter; name the waypoint's Gateway", reference.path, kind)
			continue
		}
		d.plugin.Spec.TargetRefs = append(d.plugin.Spec.TargetRefs, wasmv1alpha1.TargetReference{Group: new(group), Kind: kind, Name: name})
	}
	if len(d.plugin.Spec.TargetRefs) == 0 {
		d.noTarget = f.join("targetRefs") + " names nothing that can be named here; name proxies with --selector KEY=VALUE, or a waypoint's Gateway"
	}
}
