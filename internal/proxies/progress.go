// SPDX-License-Identifier: Apache-2.0

package proxies

import "time"

// progress is how far a proxy is.
type progress struct {
	istiod    string
	missed    bool
	since     time.Time
	connected time.Time
	state     state
	message   string
	// stale and staleListeners are what the proxy refused before the content was meant for it.
	stale, staleListeners string
	// before is the last that it was sent while the content was known not to be meant for it; seen is when that was first
	// known to be so, nonce what it had been sent by then.
	before string
	seen   time.Time
	nonce  string
	// last is what it had been sent by the last poll, and push the number of istiod's last push then; 0 for unknown.
	last TypeState
	push uint64
	// doubt says that it was sent something of which it isn't known what it said: then what it acknowledged since may hide a
	// refusal.
	doubt bool
	// moving says that it hasn't taken the listeners yet that change, held why it refuses them.
	moving bool
	held   string
	// plugins is how many plugins of this operator it asks for.
	plugins int
	// unasked says that it took its listeners and doesn't ask for it.
	unasked bool
	// unsaid is why istiod can't say what it sends the proxy.
	unsaid string
}

type state int

const (
	waiting state = iota
	programmed
	rejected
	// blocked: it refuses what is sent, because of something else. unblocked: it has accepted something since.
	blocked
	unblocked
	// uncertain: it acknowledged, and may have refused it before that, between two polls.
	uncertain
	// stuck: it took the configuration and still refuses the listener as it was before that.
	stuck
	// idle: it has no listener for it.
	idle
)

// open says that the proxy may yet answer.
func (s state) open() bool {
	return s == waiting || s == blocked || s == unblocked || s == stuck
}

// effective is its state, and its listeners' where it would run the plugin.
func (p *progress) effective() (state, string) {
	switch {
	case !p.moving || (p.state != programmed && p.state != uncertain):
		return p.state, p.message
	case p.held != "":
		return blocked, p.held
	default:
		return waiting, ""
	}
}

func (p *progress) open() bool {
	state, _ := p.effective()
	return state.open()
}

// gone says that a proxy isn't there any more. One poll doesn't tell: istiod's two lists are of different moments.
func (p *progress) gone(istiod string, here bool) bool {
	if p.istiod != istiod || here {
		p.missed = false
		return false
	}
	missed := p.missed
	p.missed = true
	return missed
}

// notYet takes down what is so while the content isn't meant for a proxy: nothing of that is about it.
func (p *progress) notYet(proxy Proxy) {
	p.before, p.stale, p.staleListeners, p.doubt = proxy.Extensions.Sent, proxy.Extensions.Error, proxy.Listeners.Error, false
}

// saidOf takes down whether istiod can say what it sends a proxy.
func (p *progress) saidOf(proxy Proxy, poll Poll) {
	if why := poll.Unsaid[proxy.ID]; why != "" {
		p.unsaid = why
	} else if poll.Sent[proxy.ID] != nil {
		p.unsaid = ""
	}
}

// follow takes down what a proxy was sent since the last poll. What it refuses, istiod forgets when the proxy acknowledges
// anything else, and Envoy doesn't look at unchanged content again. So every answer must be seen.
func (p *progress) follow(proxy Proxy, poll Poll) {
	if sent := proxy.Extensions.Sent; sent != p.last.Sent && p.push > 0 {
		_, number, ok := PushVersion(sent)
		unanswered := p.last.Sent != p.last.Acked && p.last.Error == "" && p.last.Sent != p.before
		if !ok || number > p.push+1 || unanswered {
			p.doubt = true
		}
	}
	if p.stale != proxy.Extensions.Error {
		p.stale = ""
	}
	if p.staleListeners != proxy.Listeners.Error {
		p.staleListeners = ""
	}
	p.last, p.push = proxy.Extensions, 0
	for _, other := range poll.Proxies {
		p.push = max(p.push, other.Push)
	}
}

// acknowledged: what was sent after the content was meant for the proxy, or at that very time, in which case the
// acknowledgement must have settled.
func (p *progress) acknowledged(proxy Proxy, now time.Time) bool {
	extensions := proxy.Extensions
	if extensions.Sent == "" || extensions.Sent == p.before || extensions.Sent != extensions.Acked || extensions.Error != "" {
		return false
	}
	return extensions.Sent != p.nonce || now.Sub(p.seen) >= settling
}
