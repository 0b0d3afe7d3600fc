// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"
	"strings"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

var slimeContexts = map[string]wasmv1alpha1.Context{
	"": wasmv1alpha1.ContextSidecarOutbound, "Outbound": wasmv1alpha1.ContextSidecarOutbound, "Inbound": wasmv1alpha1.ContextSidecarInbound,
	"Gateway": wasmv1alpha1.ContextGateway,
}

// pluginManager makes a WasmPlugin of each of its plugins that is Wasm.
func (i *importer) pluginManager(r *reading) {
	f := r.root.object("spec")
	labels := f.table("workloadLabels")
	gateways := f.texts("gateways")
	plugins := f.objects("plugin")
	among, _ := f.number("priority")
	made := 0
	for n, item := range plugins {
		if !item.has("wasm") {
			i.result.skip(r.object, "%s (%s) is no Wasm", item.path, item.text("name"))
			continue
		}
		if !item.flag("enable") {
			i.result.skip(r.object, "%s (%s) isn't enabled", item.path, item.text("name"))
			continue
		}
		d := newDraft(r.object, item.text("name"), item)
		d.metadata(r.root)
		d.target(labels)
		if len(gateways) > 0 {
			d.note("%s: was left out; name the gateways' pods by their labels, with --selector KEY=VALUE", f.join("gateways"))
		}
		d.slimePlugin(item)
		if len(plugins) > 1 { // the first one runs first
			d.priority(item.path, int64(len(plugins)-n)*10)
		}
		if among != 0 {
			d.note("%s: is the order among slime's PluginManagers, and was left out; set phase and priority where plugins of several meet in one proxy", f.join("priority"))
		}
		made++
		i.done(d)
	}
	if made == 0 && len(r.problems) > 0 {
		i.result.refuse(r.object, r.problems...)
	}
}

func (d *draft) slimePlugin(item *fields) {
	spec := &d.plugin.Spec
	item.skip("typeUrl")
	wasm := item.object("wasm")
	spec.URL = wasm.text("url")
	spec.PluginName = wasm.text("pluginName")
	d.sha256(wasm.join("sha256"), wasm.text("sha256"))
	d.settings(wasm)
	spec.ImagePullSecret = wasm.text("imagePullSecretName")
	if wasm.has("imagePullSecretContent") {
		wasm.skip("imagePullSecretContent")
		d.note("%s: holds a registry's credentials, which slime writes into EnvoyFilters, and was left out; change the password, put it into a Secret of type kubernetes.io/dockerconfigjson, and name that in imagePullSecret", wasm.join("imagePullSecretContent"))
	}
	context, known := slimeContexts[item.text("listenerType")]
	if !known {
		d.refuse("%s is none of Outbound, Inbound and Gateway", item.join("listenerType"))
	}
	var ports []int64
	if port, there := item.number("port"); there && port != 0 {
		ports = append(ports, port)
	}
	d.match(context, ports...)
	spec.Placement.Before = routerFilter
	if protocol := item.text("protocol"); protocol != "" && protocol != "HTTP" {
		d.refuse("%s is %s, and only HTTP can be filtered here", item.join("protocol"), protocol)
	}
	if item.has("rawPatch") {
		item.skip("rawPatch")
		d.note("%s: was left out; placement, failStrategy and envoy are fields for what it is used for", item.join("rawPatch"))
	}
	if item.flag("disableOnFilterLevel") {
		spec.Activation.Mode = wasmv1alpha1.ActivationOff
		d.note("%s: there the plugin runs only where an EnvoyPlugin switches it on; here it runs everywhere but where an override takes requests out. It stands here switched off (activation.mode): write overrides with mode Disable for the others, and then take that out", item.join("disableOnFilterLevel"))
	}
}

// settings are rules; a text stands under _string.
func (d *draft) settings(wasm *fields) {
	values, _ := wasm.values["settings"].(map[string]any)
	if text, isText := values["_string"].(string); isText && len(values) == 1 {
		wasm.skip("settings")
		d.rulesOf(wasm.join("settings"), text)
		return
	}
	d.plugin.Spec.Rules = d.structRules(wasm.join("settings"), wasm.value("settings"))
}

// envoyPlugins become overrides of the plugins of PluginManagers in the same input.
func (i *importer) envoyPlugins(objects []Object) {
	for _, object := range objects {
		if r := i.read(object); r != nil {
			i.envoyPlugin(r)
		}
	}
}

func (i *importer) envoyPlugin(r *reading) {
	f := r.root.object("spec")
	hosts, routes := f.texts("host"), f.texts("route")
	for _, item := range f.objects("plugins") {
		name := item.text("name")
		target := i.slimeTarget(r.object.Namespace, name)
		switch {
		case !item.has("wasm"):
			i.result.skip(r.object, "%s (%s) is no Wasm", item.path, name)
		case target == nil:
			i.result.skip(r.object, "%s (%s) is about no plugin of a PluginManager in the input; name its file, too", item.path, name)
		case !item.flag("enable"):
			i.result.skip(r.object, "%s (%s) isn't enabled", item.path, name)
		default:
			i.slimeOverride(r, item, target, hosts, routes)
		}
	}
	if len(r.problems) > 0 {
		i.result.refuse(r.object, r.problems...)
	}
}

// slimeTarget is the plugin that was made of a PluginManager's plugin of this name.
func (i *importer) slimeTarget(namespace, name string) *Plugin {
	for n := range i.result.Plugins {
		if p := &i.result.Plugins[n]; p.Plugin.Namespace == namespace && p.source == kindManager+" "+name {
			return p
		}
	}
	return nil
}

func (i *importer) slimeOverride(r *reading, item *fields, target *Plugin, hosts, routes []string) {
	d := newDraft(r.object, "")
	d.settings(item.object("wasm"))
	rules := d.plugin.Spec.Rules
	changed := target.Plugin.DeepCopy()
	d.plugin = changed
	d.override(item.path, wasmv1alpha1.OverrideMatch{Hosts: hosts}, rules)
	for _, route := range routes {
		d.override(item.path, slimeRoute(route), rules)
	}
	problem := Verify(changed, i.RootNamespace)
	if problems := append(d.refused, r.problems...); len(problems) > 0 || problem != "" {
		i.result.refuse(r.object, compact(append(problems, problem))...)
		return
	}
	target.Plugin = changed
	target.From = append(target.From, fmt.Sprintf("%s (%s)", r.object, r.object.Place))
}

// slimeRoute reads NAME or HOST/NAME.
func slimeRoute(route string) wasmv1alpha1.OverrideMatch {
	host, name, found := strings.Cut(route, "/")
	if !found {
		return wasmv1alpha1.OverrideMatch{Routes: []string{route}}
	}
	return wasmv1alpha1.OverrideMatch{Hosts: []string{host}, Routes: []string{name}}
}
