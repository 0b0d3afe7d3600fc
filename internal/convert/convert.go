// SPDX-License-Identifier: Apache-2.0

// Package convert makes WasmPlugins of what others call a plugin (pairs of EnvoyFilters, Istio's and Higress' WasmPlugin,
// wasme's FilterDeployment, slime's PluginManager), Istio's WasmPlugin of ours, and finds plugins that run twice. It is
// pure, and what it can't carry over it says.
package convert

import (
	"fmt"
	"slices"
	"strings"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// Object is one object of the input.
type Object struct {
	// Place says where it stands, such as file.yaml:12.
	Place string
	// APIVersion, Kind, Namespace and Name are what they are in the object.
	APIVersion, Kind, Namespace, Name string
	// JSON is the whole object.
	JSON []byte
}

func (o Object) String() string {
	return o.Kind + " " + o.Namespace + "/" + o.Name
}

// group is the object's, without the version.
func (o Object) group() string {
	group, _, found := strings.Cut(o.APIVersion, "/")
	if !found {
		return ""
	}
	return group
}

// Options say what the input can't.
type Options struct {
	// Selector takes the place of whatever proxies the input names.
	Selector map[string]string
	// RootNamespace is the mesh's.
	RootNamespace string
}

// Plugin is a WasmPlugin that was made of others' objects.
type Plugin struct {
	Plugin *wasmv1alpha1.WasmPlugin
	// From are the objects that it was made of, with their places.
	From []string
	// Notes are sentences about what could not be carried over, or means something else here.
	Notes []string

	// source tells where to find it again: its kind, and its name there.
	source string
	// discovered and dead are the draft's.
	discovered string
	dead       bool
}

// Remark is a sentence about something of the input.
type Remark struct {
	Place string `json:"place"`
	About string `json:"about"`
	Why   string `json:"why"`
}

// Result is what became of the input.
type Result struct {
	Plugins []Plugin
	// Skipped are things that are no plugin of Wasm.
	Skipped []Remark
	// Refused are plugins that could not be carried over.
	Refused []Remark
}

func (r *Result) skip(o Object, why string, args ...any) {
	r.Skipped = append(r.Skipped, Remark{o.Place, o.String(), fmt.Sprintf(why, args...)})
}

func (r *Result) refuse(o Object, problems ...string) {
	r.Refused = append(r.Refused, Remark{o.Place, o.String(), strings.Join(problems, "; ")})
}

// Groups of others.
const (
	groupIstio    = "extensions.istio.io"
	groupNetwork  = "networking.istio.io"
	groupHigress  = "extensions.higress.io"
	groupWasme    = "wasme.io"
	groupSlime    = "microservice.slime.io"
	kindPlugin    = "WasmPlugin"
	kindExtension = "TrafficExtension"
	kindFilter    = "EnvoyFilter"
	kindManager   = "PluginManager"
)

// importer is one run.
type importer struct {
	Options

	result *Result
	names  *names
}

// Import makes WasmPlugins of the objects. Its result depends on their order only where two want one name.
func Import(objects []Object, options Options) Result {
	i := &importer{Options: options, result: &Result{}, names: newNames(objects)}
	var filters []*envoyFilter
	var pieces []Object
	for _, object := range objects {
		switch {
		case object.group() == groupNetwork && object.Kind == kindFilter:
			if filter := i.readEnvoyFilter(object); filter != nil {
				filters = append(filters, filter)
			}
		case object.group() == groupSlime && object.Kind == "EnvoyPlugin":
			pieces = append(pieces, object)
		default:
			i.single(object)
		}
	}
	i.pairs(filters)
	i.envoyPlugins(pieces)
	return *i.result
}

// single converts a kind whose every object stands for itself.
func (i *importer) single(object Object) {
	converters := map[string]func(*reading){
		groupIstio + "/" + kindPlugin:    i.istioPlugin,
		groupIstio + "/" + kindExtension: i.trafficExtension,
		groupHigress + "/" + kindPlugin:  i.higressPlugin,
		groupWasme + "/FilterDeployment": i.filterDeployment,
		groupSlime + "/" + kindManager:   i.pluginManager,
	}
	convert, known := converters[object.group()+"/"+object.Kind]
	switch {
	case known:
		if r := i.read(object); r != nil {
			convert(r)
		}
	case object.group() == translate.PluginKind.Group:
		i.result.skip(object, "is this operator's own kind already")
	case object.Kind == kindPlugin || object.Kind == kindExtension || object.Kind == kindFilter:
		i.result.refuse(object, fmt.Sprintf("apiVersion is %s, which has no %s that is known here; write %s", object.APIVersion, object.Kind, expectedGroup(object.Kind)))
	default:
		i.result.skip(object, "is no plugin")
	}
}

func expectedGroup(kind string) string {
	if kind == kindFilter {
		return groupNetwork + "/v1alpha3"
	}
	return groupIstio + "/v1alpha1"
}

// read decodes an object, or refuses it.
func (i *importer) read(object Object) *reading {
	r, err := newReading(object)
	if err != nil {
		i.result.refuse(object, err.Error())
		return nil
	}
	return r
}

// done ends a plugin: what is left unread becomes a note, and what the operator would refuse is refused.
func (i *importer) done(d *draft) {
	o := d.from[0]
	if len(i.Selector) > 0 {
		d.selectLabels(i.Selector)
	} else if d.noTarget != "" {
		d.refuse("%s", d.noTarget)
	}
	if problems := d.problems(); len(problems) > 0 {
		i.result.refuse(o, problems...)
		return
	}
	spec := &d.plugin.Spec
	if spec.Scope == wasmv1alpha1.ScopeNamespace {
		d.note("spec.scope: no proxies are named, so every proxy of namespace %s gets the plugin%s; --selector KEY=VALUE names those of a gateway",
			d.plugin.Namespace, i.meshWide(d.plugin.Namespace))
	}
	from := make([]string, 0, len(d.from))
	for _, object := range d.from {
		from = append(from, fmt.Sprintf("%s (%s)", object, object.Place))
	}
	d.plugin.Name = i.names.take(d.plugin.Namespace, d.plugin.Name, d.wanted, o)
	if d.plugin.Name != d.wanted && d.wanted != "" {
		d.note("metadata.name: was %s, which is taken here, or is no name of Kubernetes", d.wanted)
	}
	if problem := Verify(d.plugin, i.RootNamespace); problem != "" {
		i.result.refuse(o, problem)
		return
	}
	i.result.Plugins = append(i.result.Plugins, Plugin{
		Plugin: d.plugin, From: compact(from), Notes: compact(d.notes),
		source: o.Kind + " " + d.wanted, discovered: d.discovered, dead: d.dead,
	})
}

// meshWide warns of the root namespace.
func (i *importer) meshWide(namespace string) string {
	if namespace != i.RootNamespace {
		return ""
	}
	return ", which is the mesh's root namespace: every proxy of the mesh, and only where the operator runs with --allow-root-namespace-scope"
}

// compact takes out what was said before.
func compact(lines []string) []string {
	var kept []string
	for _, line := range lines {
		if !slices.Contains(kept, line) {
			kept = append(kept, line)
		}
	}
	return kept
}
