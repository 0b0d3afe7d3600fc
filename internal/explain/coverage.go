// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/solarmesh/wasmplugin-operator/internal/proxies"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// Delivered is what istiod sends under the name of a filter.
type Delivered struct {
	Name string `json:"name"`
	// Of is the namespace and name of a plugin of Istio's.
	Of string `json:"of,omitempty"`
	// Missing says that a filter names it, and istiod sends nothing.
	Missing bool   `json:"missing,omitempty"`
	URL     string `json:"url,omitempty"`
	SHA256  string `json:"sha256,omitempty"`
	// Digest tells this configuration, module and rules, from any other.
	Digest       string `json:"digest,omitempty"`
	FailStrategy string `json:"failStrategy,omitempty"`
	PluginName   string `json:"pluginName,omitempty"`
	VM           string `json:"vm,omitempty"`
	// RulesBytes is the size of its configuration. What it says is never repeated.
	RulesBytes int `json:"rulesBytes,omitempty"`
}

// RouteConfiguration are the virtual hosts of some places.
type RouteConfiguration struct {
	Name         string        `json:"name"`
	Missing      bool          `json:"missing,omitempty"`
	VirtualHosts []VirtualHost `json:"virtualHosts,omitempty"`
}

// VirtualHost is what runs on the requests of some hosts.
type VirtualHost struct {
	Domains []string `json:"domains"`
	// Runs is the instance that runs; empty for the one that runs everywhere else, off for none.
	Runs string `json:"runs,omitempty"`
	// Routes are those that say something else than their virtual host, of RouteCount in all.
	Routes     []Route `json:"routes,omitempty"`
	RouteCount int     `json:"routeCount"`
}

// Route is a route that says something else than its virtual host.
type Route struct {
	Name string `json:"name,omitempty"`
	// Match is the path that it matches, in Envoy's words.
	Match string `json:"match,omitempty"`
	Runs  string `json:"runs"`
}

// Values of Runs beside the number of an instance.
const (
	RunsOff  = "off"
	RunsBase = "base"
)

// coverage says which requests lead through the plugin, as the routes of its chains have it.
func (v *viewer) coverage() {
	v.view.domains, v.view.routeNames = map[string]bool{}, map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(v.dump.routes)) {
		for _, host := range v.dump.routes[name].VirtualHosts {
			for _, domain := range host.Domains {
				v.view.domains[domain] = true
			}
			for _, route := range host.Routes {
				v.view.routeNames[route.Name] = true
			}
		}
	}
	for _, name := range v.routeConfigurations() {
		routes, there := v.dump.routes[name]
		covered := RouteConfiguration{Name: name, Missing: !there}
		for _, host := range routes.VirtualHosts {
			covered.VirtualHosts = append(covered.VirtualHosts, v.virtualHost(host))
		}
		v.view.Routes = append(v.view.Routes, covered)
	}
}

// routeConfigurations are those of the chains that requests come through with the plugin.
func (v *viewer) routeConfigurations() []string {
	names := map[string]bool{}
	for _, chain := range v.view.Chains {
		if chain.Network || chain.onTrial() {
			continue
		}
		for _, place := range chain.Places {
			if place.RouteConfiguration != "" {
				names[place.RouteConfiguration] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// onTrial says that all there is of the plugin in a chain is a trial's, through which no request comes.
func (c Chain) onTrial() bool {
	return !slices.ContainsFunc(c.Filters, func(f Filter) bool { return f.Kind == KindOurs && f.Part != translate.PartTrial })
}

// off says that the plugin is switched off in all its chains.
func (v *viewer) off() bool {
	return !slices.ContainsFunc(v.view.Chains, func(c Chain) bool { return !c.onTrial() && c.runs() })
}

// runs says that a chain has the plugin, and not only disabled.
func (c Chain) runs() bool {
	return slices.ContainsFunc(c.Filters, func(f Filter) bool { return f.Kind == KindOurs && !f.Disabled })
}

func (v *viewer) virtualHost(host virtualHost) VirtualHost {
	covered := VirtualHost{Domains: withoutPorts(host.Domains), Runs: v.runs(host.Config), RouteCount: len(host.Routes)}
	if covered.Runs == "" && v.off() {
		covered.Runs = RunsOff
	}
	for _, route := range host.Routes {
		runs := v.runs(route.Config)
		if runs == "" || runs == covered.Runs {
			continue
		}
		covered.Routes = append(covered.Routes, Route{Name: route.Name, Match: matchOf(route.Match), Runs: runs})
	}
	return covered
}

// runs reads what a virtual host or a route says of the plugin's instances; "" where it says nothing.
func (v *viewer) runs(config filterConfig) string {
	said, on := "", ""
	for _, name := range slices.Sorted(maps.Keys(config)) {
		part, index, ours := translate.PartOf(v.plugin.Namespace, v.plugin.Name, name)
		if !ours || !v.chained(name) || config[name].Type != filterSetting {
			continue
		}
		switch {
		case !config[name].Disabled && (index != "0" || part == translate.PartTrial):
			on = index
		case !config[name].Disabled:
			on = RunsBase
		default:
			said = RunsOff
		}
	}
	if on != "" {
		return on
	}
	return said
}

// chained says whether a filter of this name stands in a chain: routes may name those that a canary replaced.
func (v *viewer) chained(name string) bool {
	return slices.ContainsFunc(v.view.Chains, func(c Chain) bool {
		return slices.ContainsFunc(c.Filters, func(f Filter) bool { return f.Name == name })
	})
}

// withoutPorts leaves out the forms of a host with a port, where the host itself is there.
func withoutPorts(domains []string) []string {
	var kept []string
	for _, domain := range domains {
		host, _, found := strings.Cut(domain, ":")
		if !found || !slices.Contains(domains, host) {
			kept = append(kept, domain)
		}
	}
	return kept
}

func matchOf(match map[string]json.RawMessage) string {
	for _, key := range []string{"path", "prefix", "pathSeparatedPrefix"} {
		var text string
		if json.Unmarshal(match[key], &text) == nil {
			return key + " " + text
		}
	}
	var pattern struct {
		Regex string `json:"regex"`
	}
	if json.Unmarshal(match["safeRegex"], &pattern) == nil && pattern.Regex != "" {
		return "regex " + pattern.Regex
	}
	return ""
}

// delivered looks up what the filters of the plugin and of Istio's own plugins discover.
func (v *viewer) delivered() {
	seen := map[string]bool{}
	for _, chain := range v.view.Chains {
		for _, filter := range chain.Filters {
			if !filter.Discovered || seen[filter.Name] {
				continue
			}
			seen[filter.Name] = true
			switch filter.Kind {
			case KindOurs:
				v.view.Delivered = append(v.view.Delivered, v.deliveredAs(filter.Name, filter.Name))
			case KindNative:
				native := v.deliveredAs(filter.Name, withoutPrefix(filter.Name))
				native.Of = filter.Of
				v.view.Natives = append(v.view.Natives, native)
			case KindPlugin, KindIstio, KindForeign:
			}
		}
	}
}

// deliveredAs reads what the dump has under a name.
func (v *viewer) deliveredAs(name, inDump string) Delivered {
	found, there := v.dump.extensions[name]
	if !there {
		found, there = v.dump.extensions[inDump]
	}
	one := Delivered{Name: name, Missing: !there && v.view.NotDumped == ""}
	if !there || found.setting == nil {
		return one
	}
	setting := found.setting
	one.URL, one.SHA256 = setting.VM.Code.Remote.HTTP.URI, setting.VM.Code.Remote.SHA256
	if one.URL == "" && setting.VM.Code.Local.File != "" {
		one.URL = "file://" + setting.VM.Code.Local.File
	}
	one.FailStrategy, one.PluginName, one.VM = setting.failStrategy(), setting.RootID, setting.VM.ID
	one.RulesBytes, one.Digest = setting.rulesBytes(), digestOf(found.raw)
	return one
}

// failStrategy is in the words of the WasmPlugin.
func (s wasmSetting) failStrategy() string {
	switch {
	case s.FailurePolicy == "FAIL_OPEN", s.FailOpen:
		return "FAIL_OPEN"
	case s.FailurePolicy == "FAIL_RELOAD":
		return "FAIL_RELOAD"
	default:
		return "FAIL_CLOSE"
	}
}

func (s wasmSetting) rulesBytes() int {
	var text struct {
		Value string `json:"value"`
	}
	if json.Unmarshal(s.Configuration, &text) != nil {
		return 0
	}
	return len(text.Value)
}

// digestOf is the one by which the operator tells what is delivered; empty where it can't be told.
func digestOf(raw json.RawMessage) string {
	alone := bytes.Join([][]byte{[]byte(`{"configs":[`), raw, []byte(`]}`)}, nil)
	extensions, err := proxies.DecodeExtensions(alone)
	if err != nil || len(extensions) == 0 {
		return ""
	}
	digest, err := translate.Digest(extensions)
	if err != nil {
		return ""
	}
	return digest
}
