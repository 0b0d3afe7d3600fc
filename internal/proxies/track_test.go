// SPDX-License-Identifier: Apache-2.0

package proxies

import "testing"

func TestAcknowledged(t *testing.T) {
	m := newMesh(t, false, "a", "b")
	m.watch("a", "b")
	m.want("before istiod has it", m.poll(pollsToSettle), 0, 2)
	m.push++ // somebody else's change
	m.acknowledge("a")
	m.acknowledge("b")
	m.want("after a foreign push", m.poll(pollsToSettle), 0, 2)
	m.content, m.push = "new", m.push+1
	m.want("istiod has it and has not sent it", m.poll(2), 0, 2)
	m.acknowledge("a")
	m.want("sent to one", m.poll(pollsToSettle), 1, 2)
}

// TestAcknowledgedBetweenTwoPolls is what mostly happens.
func TestAcknowledgedBetweenTwoPolls(t *testing.T) {
	m := newMesh(t, false, "a")
	m.watch("a")
	m.poll(1)
	m.content, m.push = "new", m.push+1
	m.acknowledge("a")
	m.want("at once", m.poll(2), 0, 1)
	m.want("settled", m.poll(pollsToSettle), 1, 1)
}

// TestPushesAreNumbered: where one proxy is known to have it by its push, others are by theirs.
func TestPushesAreNumbered(t *testing.T) {
	m := newMesh(t, false, "a")
	m.watch("a")
	m.content, m.push = "new", m.push+1
	m.acknowledge("a")
	m.poll(pollsToSettle)
	late := newMesh(t, false, "b").proxies["b"]
	m.proxies["b"] = late
	m.watch("b")
	m.content = "unknown: nobody needs to ask"
	m.acknowledge("b")
	m.want("both", m.poll(pollsToSettle), 2, 2)
}

func TestRefusedByName(t *testing.T) {
	for _, trial := range []bool{false, true} {
		m := newMesh(t, trial, "a", "b")
		m.poll(1)
		m.watch("a", "b")
		m.content = "new"
		m.poll(2)
		m.refuse("Unable to create Wasm plugin " + ours)
		m.acknowledge("b")
		report := m.poll(2)
		m.want("refused", report, 1, 2)
		if len(report.Rejections) != 1 || report.Rejections[0].Proxy != "a.shop" {
			t.Errorf("got %+v", report.Rejections)
		}
		m.acknowledge("a") // of something else: istiod forgets, we don't
		if report := m.poll(pollsToSettle); len(report.Rejections) != 1 {
			t.Errorf("forgotten: %+v", report)
		}
		m.proxies["a"].ConnectedAt = m.now // a restart of istiod
		if report := m.poll(pollsToSettle); len(report.Rejections) != 1 {
			t.Errorf("forgotten with a new connection: %+v", report)
		}
	}
}

func TestErrorBesideEqualNonces(t *testing.T) {
	m := newMesh(t, false, "a")
	m.watch("a")
	m.content = "new"
	m.poll(2)
	m.acknowledge("a")
	m.proxies["a"].Extensions.Error = "Unable to create Wasm plugin " + ours
	if report := m.poll(pollsToSettle); len(report.Rejections) != 1 {
		t.Errorf("got %+v", report)
	}
}

// TestFailedFetch is refused without a name.
func TestFailedFetch(t *testing.T) {
	const words = "filter config has type URL envoy.extensions.filters.http.rbac.v3.RBAC but expect envoy.extensions.filters.http.wasm.v3.Wasm."
	m := newMesh(t, true, "a")
	m.refuse(words)
	m.poll(2)
	m.watch("a")
	m.content = "new"
	if report := m.poll(4); len(report.Rejections) != 0 {
		t.Errorf("an old refusal counts: %+v", report)
	}
	m.acknowledge("a")
	m.want("accepted", m.poll(pollsToSettle), 1, 1)

	m = newMesh(t, true, "a")
	m.watch("a")
	m.content = "new"
	m.poll(2)
	m.refuse(words)
	if report := m.poll(2); len(report.Rejections) != 1 {
		t.Errorf("got %+v", report)
	}
}

func TestAnotherPluginIsRefused(t *testing.T) {
	refusal := "Unable to create Wasm plugin " + others
	for _, trial := range []bool{false, true} {
		m := newMesh(t, trial, "a")
		m.watch("a")
		m.content = "new"
		m.poll(2)
		m.refuse(refusal)
		report := m.poll(2)
		if len(report.Rejections) != 0 || len(report.Blocked) != 1 {
			t.Errorf("the name is the beginning of another's: %+v", report)
		}
		m.acknowledge("a")
		report = m.poll(pollsToSettle)
		if !report.Unblocked || report.Complete() {
			t.Errorf("trial %t: got %+v", trial, report)
		}
	}
}

// TestListenerIsRefused: what else a listener is refused for holds up what is in force, and no trial.
func TestListenerIsRefused(t *testing.T) {
	refusal := "Error adding/updating listener(s) 0.0.0.0_8080: Unable to create Wasm plugin native.plugin"
	for _, trial := range []bool{false, true} {
		m := newMesh(t, trial, "a")
		m.poll(1)
		m.watch("a")
		m.content = "new"
		m.proxies["a"].Listeners.Error = refusal
		m.poll(2)
		m.acknowledge("a")
		report := m.poll(pollsToSettle)
		if report.Complete() != trial || (len(report.Blocked) == 1) == trial {
			t.Errorf("trial %t: got %+v", trial, report)
		}
		m.proxies["a"].Listeners.Error = ""
		m.want("mended", m.poll(pollsToSettle), 1, 1)
	}
}

// TestListenerStaysRefused: a listener that was refused because of old content isn't sent again when that is mended.
func TestListenerStaysRefused(t *testing.T) {
	m := newMesh(t, false, "a")
	m.watch("a")
	m.proxies["a"].Listeners.Error = "Error adding/updating listener(s) 0.0.0.0_8080: Unable to create Wasm plugin " + ours
	m.poll(2)
	m.content, m.push = "new", m.push+1
	m.acknowledge("a")
	report := m.poll(pollsToSettle)
	if !report.Stuck || report.Complete() || len(report.Rejections) > 0 {
		t.Errorf("got %+v", report)
	}
	m.proxies["a"].Listeners.Error = ""
	m.want("sent again", m.poll(1), 1, 1)

	m.proxies["a"].ConnectedAt = m.now
	m.poll(2)
	m.proxies["a"].Listeners.Error = "Error adding/updating listener(s) 0.0.0.0_8080: Unable to create Wasm plugin " + ours
	if report := m.poll(2); len(report.Rejections) != 1 {
		t.Errorf("a new refusal: %+v", report)
	}
}

// TestHiddenRefusal: between two polls it may be refused, and something else acknowledged.
func TestHiddenRefusal(t *testing.T) {
	m := newMesh(t, true, "a")
	m.poll(2)
	m.content, m.push = "new", m.push+1
	m.watch("a")
	m.acknowledge("a")
	m.want("one push", m.poll(pollsToSettle), 1, 1)

	m = newMesh(t, true, "a")
	m.poll(2)
	m.content, m.push = "new", m.push+2
	m.watch("a")
	m.acknowledge("a")
	report := m.poll(pollsToSettle)
	if report.Uncertain != 1 || report.Complete() {
		t.Errorf("two pushes: got %+v", report)
	}
}

func TestProxiesComeAndGo(t *testing.T) {
	m := newMesh(t, false, "a", "b")
	m.watch("a", "b")
	m.content = "new"
	m.poll(pollsToSettle)
	m.want("both", m.poll(1), 2, 2)
	m.proxies["b"].ConnectedAt = m.now
	m.want("one connects anew", m.poll(1), 1, 2)
	m.want("it is asked anew", m.poll(pollsToSettle), 2, 2)
	m.proxies["b"].Ambiguous = true
	m.want("it has two connections", m.poll(1), 2, 2)
	delete(m.proxies, "b")
	m.want("it is missing once", m.poll(1), 2, 2)
	m.want("it goes", m.poll(1), 1, 1)
	m.track.Leave("istiod")
	m.want("istiod goes", m.track.Report(m.now), 0, 0)
}

func TestNoListener(t *testing.T) {
	m := newMesh(t, false, "a")
	m.content = "new"
	report := m.poll(10)
	m.want("at first", report, 0, 1)
	if report.Unasked != 1 {
		t.Errorf("at first: %+v", report)
	}
	report = m.poll(int(idleAfter / dense))
	m.want("after a while", report, 0, 0)
	if report.Idle != 1 || report.Unasked != 0 || !report.Complete() {
		t.Errorf("got %+v", report)
	}
	m.watch("a")
	if report = m.poll(1); len(report.Waiting) != 1 || report.Unasked != 0 {
		t.Errorf("asks: %+v", report)
	}
	m.acknowledge("a")
	m.want("it gets one", m.poll(pollsToSettle), 1, 1)
	m.proxies["a"].Watches = map[string]bool{}
	m.want("it loses it", m.poll(2), 0, 0)
}

// TestFullest: the proxy with the most plugins is known, and one more of them is no news.
func TestFullest(t *testing.T) {
	m := newMesh(t, false, "a", "b")
	m.proxies["b"].Plugins = 51
	before := m.poll(1)
	if before.Fullest != "b.shop" || before.Plugins != 51 {
		t.Errorf("got %+v", before)
	}
	m.proxies["b"].Plugins++
	if after := m.poll(1); after.Plugins != 52 || !before.equal(after) {
		t.Errorf("after one more: %+v", after)
	}
}
