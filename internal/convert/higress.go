// SPDX-License-Identifier: Apache-2.0

package convert

import (
	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// higressPlugin carries over the rules per host and route as overrides, which need nothing from the plugin.
func (i *importer) higressPlugin(r *reading) {
	f := r.root.object("spec")
	d := newDraft(r.object, r.object.Name, r.root)
	d.metadata(r.root)
	d.module(f)
	d.position(f)
	if len(i.Selector) == 0 {
		d.selectLabels(map[string]string{"istio": "ingressgateway"})
		d.note("spec.selector: there it is always Higress' own gateway; here it is Istio's ingress gateway, unless --selector names another. Write metadata.namespace for its namespace")
	}
	d.match(wasmv1alpha1.ContextGateway)
	d.defaults(f)
	seen := map[string]bool{}
	for _, rule := range f.objects("matchRules") {
		d.matchRule(rule, seen)
	}
	i.done(d)
}

func (d *draft) defaults(f *fields) {
	spec := &d.plugin.Spec
	if f.flag("defaultConfigDisable") {
		f.skip("defaultConfig")
		spec.Rules = nil
		d.note("%s: the plugin has no rules, but runs on every request that no override is for; give it rules with which it does nothing", f.join("defaultConfigDisable"))
		return
	}
	if f.has("defaultConfig") {
		if f.has("pluginConfig") {
			d.note("%s: stands beside defaultConfig, which is taken", f.join("pluginConfig"))
		}
		spec.Rules = d.structRules(f.join("defaultConfig"), f.value("defaultConfig"))
	}
}

// matchRule makes an override for each of a rule's hosts and routes: there any one of them is enough.
func (d *draft) matchRule(rule *fields, seen map[string]bool) {
	domains, ingresses := rule.texts("domain"), rule.texts("ingress")
	rules := d.structRules(rule.join("config"), rule.value("config"))
	rule.skip("routeType")
	if rule.flag("configDisable") {
		rule.skip("service")
		d.note("%s: takes the rule away there, and so it was left out", rule.join("configDisable"))
		return
	}
	if services := rule.texts("service"); len(services) > 0 {
		d.note("%s: was left out, so these requests get the plugin's own rules; overrides are chosen before a service is, so name its hosts or routes", rule.join("service"))
	}
	if rules == nil {
		rules = d.structRules(rule.path, map[string]any{})
	}
	if len(ingresses) > 0 {
		d.note("%s: became names of routes; see that Envoy's routes are called so here", rule.join("ingress"))
	}
	for _, domain := range domains {
		if len(domain) > 1 && domain[0] == '*' {
			d.note("%s: a name with * means the virtual host of that very name here, and not what it covers", rule.join("domain"))
		}
	}
	d.override(rule.path, wasmv1alpha1.OverrideMatch{Hosts: fresh(domains, "host ", seen)}, rules)
	d.override(rule.path, wasmv1alpha1.OverrideMatch{Routes: fresh(ingresses, "route ", seen)}, rules)
}

// fresh leaves out what an earlier rule is for: there the first one wins.
func fresh(names []string, kind string, seen map[string]bool) []string {
	var kept []string
	for _, name := range names {
		if !seen[kind+name] {
			kept = append(kept, name)
		}
		seen[kind+name] = true
	}
	return kept
}
