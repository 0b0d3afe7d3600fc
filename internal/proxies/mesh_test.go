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

func (m *mesh) refuse(words string) {
	m.send("a")
	m.proxies["a"].Extensions.Error = words
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
