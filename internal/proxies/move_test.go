// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"testing"
	"time"
)

// listeners has a proxy sent listeners, and takes or refuses them.
func (m *mesh) listeners(name, refusal string) {
	proxy := m.proxies[name]
	proxy.Listeners.Sent, proxy.Listeners.Error = m.nonce(), refusal
	if refusal == "" {
		proxy.Listeners.Acked = proxy.Listeners.Sent
	}
}

// moves has the filter chains written now.
func (m *mesh) moves() {
	listeners := map[string]string{}
	for _, proxy := range m.proxies {
		listeners[proxy.ID] = proxy.Listeners.Sent
	}
	m.track.Move(listeners, m.now)
}

// running is a mesh of two gateways that run the plugin.
func running(t *testing.T) *mesh {
	t.Helper()
	m := newMesh(t, false, "a", "b")
	m.watch("a", "b")
	m.content = "new"
	m.poll(pollsToSettle)
	m.acknowledge("a")
	m.acknowledge("b")
	m.want("at first", m.poll(pollsToSettle), 2, 2)
	return m
}

// TestFilterChainsChange: what is acknowledged of the content doesn't tell that the plugin has moved, is off, or on again.
func TestFilterChainsChange(t *testing.T) {
	m := running(t)
	m.moves()
	report := m.poll(2)
	m.want("moved", report, 0, 2)
	if !report.Pending() || len(report.Waiting) != 2 || !m.track.pending(m.now, hurry) {
		t.Errorf("got %+v", report)
	}
	m.acknowledge("a")
	m.want("acknowledges something else", m.poll(2), 0, 2)
	m.listeners("a", "")
	m.want("one has new listeners", m.poll(1), 1, 2)
	m.proxies["b"].Listeners.Sent = m.nonce()
	m.want("the other was sent some", m.poll(int(unpushed/dense)+1), 1, 2)
	m.proxies["b"].Listeners.Acked = m.proxies["b"].Listeners.Sent
	m.want("and has taken them", m.poll(1), 2, 2)
	m.proxies["b"].Listeners.Sent = m.nonce()
	m.want("what comes later is something else's", m.poll(1), 2, 2)
}

// TestListenersAreHeldUp: what something else has a proxy refuse the change for is told.
func TestListenersAreHeldUp(t *testing.T) {
	m := running(t)
	m.moves()
	m.listeners("a", "")
	m.listeners("b", "Unable to create Wasm plugin native.plugin")
	report := m.poll(2)
	m.want("held up", report, 1, 2)
	if len(report.Blocked) != 1 || report.Blocked[0].Message != "Unable to create Wasm plugin native.plugin" {
		t.Errorf("got %+v", report)
	}
	next := NewTrack(m.track.Expectation, false)
	next.inherit(m.track)
	m.track = next
	m.want("with other content, too", m.poll(pollsToSettle), 1, 2)
	m.listeners("b", "")
	m.want("mended", m.poll(pollsToSettle), 2, 2)
}

// TestNoListenersChange: a change may mean nothing for a proxy, which then is sent nothing.
func TestNoListenersChange(t *testing.T) {
	m := running(t)
	m.moves()
	m.want("at first", m.poll(int(unpushed/dense)-1), 0, 2)
	m.want("in the end", m.poll(2), 2, 2)
}

// TestPushesBeforeTheChange don't count for it: istiod takes its time before it pushes a change.
func TestPushesBeforeTheChange(t *testing.T) {
	m := running(t)
	m.moves()
	m.track.moved = m.track.moved.Add(dense) // the write was a moment later than the last poll
	m.listeners("a", "")
	m.listeners("b", "")
	m.want("of something else", m.poll(3), 0, 2)
	m.listeners("a", "")
	m.listeners("b", "")
	m.want("of the change", m.poll(1), 2, 2)
}

// TestListenersOfTwoConnections tell nothing, and neither do those of a proxy that has been sent none.
func TestListenersOfTwoConnections(t *testing.T) {
	m := running(t)
	m.moves()
	m.proxies["a"].Ambiguous = true
	m.listeners("a", "")
	m.proxies["b"].Listeners = TypeState{}
	m.want("both", m.poll(3), 0, 2)
	m.proxies["a"].Ambiguous = false
	m.listeners("b", "")
	m.want("in the end", m.poll(1), 2, 2)
}

// TestMovedIsKept by the observer, whatever content is followed then. What isn't followed doesn't move.
func TestMovedIsKept(t *testing.T) {
	w, expected := newWatch(t), ourExpectation(t)
	key := Key{NamespacedName: auth}
	w.asker.gateway(nonce7)
	w.Follow(key, expected)
	w.polls(pollsToSettle, dense)
	w.asker.gateway(nonce9)
	w.polls(pollsToSettle, dense)
	moves := func(what string, want bool) {
		t.Helper()
		if report := w.Follow(key, expected); (report.Programmed == 0) != want || (len(report.Waiting) == 1) != want {
			t.Errorf("%s: %+v", what, report)
		}
	}
	moves("at first", false)
	w.Moved(Key{NamespacedName: auth, Canary: true}, w.now)
	moves("another", false)
	w.Moved(key, w.now)
	moves("moved", true)
	digest := expected.Digest
	expected.Digest = "another"
	w.Follow(key, expected)
	expected.Digest = digest
	w.Follow(key, expected)
	w.polls(pollsToSettle, dense)
	moves("with other content, and back, before any poll", true)
	told := w.polls(int(unpushed/sparse)+1, sparse)
	moves("in the end", false)
	if len(told) != 1 {
		t.Errorf("tells %v", told)
	}
	w.Moved(key, w.now.Add(-time.Minute))
	w.polls(1, dense)
	moves("long ago", false)
}
