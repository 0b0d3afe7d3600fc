// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

const maxNameLength = 63

// names gives each plugin one of its own, whose two EnvoyFilters don't meet others of the input.
type names struct {
	plugins map[string]bool
	filters map[string]bool
}

func newNames(objects []Object) *names {
	n := &names{map[string]bool{}, map[string]bool{}}
	for _, object := range objects {
		switch {
		case object.group() == groupNetwork && object.Kind == kindFilter:
			n.filters[object.Namespace+"/"+object.Name] = true
		case object.group() == translate.PluginKind.Group:
			n.plugins[object.Namespace+"/"+object.Name] = true
		}
	}
	return n
}

var noNameCharacters = regexp.MustCompile(`[^a-z0-9.-]+`)

// take returns a name like the wanted one.
func (n *names) take(namespace, wanted, otherwise string, o Object) string {
	base := dnsName(wanted)
	if base == "" {
		base = dnsName(cmp.Or(otherwise, o.Name))
	}
	if base == "" {
		base = "plugin"
	}
	name := base
	for count := 2; !n.free(namespace, name); count++ {
		suffix := fmt.Sprintf("-%d", count)
		name = strings.TrimRight(base[:min(len(base), maxNameLength-len(suffix))], "-.") + suffix
	}
	n.plugins[namespace+"/"+name] = true
	return name
}

func (n *names) free(namespace, name string) bool {
	key := namespace + "/" + name
	return !n.plugins[key] && !n.filters[key+"-config"] && !n.filters[key+"-filter"]
}

// dnsName makes a text a DNS name, or nothing where none of it can stand in one.
func dnsName(text string) string {
	name := noNameCharacters.ReplaceAllString(strings.ToLower(text), "-")
	if len(name) > maxNameLength {
		name = name[:maxNameLength]
	}
	name = strings.Trim(name, "-.")
	if len(validation.IsDNS1123Subdomain(name)) > 0 {
		name = strings.Trim(strings.ReplaceAll(name, ".", "-"), "-")
	}
	return name
}
