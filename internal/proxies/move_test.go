// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"testing"

	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// listeners has a proxy sent listeners, and takes or refuses them.
func (m *mesh) listeners(name, refusal string) {
	proxy := m.proxies[name]
	proxy.Listeners.Sent, proxy.Listeners.Error = m.nonce(), refusal
	if refusal == "" {
		proxy.Listeners.Acked = proxy.Listeners.Sent
	}
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
	m.track.Move("other", m.now)
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
	m.track.Move("other", m.now)
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
	m.track.Move("other", m.now)
	m.want("at first", m.poll(int(unpushed/dense)-1), 0, 2)
	m.want("in the end", m.poll(2), 2, 2)
}

// TestFollowNoticesMoves: by the hash of the half that puts the plugin into the chains. Of a trial none is noticed, and what is
// silenced moves when it comes back.
func TestFollowNoticesMoves(t *testing.T) {
	w, expected := newWatch(t), ourExpectation(t)
	key := Key{NamespacedName: auth}
	expected.Filter = "one"
	w.asker.gateway(nonce7)
	w.Follow(key, expected)
	w.polls(pollsToSettle, dense)
	w.asker.gateway(nonce9)
	w.polls(pollsToSettle, dense)
	moves := func(what string, expected translate.Expectation, want bool) {
		t.Helper()
		if report := w.Follow(key, expected); (report.Programmed == 0) != want || (len(report.Waiting) == 1) != want {
			t.Errorf("%s: %+v", what, report)
		}
	}
	moves("as it was", expected, false)
	expected.Filter = ""
	moves("known by metadata", expected, false)
	expected.Filter = "two"
	moves("another", expected, true)
	expected.Filter = ""
	moves("known by metadata, and moving", expected, true)
	expected.Filter = "two"
	w.polls(int(unpushed/dense)+1, dense)
	moves("the same again", expected, false)
	w.Silenced(key)
	w.polls(int(unpushed/dense)+1, dense)
	moves("back", expected, true)
	w.Silenced(Key{NamespacedName: auth, Canary: true}) // which isn't followed
}
