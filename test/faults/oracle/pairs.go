// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// Pairs (O2): for a plugin each half is made once, and goes only with it; a change is tried, and brought to canaries, once;
// and what stands never goes back to what stood before for the same generation of the plugin, but for so many late writes:
// those that were under way when the spec changed. A trial, or a canary, may be made so many times again.
func Pairs(history History, late, again int) []string {
	look := pairs{
		gone: map[string]bool{}, made: map[string]int{}, tried: map[string]int{}, generation: map[string]int64{},
		specs: map[string][]string{}, late: late, again: again,
	}
	history.walk(look.event)
	return look.found
}

type pairs struct {
	found       []string
	late, again int
	// gone are the uids of plugins that were deleted.
	gone map[string]bool
	// made counts the halves by name and owner, tried the trials and canaries by plugin and generation.
	made, tried map[string]int
	// generation is that of each plugin now, by uid.
	generation map[string]int64
	// specs are those that each half has had since its plugin has this generation.
	specs map[string][]string
}

func (p *pairs) event(event Event, _ moment) {
	object := event.Object
	if event.isPlugin() {
		p.plugin(event)
		return
	}
	plugin, ours := translate.PluginName(object.GetName())
	if !ours {
		return
	}
	owner := ownerOf(object)
	inForce := slices.ContainsFunc(translate.Roles, func(role wasmv1alpha1.EnvoyFilterRole) bool {
		return object.GetName() == translate.EnvoyFilterName(plugin, role)
	})
	switch {
	case !inForce && event.Type == watch.Added:
		key := fmt.Sprintf("%s of generation %d of %s", object.GetName(), p.generation[owner], owner)
		if p.tried[key]++; p.tried[key] > 1+p.late+p.again {
			p.found = append(p.found, fmt.Sprintf("O2: %s was made %d times", key, p.tried[key]))
		}
	case !inForce:
	case event.Type == watch.Deleted:
		if !p.gone[owner] {
			p.found = append(p.found, fmt.Sprintf("O2: %s was deleted, although its plugin %s is there", object.GetName(), owner))
		}
	case event.Type == watch.Added:
		key := object.GetName() + " of " + owner
		if p.made[key]++; p.made[key] > 1 {
			p.found = append(p.found, fmt.Sprintf("O2: %s was made %d times", key, p.made[key]))
		}
		fallthrough
	default:
		p.changed(object)
	}
}

func (p *pairs) plugin(event Event) {
	uid := string(event.Object.GetUID())
	if event.Type == watch.Deleted {
		p.gone[uid] = true
	}
	if generation := event.Object.GetGeneration(); generation != p.generation[uid] {
		p.generation[uid] = generation
		for _, role := range translate.Roles {
			name := translate.EnvoyFilterName(event.Object.GetName(), role)
			p.specs[name] = p.specs[name][max(0, len(p.specs[name])-1):] // what stands is where it goes on from
		}
	}
}

func (p *pairs) changed(object *unstructured.Unstructured) {
	name, spec := object.GetName(), text(object.Object["spec"])
	stood := p.specs[name]
	if len(stood) > 0 && stood[len(stood)-1] == spec {
		return
	}
	times := 0
	for _, earlier := range stood {
		if earlier == spec {
			times++
		}
	}
	if times > p.late {
		p.found = append(p.found, fmt.Sprintf("O2: in version %s %s went back to what it was before, for the same generation of its plugin",
			object.GetResourceVersion(), name))
	}
	p.specs[name] = append(stood, spec)
}
