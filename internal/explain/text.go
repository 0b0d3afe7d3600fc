// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/solarmesh/wasmplugin-operator/internal/status"
)

// What a text has at most of a list; other forms have all.
const (
	maxOthers, maxHosts, maxPlaces = 8, 20, 8
)

// Text is a report for people.
func (r Report) Text() string {
	t := &text{}
	ready := r.Ready
	if r.Reason != "" {
		ready += "  " + r.Reason
	}
	t.line("%s/%s  READY %s  generation %d", r.Namespace, r.Name, ready, r.Generation)
	if r.Ready != "True" && r.Message != "" {
		t.line("  %s", r.Message)
	}
	t.line("")
	r.proxiesText(t)
	for _, view := range r.Views {
		t.line("")
		view.text(t)
	}
	if len(r.Views) > 0 {
		t.line("")
		r.Order.text(t)
	}
	if len(r.Warnings) > 0 {
		t.line("")
		t.line("WARNINGS")
	}
	for _, warning := range r.Warnings {
		t.line("  ! %s", warning.Text)
	}
	return t.String()
}

// text makes lines, without what steers a terminal: words of others stand in them.
type text struct{ strings.Builder }

func (t *text) line(format string, args ...any) {
	raw := fmt.Sprintf(format, args...)
	indent := len(raw) - len(strings.TrimLeft(raw, " "))
	t.WriteString(raw[:indent] + strings.TrimRight(status.Words(raw), " ") + "\n")
}

func (r Report) proxiesText(t *text) {
	t.line("PROXIES  %d of %d match", len(r.Proxies), r.Known)
	for _, group := range r.alike() {
		first := group[0]
		var names []string
		for _, proxy := range group {
			names = append(names, proxy.ID)
		}
		t.line("  %s  %s %s  extensions %s, listeners %s", some(names), first.Type, first.Version, first.Extensions, first.Listeners)
	}
	for i, other := range r.Others {
		if i == maxOthers {
			t.line("  … and %d more reasons; -o json has all", len(r.Others)-maxOthers)
			break
		}
		t.line("  not %s: %s", other.names(), strings.Join(other.Reasons, "; "))
	}
}

// alike are proxies of which a text says the same.
func (r Report) alike() [][]Proxy {
	var groups [][]Proxy
	at := map[string]int{}
	for _, proxy := range r.Proxies {
		key := fmt.Sprint(proxy.Type, proxy.Version, proxy.Extensions, proxy.Listeners, proxy.View)
		if _, there := at[key]; !there {
			at[key] = len(groups)
			groups = append(groups, nil)
		}
		groups[at[key]] = append(groups[at[key]], proxy)
	}
	return groups
}

// String is the state in lower case; the words stand in a warning.
func (a Answer) String() string {
	return map[string]string{
		StateAcknowledged: "acknowledged", StateWaiting: "not answered yet", StateRefused: "REFUSED", StateNotSent: "not sent",
	}[a.State]
}

// names has what a single proxy has in the place of each reason.
func (o Other) names() string {
	var names []string
	for _, proxy := range o.Proxies {
		names = append(names, proxy.ID)
	}
	if len(o.Proxies) == 1 {
		return fmt.Sprintf("%s (%s)", names[0], strings.Join(o.Proxies[0].Found, ", "))
	}
	return some(names)
}

func (v View) text(t *text) {
	t.line("IN %s", some(v.Proxies))
	if len(v.Chains) == 0 {
		t.line("  no chain of filters has the plugin")
	}
	for _, chain := range v.Chains {
		chain.text(t)
	}
	placesText(t, "  not in", v.Without)
	for _, one := range slices.Concat(v.Delivered, v.Natives) {
		if v.NotDumped == "" || one.URL != "" {
			one.text(t)
		}
	}
	for _, routes := range v.Routes {
		routes.text(t)
	}
}

func (c Chain) text(t *text) {
	what := "HTTP chain"
	switch {
	case c.onTrial():
		what = "TRIAL, no request comes here"
	case c.Network:
		what = "network chain"
	}
	t.line("  %s", what)
	for i, filter := range c.Filters {
		arrow := "  "
		if filter.Kind == KindOurs {
			arrow = "→ "
		}
		t.line("    %s%2d  %s%s", arrow, i+1, filter.Name, filter.remark())
	}
	placesText(t, "    in", c.Places)
}

// remark says whose a filter is, where that isn't plain.
func (f Filter) remark() string {
	remark := ""
	switch f.Kind {
	case KindOurs:
		remark = string(f.Part)
		if f.Instance != "0" {
			remark += " " + f.Instance
		}
	case KindPlugin:
		remark = "WasmPlugin " + f.Of
	case KindNative:
		remark = "Istio's own plugin " + f.Of
	case KindForeign:
		remark = "of an EnvoyFilter"
	case KindIstio:
	}
	if f.Disabled {
		remark = strings.TrimPrefix(remark+", disabled here", ", ")
	}
	if remark == "" {
		return ""
	}
	return "  (" + remark + ")"
}

func placesText(t *text, word string, places []Place) {
	indent := strings.Repeat(" ", len(word))
	for i, place := range places {
		if i == maxPlaces {
			t.line("%s  … and %d more; -o json has all", indent, len(places)-maxPlaces)
			return
		}
		t.line("%s  %s", word, place.long())
		word = indent
	}
}

func (p Place) long() string {
	parts := []string{p.String()}
	if p.Address != "" && strings.Replace(p.Address, ":", "_", 1) != p.Listener { // which is how istiod names listeners
		parts = append(parts, p.Address)
	}
	if p.Port != 0 {
		parts = append(parts, fmt.Sprintf("port %d", p.Port))
	}
	if p.Direction != "" {
		parts = append(parts, p.Direction)
	}
	if p.TCP {
		parts = append(parts, "TCP")
	}
	if p.RouteConfiguration != "" {
		parts = append(parts, "routes "+p.RouteConfiguration)
	}
	return strings.Join(parts, "  ")
}

func (d Delivered) text(t *text) {
	name := "delivered  " + d.Name
	switch {
	case d.Missing:
		t.line("  NOT delivered  %s", d.Name)
		return
	case d.URL == "":
		t.line("  %s  no Wasm plugin", name)
		return
	}
	parts := []string{d.URL}
	if d.SHA256 != "" {
		parts = append(parts, "sha256 "+d.SHA256[:min(12, len(d.SHA256))])
	}
	parts = append(parts, d.FailStrategy, fmt.Sprintf("rules %d bytes", d.RulesBytes))
	if d.Digest != "" {
		parts = append(parts, "content "+d.Digest)
	}
	t.line("  %s", name)
	t.line("      %s", strings.Join(parts, "  "))
}

func (c RouteConfiguration) text(t *text) {
	if c.Missing {
		t.line("  routes %s: the proxy hasn't asked for them", c.Name)
		return
	}
	if all, runs := c.alike(); runs != "" {
		t.line("  routes %s: %s for %s", c.Name, runs, some(all))
		return
	}
	t.line("  routes %s", c.Name)
	for i, host := range c.ordered() {
		if i == maxHosts {
			t.line("      … and %d more virtual hosts; -o json has all", len(c.VirtualHosts)-maxHosts)
			return
		}
		t.line("      %s: %s", some(host.Domains), runsText(host.Runs))
		for _, route := range host.Routes {
			t.line("        route %s: %s", strings.Join(slices.DeleteFunc([]string{route.Name, route.Match}, func(s string) bool { return s == "" }), ", "), runsText(route.Runs))
		}
	}
}

// alike are all domains, where all requests run the same.
func (c RouteConfiguration) alike() (all []string, runs string) {
	for i, host := range c.VirtualHosts {
		if len(host.Routes) > 0 || (i > 0 && runs != runsText(host.Runs)) {
			return nil, ""
		}
		all, runs = append(all, host.Domains...), runsText(host.Runs)
	}
	return all, runs
}

// ordered has the virtual hosts first that are told apart by an override.
func (c RouteConfiguration) ordered() []VirtualHost {
	var special, plain []VirtualHost
	for _, host := range c.VirtualHosts {
		if host.Runs != "" || len(host.Routes) > 0 {
			special = append(special, host)
		} else {
			plain = append(plain, host)
		}
	}
	return slices.Concat(special, plain)
}

func runsText(runs string) string {
	switch runs {
	case "", RunsBase:
		return "base"
	case RunsOff:
		return "off"
	default:
		return "override " + runs
	}
}

func (o Order) text(t *text) {
	where := o.Operation
	if o.Anchor != "" {
		where += " " + o.Anchor
	}
	t.line("ORDER  %s  EnvoyFilter priority %d", where, o.EnvoyFilterPriority)
	t.line("  %s", o.Meaning)
}
