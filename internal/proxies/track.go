// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"maps"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/anypb"

	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// Poll is what an istiod said, at one time. What proxies were sent was asked before what they ask for: so what a proxy was
// sent, while it didn't ask for a configuration yet, didn't hold it.
type Poll struct {
	// Istiod is its address, Revision what it serves; empty for unknown.
	Istiod, Revision string
	// At is when it was asked, by this process's clock.
	At      time.Time
	Proxies []Proxy
	// Sent is what istiod sends some of the proxies, by id and name; it was asked after the rest.
	Sent map[string]map[string]*anypb.Any
	// Unsaid is why istiod can't say what it sends a proxy, by its id.
	Unsaid map[string]string

	said said
}

const (
	// settling is how long an acknowledgement must have stood where it can't be told whether it is of the push that carried
	// the content: between the moment when istiod takes up a configuration and the one when it sends it, the last
	// acknowledgement looks like one of it.
	settling = 300 * time.Millisecond
	// idleAfter is when a proxy that doesn't ask for a plugin, although it took its listeners, counts as having no listener
	// for it.
	idleAfter = 30 * time.Second
)

// Track follows what proxies make of one expectation, poll by poll. It has no clock: its time is that of the polls.
type Track struct {
	Expectation translate.Expectation
	// Trial says that it is about listeners of its own, so that it doesn't matter what else a proxy refuses.
	Trial bool

	begun   time.Time
	proxies map[string]*progress
	// since is, for each istiod, the first push that is known to have carried it.
	since map[string]string
	// moved is when the filter chains were to change, unmoved the listeners that proxies had been sent by then.
	moved   time.Time
	unmoved map[string]string
	// told says that the last report was told as it is; unsaid is its part of Report.Unread.
	told   bool
	unsaid []string
}

// NewTrack begins to follow an expectation.
func NewTrack(expectation translate.Expectation, trial bool) *Track {
	return &Track{Expectation: expectation, Trial: trial, proxies: map[string]*progress{}, since: map[string]string{}}
}

// Observe takes in a poll. It returns the proxies of which it must be known what istiod sends them.
func (t *Track) Observe(poll Poll) []string {
	if t.begun.IsZero() {
		t.begun = poll.At
	}
	t.told = false
	here := map[string]bool{}
	var ask []string
	for _, proxy := range poll.Proxies {
		if !Matches(t.Expectation.Reach, proxy, poll.Revision) {
			continue
		}
		here[proxy.ID] = true
		p := t.progressOf(proxy, poll)
		if !proxy.Ambiguous && p.state != rejected {
			t.observe(p, proxy, poll)
		}
		if (p.state == waiting || p.state == blocked) && p.seen.IsZero() && t.watched(proxy) {
			ask = append(ask, proxy.ID)
		}
	}
	maps.DeleteFunc(t.proxies, func(id string, p *progress) bool { return p.gone(poll.Istiod, here[id]) })
	return ask
}

// pending says that a proxy may yet answer, since some time at the most.
func (t *Track) pending(now time.Time, most time.Duration) bool {
	for _, p := range t.proxies {
		if (p.missed || p.open()) && now.Sub(p.since) < most {
			return true
		}
	}
	return t.begun.IsZero()
}

// Leave forgets an istiod that is no more, and its proxies.
func (t *Track) Leave(istiod string) {
	t.told = false
	delete(t.since, istiod)
	maps.DeleteFunc(t.proxies, func(_ string, p *progress) bool { return p.istiod == istiod })
}

// Matches says whether a proxy of an istiod of a revision is one of those that get an EnvoyFilter.
func Matches(reach translate.Reach, proxy Proxy, revision string) bool {
	return reach.Matches(translate.Proxy{
		Namespace: proxy.Namespace, Type: proxy.Type, Version: proxy.Version, Revision: revision, Labels: proxy.Labels,
	})
}

// progressOf returns what is known of a proxy. One that connected anew may have started anew, so that nothing that it
// accepted counts; what it refused, it would again.
func (t *Track) progressOf(proxy Proxy, poll Poll) *progress {
	p := t.proxies[proxy.ID]
	if p == nil || (p.state != rejected && !p.connected.Equal(proxy.ConnectedAt)) {
		p = &progress{since: poll.At, doubt: p != nil && p.state == waiting && !p.seen.IsZero()}
		if !t.Trial {
			// Whose it is isn't known; that of a trial, which has names of its own, can't be older.
			p.stale, p.staleListeners = proxy.Extensions.Error, proxy.Listeners.Error
		}
		t.proxies[proxy.ID] = p
	}
	p.istiod, p.connected, p.plugins = poll.Istiod, proxy.ConnectedAt, proxy.Plugins
	t.followMove(p, proxy, poll.At)
	return p
}

func (t *Track) observe(p *progress, proxy Proxy, poll Poll) {
	p.follow(proxy, poll)
	p.unasked = false
	switch {
	case t.refused(p, proxy), t.heldUp(p, proxy):
	case !t.watched(proxy):
		t.unasked(p, proxy, poll.At)
	case p.state == programmed, p.state == uncertain:
	case p.seen.IsZero():
		p.state = waiting
		if t.meant(proxy, poll) {
			p.seen, p.nonce, p.unsaid = poll.At, proxy.Extensions.Sent, ""
			break
		}
		p.saidOf(proxy, poll)
		if poll.Sent[proxy.ID] != nil {
			p.notYet(proxy)
		}
	case p.acknowledged(proxy, poll.At):
		t.acknowledged(p, proxy, poll.Istiod)
	}
}

// acknowledged takes in that a proxy has acknowledged what carried it.
func (t *Track) acknowledged(p *progress, proxy Proxy, istiod string) {
	switch {
	case !t.Trial && proxy.Listeners.Error != "":
		p.state, p.message = stuck, proxy.Listeners.Error
	case p.doubt:
		p.state, p.message = uncertain, ""
	default:
		p.state, p.message = programmed, ""
		t.remember(istiod, proxy.Extensions.Sent)
	}
}

// unableToCreate is how Envoy begins to say which plugin it refuses (Envoy 1.39, source/extensions/common/wasm).
const unableToCreate = "Unable to create Wasm plugin "

// refused takes in that a proxy refuses it: by name, or without one in the push that carried it.
func (t *Track) refused(p *progress, proxy Proxy) bool {
	extensions, listeners := proxy.Extensions.Error, proxy.Listeners.Error
	unnamed := extensions != "" && extensions != p.stale && p.state != programmed && !p.seen.IsZero() && !strings.Contains(extensions, unableToCreate)
	switch {
	case t.names(extensions), unnamed:
		p.state, p.message = rejected, extensions
	case t.names(listeners) && listeners != p.staleListeners && !p.seen.IsZero():
		p.state, p.message = rejected, listeners
	default:
		return false
	}
	return true
}

// heldUp takes in that a proxy refused what carried it because of another plugin, so that it isn't known whether it runs
// this one. It is asked anew when the other one is out of the way.
func (t *Track) heldUp(p *progress, proxy Proxy) bool {
	extensions := proxy.Extensions.Error
	switch {
	case p.state == programmed:
		return false
	case extensions != "" && extensions != p.stale && !p.seen.IsZero():
		p.state, p.message = blocked, extensions
		return true
	case proxy.Listeners.Error != "" && !t.Trial && !t.names(proxy.Listeners.Error):
		p.state, p.message = blocked, proxy.Listeners.Error
		return true
	case p.state == blocked && p.seen.IsZero():
		p.state, p.message = waiting, ""
	case p.state == blocked:
		p.state, p.message = unblocked, ""
	}
	return p.state == unblocked
}

// names says whether a refusal names one of ours. A name may be the beginning of another's.
func (t *Track) names(refusal string) bool {
	for _, name := range t.Expectation.Names {
		for _, after := range strings.Split(refusal, unableToCreate+name)[1:] {
			if after == "" || !strings.ContainsAny(after[:1], "abcdefghijklmnopqrstuvwxyz0123456789-.~") {
				return true
			}
		}
	}
	return false
}

func (t *Track) watched(proxy Proxy) bool {
	for _, name := range t.Expectation.Names {
		if !proxy.Watches[name] {
			return false
		}
	}
	return len(t.Expectation.Names) > 0
}

// unasked is for a proxy that doesn't ask for the plugin, or not any more.
func (t *Track) unasked(p *progress, proxy Proxy, now time.Time) {
	p.seen, p.nonce = time.Time{}, ""
	p.notYet(proxy)
	p.unasked = proxy.Listeners.Sent == proxy.Listeners.Acked && proxy.Listeners.Error == ""
	switch {
	case p.state == programmed, p.state == idle && !p.unasked:
		p.state = waiting
	case !t.Trial && p.unasked && now.Sub(t.begun) >= idleAfter:
		p.state = idle
	}
}

// meant says whether istiod sends a proxy what is expected, or has sent it a push that carried it: pushes are numbered, and
// each holds what the ones before held.
func (t *Track) meant(proxy Proxy, poll Poll) bool {
	if since := t.since[poll.Istiod]; since != "" && !earlier(proxy.Extensions.Sent, since) {
		return true
	}
	sent, ours := poll.Sent[proxy.ID], map[string]*anypb.Any{}
	for _, name := range t.Expectation.Names {
		if sent[name] == nil {
			return false
		}
		ours[name] = sent[name]
	}
	digest, err := translate.Digest(ours)
	return err == nil && digest == t.Expectation.Digest
}

func (t *Track) remember(istiod, nonce string) {
	if since := t.since[istiod]; since == "" || earlier(nonce, since) {
		t.since[istiod] = nonce
	}
}

// earlier says whether a push came before another one. Those of different runs of an istiod can't be compared.
func earlier(nonce, than string) bool {
	start, number, ok := PushVersion(nonce)
	otherStart, otherNumber, otherOK := PushVersion(than)
	return !ok || !otherOK || start != otherStart || number < otherNumber
}
