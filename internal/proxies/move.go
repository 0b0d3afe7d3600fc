// SPDX-License-Identifier: Apache-2.0

package proxies

import "time"

// unpushed is when a proxy that was sent no listeners since they were to change counts as having none that did.
const unpushed = 10 * time.Second

// Move takes in that the filter chains are to change, whatever is delivered: no acknowledgement of what is delivered tells of
// that. A proxy counts again once it has acknowledged listeners that it was sent since.
func (t *Track) Move(filter string, now time.Time) {
	t.Expectation.Filter, t.told, t.moved, t.unmoved = filter, false, now, map[string]string{}
	for id, p := range t.proxies {
		t.unmoved[id], p.moving, p.since = p.listeners, true, now
	}
}

// inherit takes over the proxies whose filter chains were to change before the content did, too.
func (t *Track) inherit(before *Track) {
	if before == nil || t.Trial {
		return
	}
	t.moved, t.unmoved = before.moved, map[string]string{}
	for id, p := range before.proxies {
		if p.moving {
			t.unmoved[id] = before.unmoved[id]
		}
	}
}

// followMove takes down whether a proxy has taken listeners that were sent since they were to change, and why not.
func (t *Track) followMove(p *progress, proxy Proxy, now time.Time) {
	p.listeners, p.held = proxy.Listeners.Sent, ""
	before, moving := t.unmoved[proxy.ID]
	switch {
	case !moving:
	case proxy.Listeners.Sent == before:
		moving = now.Sub(t.moved) < unpushed
	case proxy.Listeners.Error != "":
		p.held = proxy.Listeners.Error
	default:
		moving = proxy.Listeners.Sent != proxy.Listeners.Acked
	}
	if p.moving = moving; !moving {
		delete(t.unmoved, proxy.ID)
	}
}
