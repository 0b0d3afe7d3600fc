// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

// TestNewModuleCounts: until the manager's sets name it, and for a while at most.
func TestNewModuleCounts(t *testing.T) {
	clock := &clock{now: time.Now()}
	r := start(t, func(o *Options) { o.Now = clock.Now })
	tell := func(named ...store.Reference) []store.Reference {
		t.Helper()
		if _, err := r.client(t).References(t.Context(), named); err != nil {
			t.Fatal(err)
		}
		return r.references.get().References
	}
	tell()
	content := plugin("new")
	ref := store.Reference{Digest: digestOf(content)}
	bring := func() {
		t.Helper()
		if err := r.client(t).Put(t.Context(), ref.Digest, "", content); err != nil {
			t.Fatal(err)
		}
	}
	bring()
	if named := tell(); !slices.Equal(named, []store.Reference{ref}) {
		t.Errorf("a set that was made before its pair: %v", named)
	}
	if named := tell(ref, ref); !slices.Equal(named, []store.Reference{ref, ref}) {
		t.Errorf("named: %v", named)
	}
	if named := tell(); len(named) != 0 {
		t.Errorf("named no more: %v", named)
	}
	bring()
	clock.advance(settling - time.Second)
	bring()
	clock.advance(settling - time.Second)
	if named := tell(); len(named) != 1 {
		t.Errorf("brought again: %v", named)
	}
	clock.advance(2 * time.Second)
	if named := tell(); len(named) != 0 {
		t.Errorf("no pair came to name it: %v", named)
	}
}

// A module that just came survives that each replica loses its disk in turn, whatever the manager says meanwhile.
func TestNewModuleOutlivesDisks(t *testing.T) {
	one, two := pair(t)
	tell := func(r *replica) {
		t.Helper()
		if _, err := r.client(t).References(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	tell(one)
	two.keepUp(t.Context())
	content := plugin("new")
	if err := one.client(t).Put(t.Context(), digestOf(content), "", content); err != nil {
		t.Fatal(err)
	}
	tell(two)
	one.stop()
	known := &peersOf{}
	known.are(two)
	again := start(t, func(o *Options) { o.Peers = known.find })
	again.awaitReady(t)
	two.stop()
	if status := again.serves(t, content, ""); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
}

// What came to a replica is in the set that both agree on, also where a newer one lacks it.
func TestReplicasAgree(t *testing.T) {
	one, two := pair(t)
	if _, err := one.client(t).References(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	two.keepUp(t.Context())
	for i, r := range []*replica{one, two, two} {
		// As where the other could not be told.
		content := plugin(fmt.Sprint(i))
		ref := store.Reference{Digest: digestOf(content)}
		if _, err := r.storage.put(t.Context(), moduleKey(ref), hexOf(ref.Digest), bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		if err := r.references.add(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range []*replica{one, two, one, two} {
		r.keepUp(t.Context())
	}
	first, second := one.references.get(), two.references.get()
	if len(first.References) != 3 || first.Revision != second.Revision || !maps.Equal(keysOf(first.References), keysOf(second.References)) {
		t.Errorf("%+v\n%+v", first, second)
	}
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
	if err := one.client(t).Put(t.Context(), digestOf(content), "", content); err != nil {
		t.Fatal(err)
	}
	if _, err := one.client(t).References(t.Context(), []store.Reference{{Digest: digestOf(content)}}); err != nil {
		t.Fatal(err)
	}
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
