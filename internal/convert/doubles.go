// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"
	"slices"
	"strings"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// Double is a plugin that others' objects load, too, into proxies that may be the same.
type Double struct {
	// Plugin is ours, as namespace/name.
	Plugin string `json:"plugin"`
	// Others are the objects that load it, too.
	Others []string `json:"others"`
	// Same are what both have.
	Same []string `json:"same"`
	// Proxies says whether they are the same for certain.
	Proxies string `json:"proxies"`
}

// Doubles finds the plugins of ours that others' objects load as well. Remarks are about objects that could not be
// compared, or load it in words only.
func Doubles(ours []wasmv1alpha1.WasmPlugin, others []Object, rootNamespace string) ([]Double, []Remark) {
	result := Import(others, Options{RootNamespace: rootNamespace})
	var remarks []Remark
	for _, refused := range result.Refused {
		refused.Why = "could not be compared: " + refused.Why
		remarks = append(remarks, refused)
	}
	var doubles []Double
	for i := range ours {
		for _, other := range result.Plugins {
			same := sameModule(&ours[i], other)
			proxies := meet(&ours[i], other.Plugin, rootNamespace)
			if len(same) == 0 || proxies == "" || !listenersMeet(ours[i].Spec, other.Plugin.Spec) {
				continue
			}
			name := ours[i].Namespace + "/" + ours[i].Name
			if other.dead {
				remarks = append(remarks, Remark{Place: strings.Join(other.From, " and "), About: "WasmPlugin " + name, Why: "is meant there, too, but in a way that no proxy of today has; delete what is dead"})
				continue
			}
			doubles = append(doubles, Double{Plugin: name, Others: other.From, Same: same, Proxies: proxies})
		}
	}
	slices.SortStableFunc(doubles, func(a, b Double) int { return strings.Compare(a.Plugin, b.Plugin) })
	return doubles, remarks
}

// sameModule says by what two plugins are taken for one.
func sameModule(ours *wasmv1alpha1.WasmPlugin, other Plugin) []string {
	var same []string
	theirs := other.Plugin.Spec
	switch {
	case moduleURL(ours.Spec.URL) == moduleURL(theirs.URL):
		same = append(same, "url")
	case repository(ours.Spec.URL) == repository(theirs.URL):
		same = append(same, "url, of another version")
	case ours.Spec.SHA256 != "" && ours.Spec.SHA256 == theirs.SHA256:
		same = append(same, "sha256")
	}
	if discovered, _, _ := strings.Cut(other.discovered, "~"); discovered == resourcePrefix+ours.Namespace+"."+ours.Name {
		same = append(same, "discovery name")
	}
	if ours.Spec.PluginName != "" && ours.Spec.PluginName == theirs.PluginName {
		same = append(same, "pluginName "+fmt.Sprintf("%q", theirs.PluginName))
	}
	return same
}

// resourcePrefix begins the names under which proxies discover our plugins.
const resourcePrefix = "wasm.solarmesh.io/"

// moduleURL writes an image's scheme, which may be left out.
func moduleURL(url string) string {
	if !strings.Contains(url, "://") {
		return "oci://" + url
	}
	return url
}

// repository is an image without its tag and digest; anything else is itself.
func repository(url string) string {
	url = moduleURL(url)
	if !strings.HasPrefix(url, "oci://") {
		return url
	}
	url, _, _ = strings.Cut(url, "@")
	if colon := strings.LastIndexByte(url, ':'); colon > strings.LastIndexByte(url, '/') {
		url = url[:colon]
	}
	return url
}

// Answers about proxies.
const (
	proxiesSame = "the same"
	proxiesMay  = "may be the same"
)

// meet says whether two plugins reach a proxy in common, "" where they can't.
func meet(a, b *wasmv1alpha1.WasmPlugin, rootNamespace string) string {
	if a.Namespace != b.Namespace && a.Namespace != rootNamespace && b.Namespace != rootNamespace {
		return ""
	}
	switch left, right := a.Spec.TargetRefs, b.Spec.TargetRefs; {
	case len(left)+len(right) == 0:
		return labelsMeet(a.Spec.Selector.MatchLabels, b.Spec.Selector.MatchLabels)
	case len(left) == 0 || len(right) == 0:
		return proxiesMay // labels of a Gateway's pods are not known here
	case slices.ContainsFunc(left, func(t wasmv1alpha1.TargetReference) bool { return targets(right, t) }):
		return proxiesSame
	}
	return ""
}

func labelsMeet(left, right map[string]wasmv1alpha1.LabelValue) string {
	for key, value := range left {
		if other, both := right[key]; both && other != value {
			return ""
		}
	}
	if within(left, right) || within(right, left) {
		return proxiesSame
	}
	return proxiesMay
}

func targets(references []wasmv1alpha1.TargetReference, target wasmv1alpha1.TargetReference) bool {
	return slices.ContainsFunc(references, func(r wasmv1alpha1.TargetReference) bool {
		return r.Kind == target.Kind && r.Name == target.Name
	})
}

// within says whether all of the labels are among the others.
func within(labels, others map[string]wasmv1alpha1.LabelValue) bool {
	for key := range labels {
		if _, there := others[key]; !there {
			return false
		}
	}
	return true
}

// listenersMeet says whether two plugins of one type stand in a listener in common.
func listenersMeet(a, b wasmv1alpha1.WasmPluginSpec) bool {
	if (a.Type == wasmv1alpha1.PluginTypeNetwork) != (b.Type == wasmv1alpha1.PluginTypeNetwork) {
		return false
	}
	for _, left := range entriesOf(a) {
		for _, right := range entriesOf(b) {
			both := slices.ContainsFunc(contexts(left.Context), func(c wasmv1alpha1.Context) bool { return slices.Contains(contexts(right.Context), c) })
			if both && portsMeet(left.Ports, right.Ports) {
				return true
			}
		}
	}
	return false
}

func entriesOf(spec wasmv1alpha1.WasmPluginSpec) []wasmv1alpha1.TrafficSelector {
	if len(spec.Match) == 0 {
		return []wasmv1alpha1.TrafficSelector{{}}
	}
	return spec.Match
}

func portsMeet(a, b []wasmv1alpha1.PortSelector) bool {
	return len(a) == 0 || len(b) == 0 || slices.ContainsFunc(a, func(p wasmv1alpha1.PortSelector) bool { return slices.Contains(b, p) })
}
