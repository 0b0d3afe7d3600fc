// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

const (
	ours   = "wasm.solarmesh.io/shop.auth"
	others = "wasm.solarmesh.io/shop.auth-two"
)

// mesh is what one istiod says of gateways, and a track that hears it every 100 ms.
type mesh struct {
	t     *testing.T
	track *Track
	now   time.Time
	// proxies are by name, push is the number of istiod's last push.
	proxies map[string]*Proxy
	push    int
	// content is what istiod sends as ours.
	content string
	asked   []string
}

func sentAs(t *testing.T, content string) *anypb.Any {
	t.Helper()
	message, err := anypb.New(wrapperspb.String(content))
	if err != nil {
		t.Fatal(err)
	}
	return message
}

func newMesh(t *testing.T, trial bool, names ...string) *mesh {
	t.Helper()
	digest, err := translate.Digest(map[string]*anypb.Any{ours: sentAs(t, "new")})
	if err != nil {
		t.Fatal(err)
	}
	m := &mesh{
		t: t, now: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC), proxies: map[string]*Proxy{}, content: "old", push: 7,
		track: NewTrack(translate.Expectation{
			Names: []string{ours}, Digest: digest,
			Reach: translate.Reach{Namespace: "shop", Types: []string{"router"}, Labels: map[string]string{"istio": "gateway"}},
		}, trial),
	}
	for _, name := range names {
		m.proxies[name] = &Proxy{
			ID: name + ".shop", Namespace: "shop", Type: "router", Version: "1.31.0", Labels: map[string]string{"istio": "gateway"},
			ConnectedAt: m.now, Watches: map[string]bool{},
		}
		m.acknowledge(name)
		m.proxies[name].Listeners = m.proxies[name].Extensions
	}
	return m
}

// nonce is a new one of the last push.
func (m *mesh) nonce() string {
	m.now = m.now.Add(time.Microsecond)
	return fmt.Sprintf("2026-11-28T11:00:00Z/%d00000000-0000-4000-8000-%012d", m.push, m.now.UnixMicro()%1_000_000_000_000)
}

func (m *mesh) acknowledge(name string) {
	m.send(name)
	m.proxies[name].Extensions.Acked = m.proxies[name].Extensions.Sent
	m.proxies[name].Extensions.Error = ""
}

func (m *mesh) send(name string) { m.proxies[name].Extensions.Sent = m.nonce() }

func (m *mesh) refuse(name, words string) {
	m.send(name)
	m.proxies[name].Extensions.Error = words
}

func (m *mesh) watch(names ...string) {
	for _, name := range names {
		m.proxies[name].Watches[ours] = true
	}
}

// poll lets some polls pass.
func (m *mesh) poll(times int) Report {
	for range times {
		m.now = m.now.Add(dense)
		poll := Poll{Istiod: "istiod", At: m.now, Sent: map[string]map[string]*anypb.Any{}}
		for _, proxy := range m.proxies {
			_, proxy.Push, _ = PushVersion(proxy.Extensions.Sent)
			poll.Proxies = append(poll.Proxies, *proxy)
		}
		for _, id := range m.asked {
			poll.Sent[id] = map[string]*anypb.Any{ours: sentAs(m.t, m.content)}
		}
		m.asked = m.track.Observe(poll)
	}
	return m.track.Report(m.now)
}

func (m *mesh) want(what string, report Report, programmed, matched int) {
	m.t.Helper()
	if report.Programmed != programmed || report.Matched != matched {
		m.t.Errorf("%s: %d of %d run it, want %d of %d: %+v", what, report.Programmed, report.Matched, programmed, matched, report)
	}
}

const pollsToSettle = 6

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
		m.refuse("a", "Unable to create Wasm plugin "+ours)
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
	m.refuse("a", words)
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
	m.refuse("a", words)
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
		m.refuse("a", refusal)
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
	m.want("it goes", m.poll(1), 1, 1)
	m.track.Leave("istiod")
	m.want("istiod goes", m.track.Report(m.now), 0, 0)
}

func TestNoListener(t *testing.T) {
	m := newMesh(t, false, "a")
	m.content = "new"
	m.want("at first", m.poll(10), 0, 1)
	report := m.poll(int(idleAfter / dense))
	m.want("after a while", report, 0, 0)
	if report.Idle != 1 || !report.Complete() {
		t.Errorf("got %+v", report)
	}
	m.watch("a")
	m.acknowledge("a")
	m.want("it gets one", m.poll(pollsToSettle), 1, 1)
	m.proxies["a"].Watches = map[string]bool{}
	m.want("it loses it", m.poll(2), 0, 0)
}
