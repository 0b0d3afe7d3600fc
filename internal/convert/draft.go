// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// draft is a WasmPlugin while it is made.
type draft struct {
	plugin *wasmv1alpha1.WasmPlugin
	// wanted is the name that it has elsewhere.
	wanted string
	from   []Object
	notes  []string
	// parts are what it is made of; what stays unread in them becomes notes.
	parts []*fields
	// refused are the problems that only show when parts come together.
	refused []string
	// noTarget says why no proxies can be named.
	noTarget string
	// discovered is the name under which proxies find it there, dead says that none of today does.
	discovered string
	dead       bool
}

func newDraft(o Object, name string, parts ...*fields) *draft {
	return &draft{
		plugin: &wasmv1alpha1.WasmPlugin{
			TypeMeta:   metav1.TypeMeta{APIVersion: translate.PluginKind.GroupVersion().String(), Kind: kindPlugin},
			ObjectMeta: metav1.ObjectMeta{Namespace: o.Namespace, Name: name},
		},
		wanted: name, from: []Object{o}, parts: parts,
	}
}

func (d *draft) note(format string, args ...any) {
	d.notes = append(d.notes, fmt.Sprintf(format, args...))
}

func (d *draft) refuse(format string, args ...any) {
	d.refused = append(d.refused, fmt.Sprintf(format, args...))
}

// problems are what keeps it from being carried over. What nobody read is noted.
func (d *draft) problems() []string {
	problems := slices.Clone(d.refused)
	for _, part := range d.parts {
		problems = append(problems, part.of.problems...)
		for _, path := range part.unread() {
			d.note("%s: was left out, since nothing here means the same", path)
		}
	}
	return compact(problems)
}

// selectLabels replaces whatever target there is.
func (d *draft) selectLabels(labels map[string]string) {
	spec := &d.plugin.Spec
	spec.Scope, spec.TargetRefs = "", nil
	spec.Selector = wasmv1alpha1.WorkloadSelector{MatchLabels: map[string]wasmv1alpha1.LabelValue{}}
	for key, value := range labels {
		spec.Selector.MatchLabels[key] = wasmv1alpha1.LabelValue(value)
	}
}

// target picks the proxies: those with the labels, or all of the namespace.
func (d *draft) target(labels map[string]string) {
	if len(labels) == 0 {
		d.plugin.Spec.Scope = wasmv1alpha1.ScopeNamespace
		return
	}
	d.selectLabels(labels)
}

// metadata carries over the one label that has a meaning, and names the others.
func (d *draft) metadata(root *fields) {
	labels := root.object("metadata").table("labels")
	if revision, there := labels[wasmv1alpha1.LabelRevision]; there {
		d.plugin.Labels = map[string]string{wasmv1alpha1.LabelRevision: revision}
		delete(labels, wasmv1alpha1.LabelRevision)
	}
	if len(labels) > 0 {
		d.note("metadata.labels: were left out: %s", strings.Join(slices.Sorted(maps.Keys(labels)), ", "))
	}
}

const maxPriority = 1000

// priority keeps it within our bounds.
func (d *draft) priority(path string, value int64) {
	bounded := max(-maxPriority, min(maxPriority, value))
	if bounded != value {
		d.note("%s: is %d, beyond the bounds of %d to %d here; check the order among the plugins of one place", path, value, -maxPriority, maxPriority)
	}
	d.plugin.Spec.Priority = new(int32(bounded))
}

// match adds a kind of listener; entries of one context without ports are one.
func (d *draft) match(context wasmv1alpha1.Context, ports ...int64) {
	spec := &d.plugin.Spec
	entry := wasmv1alpha1.TrafficSelector{Context: context}
	for _, port := range ports {
		if port < 1 || port > 65535 {
			d.refuse("the port %d is none; a port is 1 to 65535", port)
			continue
		}
		selector := wasmv1alpha1.PortSelector{Number: int32(port)}
		if !slices.Contains(entry.Ports, selector) {
			entry.Ports = append(entry.Ports, selector)
		}
	}
	for i, known := range spec.Match {
		switch {
		case known.Context != context:
		case len(known.Ports) == 0:
			return
		case len(entry.Ports) == 0:
			spec.Match[i].Ports = nil
			return
		default:
			for _, port := range entry.Ports {
				if !slices.Contains(known.Ports, port) {
					spec.Match[i].Ports = append(spec.Match[i].Ports, port)
				}
			}
			return
		}
	}
	spec.Match = append(spec.Match, entry)
}

// sha256 pins the module, where it is a digest.
func (d *draft) sha256(path, value string) {
	switch digest := strings.TrimPrefix(value, "sha256:"); {
	case value == "" || value == "nil": // the agent's word for none
	case len(digest) == 64 && strings.Trim(digest, "0123456789abcdef") == "":
		d.plugin.Spec.SHA256 = digest
	default:
		d.refuse("%s is no digest; write 64 lower-case hex digits, or take it out", path)
	}
}
