// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"maps"
	"time"
)

const (
	// debounce is how long istiod waits after a change before it pushes (PILOT_DEBOUNCE_AFTER, istio 1.31): what a proxy was
	// sent before that doesn't have it.
	debounce = 100 * time.Millisecond
	// unpushed is when a proxy that was sent no listeners since they were to change counts as having none that did. istiod
	// waits 10 seconds at most (PILOT_DEBOUNCE_MAX), and then has to make them.
	unpushed = 30 * time.Second
)

// Move takes in that the filter chains change, since a time, with the listeners that proxies had been sent last. A proxy
// counts again once it has acknowledged listeners that it was sent after that.
func (t *Track) Move(listeners map[string]string, since time.Time) {
	t.moved, t.unmoved, t.told = since, listeners, false
	for id, p := range t.proxies {
		_, p.moving = listeners[id]
		p.held, p.since = "", since
	}
}

// inherit takes over the proxies whose filter chains have not changed yet, though the content does now.
func (t *Track) inherit(before *Track) {
	if before != nil && !t.Trial {
		t.moved, t.unmoved = before.moved, maps.Clone(before.unmoved)
	}
}

// followMove takes down whether a proxy has taken listeners that it was sent since they changed, and why not.
func (t *Track) followMove(p *progress, proxy Proxy, now time.Time) {
	before, moving := t.unmoved[proxy.ID]
	if !moving || proxy.Ambiguous {
		return
	}
	p.held = ""
	switch sent := proxy.Listeners.Sent; {
	case now.Sub(t.moved) < debounce:
		t.unmoved[proxy.ID] = sent
	case sent == before || sent == "":
		moving = now.Sub(t.moved) < unpushed
	case proxy.Listeners.Error != "":
		p.held = proxy.Listeners.Error
	default:
		moving = sent != proxy.Listeners.Acked
	}
	if p.moving = moving; !moving {
		delete(t.unmoved, proxy.ID)
	}
}
