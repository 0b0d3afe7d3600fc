// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"maps"
	"slices"
	"time"
)

// Report is what proxies made of an expectation.
type Report struct {
	// Matched leaves out the Idle ones, which match and have no listener for it.
	Matched, Programmed, Idle int
	// Rejections are refusals of it; Blocked of something else in the same push, by which it isn't known whether they run it.
	Rejections, Blocked []Rejection
	// Waiting have not answered. Unasked are how many of them took their listeners and don't ask for it: they may turn out
	// to be Idle. Unblocked says that one of them must be asked again, Stuck that one must be sent its listeners again.
	Waiting          []string
	Unasked          int
	Unblocked, Stuck bool
	// Uncertain are as good as programmed, but one of them may have refused it unseen.
	Uncertain int
	// Unread are the istiods whose proxies aren't known now, and why; also why what a proxy is sent can't be known.
	Unread []string
	// Fullest is the matched proxy with the most plugins of this operator, Plugins how many those are. A change of them is no
	// news: else one more plugin in a proxy would change the status of all the others there.
	Fullest string
	Plugins int
	// Age is the time since the first poll, 0 for none; Waited how long the one of Waiting and Blocked has been known that
	// was known first.
	Age, Waited time.Duration
}

// Rejection is a proxy's refusal, in Envoy's words.
type Rejection struct{ Proxy, Message string }

// Complete says that every proxy that matches runs it, as far as is known.
func (r Report) Complete() bool {
	return len(r.Unread) == 0 && r.Age > 0 && r.Programmed == r.Matched
}

// Pending says that proxies may yet answer.
func (r Report) Pending() bool {
	return r.Age == 0 || len(r.Waiting)+len(r.Blocked) > 0
}

// Report returns what is known by now, in the order of the proxies' names.
func (t *Track) Report(now time.Time) Report {
	var report Report
	if !t.begun.IsZero() {
		report.Age = max(now.Sub(t.begun), 1)
	}
	for _, id := range slices.Sorted(maps.Keys(t.proxies)) {
		p := t.proxies[id]
		if p.open() {
			report.Waited = max(report.Waited, now.Sub(p.since))
		}
		report.add(id, p)
	}
	return report
}

func (r *Report) add(id string, p *progress) {
	if p.state == idle {
		r.Idle++
		return
	}
	r.Matched++
	if p.plugins > r.Plugins {
		r.Fullest, r.Plugins = id, p.plugins
	}
	switch state, message := p.effective(); state {
	case programmed:
		r.Programmed++
	case uncertain:
		r.Uncertain++
	case rejected:
		r.Rejections = append(r.Rejections, Rejection{id, message})
	case blocked:
		r.Blocked = append(r.Blocked, Rejection{id, message})
	default:
		r.wait(id, p, state)
	}
}

// wait adds one that hasn't answered.
func (r *Report) wait(id string, p *progress, state state) {
	r.Waiting = append(r.Waiting, id)
	if p.unasked {
		r.Unasked++
	}
	if p.unsaid != "" && len(r.Unread) == 0 {
		r.Unread = []string{p.unsaid}
	}
	r.Unblocked = r.Unblocked || state == unblocked
	r.Stuck = r.Stuck || state == stuck
}

// equal says whether two reports tell the same, whenever they were made.
func (r Report) equal(other Report) bool {
	return r.Matched == other.Matched && r.Programmed == other.Programmed && r.Idle == other.Idle &&
		r.Unblocked == other.Unblocked && r.Stuck == other.Stuck && r.Uncertain == other.Uncertain &&
		(r.Age == 0) == (other.Age == 0) && slices.Equal(r.Rejections, other.Rejections) && slices.Equal(r.Blocked, other.Blocked) &&
		slices.Equal(r.Waiting, other.Waiting) && slices.Equal(r.Unread, other.Unread)
}
