// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

// tell has the manager say what is in use.
func (r *replica) tell(t *testing.T, named ...store.Reference) {
	t.Helper()
	if _, err := r.client(t).References(t.Context(), named); err != nil {
		t.Fatal(err)
	}
}

// counts are the digests of what is in use, as a replica knows.
func (r *replica) counts() []string {
	var digests []string
	for _, ref := range r.references.get().counted() {
		digests = append(digests, ref.Digest)
	}
	slices.Sort(digests)
	return digests
}

// bring has the manager bring a module, which is in use from then on.
func (r *replica) bring(t *testing.T, text string) store.Reference {
	t.Helper()
	content := plugin(text)
	ref := store.Reference{Digest: digestOf(content)}
	if err := r.client(t).Put(t.Context(), ref.Digest, "", content); err != nil {
		t.Fatal(err)
	}
	return ref
}

// TestNewModuleCounts: until the manager's sets name it, and for a while at most.
func TestNewModuleCounts(t *testing.T) {
	clock := &clock{now: time.Now()}
	r := start(t, func(o *Options) { o.Now, o.Peers = clock.Now, (&peersOf{}).find })
	counts := func(when string, want int) {
		t.Helper()
		if got := r.counts(); len(got) != want {
			t.Errorf("%s: %d are in use, want %d", when, len(got), want)
		}
	}
	ref := r.bring(t, "new")
	counts("before the first set", 1)
	r.tell(t)
	counts("a set that was made before its pair", 1)
	r.tell(t, ref, ref)
	counts("named", 1)
	r.bring(t, "new")
	r.tell(t)
	counts("brought again while it was named, and named no more", 1)
	r.tell(t, ref)
	r.tell(t)
	counts("named no more", 0)
	r.bring(t, "new")
	clock.advance(settling - time.Second)
	r.bring(t, "new")
	clock.advance(settling - time.Second)
	r.tell(t)
	counts("brought again lately", 1)
	clock.advance(2 * time.Second)
	r.tell(t)
	counts("no pair came to name it", 0)
}

// A module that was unused for long, and is brought to another replica, isn't collected here before a set names it.
func TestBroughtIsKept(t *testing.T) {
	clock := &clock{now: time.Now()}
	r := start(t, func(o *Options) { o.Now, o.Peers = clock.Now, (&peersOf{}).find })
	ref := r.bring(t, "old")
	clock.advance(settling)
	r.tell(t)
	clock.advance(defaultGrace)
	r.tell(t)
	clock.advance(time.Second)
	if err := r.client(t).Have(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	if err := r.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status := r.serves(t, plugin("old"), ""); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
}

// What a clock brought that was wrong doesn't count for ever.
func TestBroughtTomorrow(t *testing.T) {
	clock := &clock{now: time.Now().Add(24 * time.Hour)}
	r := start(t, func(o *Options) { o.Now, o.Peers = clock.Now, (&peersOf{}).find })
	r.bring(t, "new")
	clock.advance(-24 * time.Hour)
	r.tell(t)
	if got := r.counts(); len(got) != 0 {
		t.Errorf("%v are in use", got)
	}
}

// A module that just came survives that each replica loses its disk in turn, again and again, whatever the manager says meanwhile.
func TestNewModuleOutlivesDisks(t *testing.T) {
	one, two := pair(t)
	one.tell(t)
	two.keepUp(t.Context())
	one.bring(t, "new")
	two.tell(t)
	lost, left := one, two
	for range 3 {
		lost.stop()
		known := &peersOf{}
		known.are(left)
		again := start(t, func(o *Options) { o.Peers = known.find })
		again.awaitReady(t)
		again.tell(t)
		lost, left = left, again
	}
	lost.stop()
	if status := left.serves(t, plugin("new"), ""); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
}

// What came to a replica that could not tell the other is known to both after a round, and forgotten by both when it was named.
func TestReplicasAgree(t *testing.T) {
	one, two := pair(t)
	one.tell(t)
	two.keepUp(t.Context())
	round := func() {
		one.keepUp(t.Context())
		two.keepUp(t.Context())
	}
	var refs []store.Reference
	for i, r := range []*replica{one, two} {
		content := plugin(fmt.Sprint(i))
		refs = append(refs, store.Reference{Digest: digestOf(content)})
		if _, err := r.storage.put(t.Context(), moduleKey(refs[i]), hexOf(refs[i].Digest), bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		if err := r.references.add(t.Context(), refs[i]); err != nil {
			t.Fatal(err)
		}
	}
	agree := func(when string, want int) {
		t.Helper()
		first, second, now := one.references.get(), two.references.get(), time.Now()
		if !slices.Equal(one.counts(), two.counts()) || len(one.counts()) != want || first.version(now) != second.version(now) {
			t.Errorf("%s, want %d:\n%+v\n%+v", when, want, first, second)
		}
	}
	round()
	agree("brought", 2)
	before := one.references.get().Revision
	round()
	if one.references.get().Revision != before {
		t.Error("a round without news is news")
	}
	one.tell(t, refs...)
	round()
	agree("named", 2)
	one.tell(t, refs[0])
	round()
	agree("one is named no more", 1)
}

// failsOnce refuses one request of a kind, as where the apiserver does not answer.
type failsOnce struct {
	anybody

	left atomic.Int64
}

func (f *failsOnce) Check(ctx context.Context, token string, right Right) error {
	if f.left.Add(-1) == 0 {
		return errors.New("the apiserver does not answer")
	}
	return f.anybody.Check(ctx, token, right)
}

// A replica that could not fetch a module is not ready without it as long as a peer may have it.
func TestStartWithoutModule(t *testing.T) {
	access, content := &failsOnce{}, plugin("a")
	one := start(t, func(o *Options) { o.Access = access })
	one.awaitReady(t)
	one.tell(t, one.bring(t, "a"))
	access.left.Store(2) // the set, then the module
	known := &peersOf{}
	known.are(one)
	two := start(t, func(o *Options) { o.Peers = known.find })
	two.awaitReady(t)
	one.stop()
	if status := two.serves(t, content, ""); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
}
