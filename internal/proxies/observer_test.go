// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

var (
	auth     = types.NamespacedName{Namespace: "shop", Name: "auth"}
	gateways = translate.Reach{Namespace: "shop", Types: []string{"router"}, Labels: map[string]string{"istio": "gateway"}}
)

const ourDump = `{"configs": [{"@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm", "config": {"name": "` + ours + `"}}]}`

// canned answers what it is told to.
type canned struct {
	mutex   sync.Mutex
	answers map[string]string
	err     error
	// dumpErr is what a config_dump ends with.
	dumpErr error
	asked   []string
	closed  chan struct{}
}

func (c *canned) Ask(_ context.Context, resource string) ([]byte, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	name, _, _ := strings.Cut(resource, "?")
	c.asked = append(c.asked, resource)
	if name == "config_dump" && c.dumpErr != nil {
		return nil, c.dumpErr
	}
	return []byte(c.answers[name]), c.err
}

func (c *canned) Close() error {
	close(c.closed)
	return nil
}

func (c *canned) says(connections, states []string) {
	c.answers = map[string]string{"adsz": adszOf(connections...), "syncz": list(states...), "config_dump": ourDump}
}

// gateway is one that has acknowledged all it was sent, by nonces.
func (c *canned) gateway(nonce string) {
	state := strings.Replace(stateOf("gw.shop", "router"), "Unable to create Wasm plugin x", "", 1)
	c.says([]string{connectionOf("gw.shop-1", ours)}, []string{strings.NewReplacer(nonce7, nonce, nonce9, nonce).Replace(state)})
}

// watch is an observer of one istiod that is asked when the test says so.
type watch struct {
	*Observer
	t      *testing.T
	now    time.Time
	asker  *canned
	istiod *istiod
	told   []types.NamespacedName
	ask    []string
}

func newWatch(t *testing.T) *watch {
	t.Helper()
	w := &watch{t: t, now: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC), asker: &canned{closed: make(chan struct{})}}
	w.Observer = NewObserver(nil, func(Istiod) (Asker, error) { return w.asker, nil }, func(plugin types.NamespacedName) { w.told = append(w.told, plugin) })
	w.Now = func() time.Time { return w.now }
	w.looked = true
	w.istiod = w.add("istiod-a")
	return w
}

func (w *watch) add(name string) *istiod {
	added := &istiod{Istiod: Istiod{Name: name, Address: name}, cancel: func() {}, found: w.now, poke: make(chan struct{}, 1)}
	w.istiods[name] = added
	return added
}

// polls lets some time pass and asks, so many times. It returns who is told meanwhile.
func (w *watch) polls(times int, apart time.Duration) []types.NamespacedName {
	w.t.Helper()
	w.told = nil
	for range times {
		w.now = w.now.Add(apart)
		var asker Asker
		poll, err := w.poll(w.t.Context(), w.istiod, &asker, w.ask)
		w.ask = w.take(w.t.Context(), w.istiod, poll, err)
		w.tell()
	}
	return w.told
}

func TestMatchingIsKnownOnceAsked(t *testing.T) {
	w := newWatch(t)
	if matching, known := w.Matching(auth, gateways); known || len(matching) > 0 {
		t.Errorf("unasked: %v, %t", matching, known)
	}
	w.asker.says([]string{connectionOf("gw-b.shop-1"), connectionOf("gw-a.shop-2"), connectionOf("a.shop-3")},
		[]string{stateOf("gw-b.shop", "router"), stateOf("gw-a.shop", "router"), stateOf("a.shop", "sidecar")})
	w.polls(1, dense)
	if matching, known := w.Matching(auth, gateways); !known || !slices.Equal(matching, []string{"gw-a.shop", "gw-b.shop"}) {
		t.Errorf("asked: %v, %t", matching, known)
	}
	w.add("istiod-b")
	if _, known := w.Matching(auth, gateways); known {
		t.Error("known although another istiod hasn't answered")
	}
}

// TestNoneMatches: a proxy may just be about to connect, and not be there yet.
func TestNoneMatches(t *testing.T) {
	w := newWatch(t)
	w.asker.says(nil, nil)
	w.Matching(auth, gateways)
	told := w.polls(1, dense)
	if _, known := w.Matching(auth, gateways); known || len(told) > 0 {
		t.Errorf("at once: %t, tells %v", known, told)
	}
	told = w.polls(int(gathering/sparse)+1, sparse)
	if matching, known := w.Matching(auth, gateways); !known || len(matching) > 0 || !slices.Equal(told, []types.NamespacedName{auth}) {
		t.Errorf("in the end: %v, %t, tells %v", matching, known, told)
	}
	if told := w.polls(3, sparse); len(told) > 0 {
		t.Errorf("tells %v again", told)
	}
	other := gateways
	other.Labels = map[string]string{"istio": "egress"}
	if _, known := w.Matching(auth, other); known {
		t.Error("another reach is known before it was asked for")
	}
}

func TestRefused(t *testing.T) {
	denied, away := &Error{Istiod: "a", Reason: Denied, Text: deniedText}, &Error{Istiod: "a", Reason: Unreachable, Text: "x"}
	judge(t, func(w *watch) bool { return w.Refused() }, map[string]judged{
		"unasked":           {func(*watch) {}, false},
		"denied":            {func(w *watch) { w.asker.err = denied; w.polls(1, dense) }, true},
		"unreachable":       {func(w *watch) { w.asker.err = away; w.polls(1, dense) }, false},
		"denied, then away": {func(w *watch) { w.asker.err = denied; w.polls(1, dense); w.asker.err = away; w.polls(1, dense) }, false},
		"another unasked":   {func(w *watch) { w.asker.err = denied; w.polls(1, dense); w.add("istiod-b") }, false},
		"answered before":   {func(w *watch) { w.asker.gateway(nonce7); w.polls(1, dense); w.asker.err = denied; w.polls(1, dense) }, false},
		"answers by now": {func(w *watch) {
			w.asker.err = denied
			w.polls(1, dense)
			w.asker.err = nil
			w.asker.gateway(nonce7)
			w.polls(1, dense)
		}, false},
		"no istiod": {func(w *watch) { delete(w.istiods, "istiod-a") }, false},
	})
}

// judged is what has happened, and what is to be said of it.
type judged struct {
	do   func(*watch)
	want bool
}

func judge(t *testing.T, says func(*watch) bool, tests map[string]judged) {
	t.Helper()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWatch(t)
			test.do(w)
			if says(w) != test.want {
				t.Errorf("got %t", !test.want)
			}
		})
	}
}

func finds(found []Istiod, err error) Finder {
	return func(context.Context) ([]Istiod, error) { return found, err }
}

// ourExpectation is of what ourDump delivers.
func ourExpectation(t *testing.T) translate.Expectation {
	t.Helper()
	extensions, err := DecodeExtensions([]byte(ourDump))
	if err != nil {
		t.Fatal(err)
	}
	digest, err := translate.Digest(extensions)
	if err != nil {
		t.Fatal(err)
	}
	return translate.Expectation{Names: []string{ours}, Digest: digest, Reach: gateways}
}

func TestNews(t *testing.T) {
	w, expected := newWatch(t), ourExpectation(t)
	w.asker.gateway(nonce7)
	if report := w.Follow(Key{NamespacedName: auth}, expected); report.Age != 0 || len(report.Unread) != 1 {
		t.Errorf("at first %+v", report)
	}
	if told := w.polls(1, dense); !slices.Equal(told, []types.NamespacedName{auth}) {
		t.Errorf("tells %v that it waits", told)
	}
	w.asker.gateway(strings.Replace(nonce7, "/7", "/8", 1))
	if told := w.polls(pollsToSettle, dense); !slices.Equal(told, []types.NamespacedName{auth}) {
		t.Errorf("tells %v that it runs", told)
	}
	if report := w.Follow(Key{NamespacedName: auth}, expected); !report.Complete() || report.Programmed != 1 {
		t.Errorf("in the end %+v", report)
	}
	if told := w.polls(3, dense); len(told) > 0 {
		t.Errorf("tells %v no news", told)
	}
	w.asker.err = errors.New("x")
	if told := w.polls(2, restarting); !slices.Equal(told, []types.NamespacedName{auth}) {
		t.Errorf("tells %v that istiod is away", told)
	}
	expected.Digest = "another"
	if report := w.Follow(Key{NamespacedName: auth}, expected); report.Programmed != 0 || report.Age != 0 {
		t.Errorf("another expectation: %+v", report)
	}
}

func TestForget(t *testing.T) {
	w := newWatch(t)
	w.asker.gateway(nonce7)
	expected := ourExpectation(t)
	w.Follow(Key{NamespacedName: auth}, expected)
	w.Follow(Key{NamespacedName: auth, Trial: true}, expected)
	w.Forget(Key{NamespacedName: auth, Trial: true})
	w.Forget(Key{NamespacedName: auth})
	if told := w.polls(3, dense); len(told) > 0 || w.pending() {
		t.Errorf("tells %v, pending %t", told, w.pending())
	}
	if want := []string{"syncz", "adsz"}; !slices.Equal(w.asker.asked, append(append(want, want...), want...)) {
		t.Errorf("asks %q", w.asker.asked)
	}
}

// TestStart looks for istiods, asks them, and leaves those that are gone.
func TestStart(t *testing.T) {
	asker, told := &canned{closed: make(chan struct{})}, make(chan types.NamespacedName, 16)
	asker.gateway(nonce7)
	o := NewObserver(Static([]string{"10.0.0.1:15012"}, istiodName), func(Istiod) (Asker, error) { return asker, nil },
		func(plugin types.NamespacedName) { told <- plugin })
	o.Follow(Key{NamespacedName: auth}, ourExpectation(t))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- o.Start(ctx) }()
	for o.Follow(Key{NamespacedName: auth}, ourExpectation(t)).Programmed == 0 {
		if plugin := <-told; plugin != auth {
			t.Fatalf("tells %v", plugin)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	<-asker.closed
}

func TestIstiodGoes(t *testing.T) {
	w := newWatch(t)
	w.asker.gateway(nonce7)
	w.Follow(Key{NamespacedName: auth}, ourExpectation(t))
	w.polls(1, dense)
	gone := make(chan struct{})
	w.istiod.cancel = func() { close(gone) }
	w.Find = finds(nil, nil)
	w.look(w.t.Context())
	<-gone
	if report := w.Follow(Key{NamespacedName: auth}, ourExpectation(t)); report.Matched != 0 || !slices.Equal(report.Unread, []string{"there is no istiod to ask"}) {
		t.Errorf("got %+v", report)
	}
}
