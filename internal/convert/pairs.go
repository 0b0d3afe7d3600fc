// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// pairs joins filters with what configures them, wherever either stands.
func (i *importer) pairs(all []*envoyFilter) {
	joined := joining{importer: i, all: all, groups: map[string]*group{}}
	for _, e := range all {
		if len(e.problems) > 0 {
			i.result.refuse(e.object, e.problems...)
			continue
		}
		for _, f := range e.filters {
			joined.add(f)
		}
	}
	shared := joined.sharedVMs()
	for _, key := range joined.order {
		i.pair(joined.groups[key], shared)
	}
	for _, e := range all {
		for _, c := range e.configs {
			if !c.used && len(e.problems) == 0 {
				i.result.skip(e.object, "%s (EXTENSION_CONFIG %s) is loaded by no filter of the input; name the file of its HTTP_FILTER, too", c.patch.path, c.name)
			}
		}
		for _, r := range e.routes {
			if !slices.ContainsFunc(r.plugins, joined.knows) {
				i.result.skip(e.object, "%s is about none of the plugins here", r.patch.path)
			}
		}
	}
}

// group is one plugin: the filters that put it into one place for the same proxies.
type group struct {
	filters []*filter
	config  *config
	message message
	routes  []*routePatch
	// alone says that its EnvoyFilter has no other plugin.
	alone bool
}

type joining struct {
	*importer

	all    []*envoyFilter
	groups map[string]*group
	order  []string
}

func (j *joining) knows(plugin string) bool {
	for _, g := range j.groups {
		if g.filters[0].name == plugin {
			return true
		}
	}
	return false
}

func (j *joining) add(f *filter) {
	g := &group{filters: []*filter{f}}
	content := ""
	if f.inline != nil {
		g.message = *f.inline
		content, _ = encode(f.patch.object("patch").values["value"])
	} else {
		g.config = j.configOf(f)
		if g.config == nil {
			j.result.refuse(f.from.object, fmt.Sprintf("%s discovers %q, whose EXTENSION_CONFIG isn't in the input; name its file, too", f.patch.path, f.name))
			return
		}
		g.message = g.config.message
	}
	key := fmt.Sprint(f.from.object.Namespace, "\x00", f.name, "\x00", f.from.proxies(), "\x00", f.place, f.minimum, f.network, f.off, "\x00", content)
	if known := j.groups[key]; known != nil {
		known.filters = append(known.filters, f)
		return
	}
	for _, e := range j.all {
		for _, r := range e.routes {
			if slices.Contains(r.plugins, f.name) {
				g.routes = append(g.routes, r)
			}
		}
	}
	g.alone = !slices.ContainsFunc(f.from.filters, func(other *filter) bool { return other.name != f.name })
	j.groups[key], j.order = g, append(j.order, key)
}

// configOf prefers a configuration of the filter's own EnvoyFilter, then of its namespace.
func (j *joining) configOf(f *filter) *config {
	var found *config
	better := -1
	for _, e := range j.all {
		for _, c := range e.configs {
			rank := 0
			switch {
			case c.name != f.name:
				continue
			case c.from == f.from:
				rank = 2
			case e.object.Namespace == f.from.object.Namespace:
				rank = 1
			}
			if rank > better {
				found, better = c, rank
			}
		}
	}
	return found
}

// proxies tells one choice of proxies from another.
func (e *envoyFilter) proxies() string {
	targets := make([]string, 0, len(e.targets))
	for _, t := range e.targets {
		targets = append(targets, t.text("group")+"/"+t.text("kind")+"/"+t.text("name"))
	}
	return fmt.Sprint(e.labels, targets)
}

// sharedVMs are the ids of VMs that more than one plugin names.
func (j *joining) sharedVMs() map[string]bool {
	names, shared := map[string]string{}, map[string]bool{}
	for _, key := range j.order {
		g := j.groups[key]
		id := g.message.body.object("config").object("vmConfig").text("vmId")
		if known, there := names[id]; there && known != g.filters[0].name && id != "" {
			shared[id] = true
		}
		names[id] = g.filters[0].name
	}
	return shared
}

func (i *importer) pair(g *group, shared map[string]bool) {
	first := g.filters[0]
	d := newDraft(first.from.object, g.wantedName())
	d.metadata(first.from.root)
	d.proxies(first.from)
	for _, f := range g.filters {
		d.parts = append(d.parts, f.patch)
		d.notes = append(d.notes, f.notes...)
		d.listener(f)
	}
	first.place.apply(d, first.from.root.object("spec").join("priority"), first.from.priority)
	if first.network {
		d.plugin.Spec.Type = wasmv1alpha1.PluginTypeNetwork
	}
	if first.minimum != "" {
		d.plugin.Spec.ProxyVersion.Minimum = first.minimum
	}
	if first.off {
		d.plugin.Spec.Activation.Mode = wasmv1alpha1.ActivationOff
	}
	if vm := g.message.body.object("config").object("vmConfig"); shared[vm.text("vmId")] {
		d.note("%s: %q is that of other plugins, too; here none shares its VM, so they share no data", vm.join("vmId"), vm.text("vmId"))
	}
	d.wasm(g.message)
	if g.config != nil {
		d.configured(g.config, first.from)
	}
	for _, r := range g.routes {
		d.disable(r)
	}
	d.unreadBeside(first.from)
	d.discovered, d.dead = first.name, first.place.dead
	i.done(d)
}

// configured adds the half that delivers the configuration.
func (d *draft) configured(c *config, filter *envoyFilter) {
	c.used = true
	d.parts = append(d.parts, c.patch)
	if c.from == filter {
		return
	}
	d.from = append(d.from, c.from.object)
	if c.from.object.Namespace != filter.object.Namespace {
		d.note("metadata.namespace: the configuration is of namespace %s, the filter of %s, which is taken", c.from.object.Namespace, filter.object.Namespace)
	}
	if c.from.proxies() != filter.proxies() {
		d.note("spec.workloadSelector: %s and %s name different proxies; those of the first, which has the filter, are taken", filter.object, c.from.object)
	}
}

// proxies picks those of the EnvoyFilter that has the filter.
func (d *draft) proxies(e *envoyFilter) {
	if len(e.targets) == 0 {
		d.target(e.labels)
		return
	}
	for _, t := range e.targets {
		d.plugin.Spec.TargetRefs = append(d.plugin.Spec.TargetRefs, wasmv1alpha1.TargetReference{Group: new(t.text("group")), Kind: t.text("kind"), Name: t.text("name")})
	}
}

// listener adds the listeners of a filter.
func (d *draft) listener(f *filter) {
	var ports []int64
	if f.port != 0 {
		ports = append(ports, f.port)
	}
	switch f.context {
	case "", "ANY":
		d.match(wasmv1alpha1.ContextAny, ports...)
	case "GATEWAY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND":
		d.match(wasmv1alpha1.Context(f.context), ports...)
	case "WAYPOINT":
		if len(d.plugin.Spec.TargetRefs) == 0 {
			d.refuse("%s is WAYPOINT, and waypoints are named by targetRefs here", f.patch.object("match").join("context"))
		}
	default:
		d.refuse("%s is none of GATEWAY, SIDECAR_INBOUND, SIDECAR_OUTBOUND and ANY", f.patch.object("match").join("context"))
	}
}

// disable is an override that takes requests out.
func (d *draft) disable(r *routePatch) {
	d.parts = append(d.parts, r.patch)
	override := wasmv1alpha1.Override{Mode: wasmv1alpha1.OverrideDisable}
	if r.host != "" {
		override.Match.Hosts = []string{r.host}
	}
	if r.route != "" {
		override.Match.Routes = []string{r.route}
	}
	for _, known := range d.plugin.Spec.Overrides {
		if reflect.DeepEqual(known, override) {
			return
		}
	}
	d.plugin.Spec.Overrides = append(d.plugin.Spec.Overrides, override)
}

// unreadBeside notes what stands beside the patches.
func (d *draft) unreadBeside(e *envoyFilter) {
	for _, path := range e.root.unread() {
		if !strings.HasPrefix(path, "spec.configPatches") {
			d.note("%s: was left out, since nothing here means the same", path)
		}
	}
}

// wantedName is that of the filter's EnvoyFilter, where it has one plugin, or else the plugin's.
func (g *group) wantedName() string {
	first := g.filters[0]
	if g.alone {
		return first.from.object.Name
	}
	return first.name
}
