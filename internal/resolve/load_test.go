// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/solarmesh/wasmplugin-operator/internal/module"
	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

// TestLoadsFromNearest: a module that is to be tried with other rules comes from where it is nearest.
func TestLoadsFromNearest(t *testing.T) {
	pinned := "fetch oci://registry.example.com/auth@" + manifestOf("one")
	tests := map[string]struct {
		prepare func(*bench)
		calls   []string
	}{
		"the folder":         {func(*bench) {}, []string{"check one"}},
		"the store":          {(*bench).forget, []string{"get one", "check one"}},
		"the registry":       {func(b *bench) { b.forget(); clear(b.stored) }, []string{"get one", pinned, "check one"}},
		"a store that fails": {func(b *bench) { b.forget(); b.errs["get"] = errors.New("down") }, []string{"get one", pinned, "check one"}},
		"no store":           {func(b *bench) { b.forget(); b.request.Store = false }, []string{pinned, "check one"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, imageURL)
			b.stand()
			b.move()
			test.prepare(b)
			b.request.Start = starts(`{"a":1}`)
			if outcome := b.resolve(test.calls...); outcome.Failure != nil || outcome.Module.Digest != digestOf("one") {
				t.Fatalf("got %+v (%+v)", outcome, outcome.Failure)
			}
			// It is at hand from now on, unless the store had it.
			b.request.Start = starts(`{"a":2}`)
			if outcome := b.resolver.Resolve(t.Context(), b.request); outcome.Failure != nil {
				t.Errorf("then %+v", outcome.Failure)
			}
			for _, call := range b.take() {
				if strings.HasPrefix(call, "fetch") {
					t.Errorf("fetches again: %s", call)
				}
			}
		})
	}
}

// TestLoadsNoOther: a web server can't be asked for what it served once. Another module is never taken for it.
func TestLoadsNoOther(t *testing.T) {
	b := newBench(t, webURL)
	b.request.Store = false
	b.stand()
	b.move()
	b.forget()
	b.request.Start = starts(`{"a":1}`)
	wantFailure(t, b.resolve("fetch "+webURL), "DigestMismatch", false, digestOf("one"), digestOf("two"))
	if len(b.started) != 1 {
		t.Errorf("tried %d times", len(b.started))
	}
}

// TestLoadsWhenThereIsRoom: what would take too much memory waits, and is neither fetched instead nor taken for damaged.
func TestLoadsWhenThereIsRoom(t *testing.T) {
	const size = 64 << 10
	tests := map[string]struct {
		prepare func(*bench)
		calls   []string
	}{
		"from the folder":      {func(*bench) {}, nil},
		"from the store":       {(*bench).forget, []string{"get one"}},
		"back into the store":  {func(b *bench) { b.request.Restore = true }, nil},
		"from where it can be": {func(b *bench) { b.forget(); clear(b.stored) }, []string{"get one", "fetch oci://registry.example.com/auth@" + manifestOf("one")}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, imageURL)
			b.memory = module.NewMemory(module.Limits{Module: size, InFlight: 1})
			b.restart()
			b.stand()
			b.request.Start = starts(`{"a":1}`)
			test.prepare(b)
			var others []*module.Module
			for range 2 {
				other, err := b.memory.Read("shop", bytes.NewReader(make([]byte, size)))
				if err != nil {
					t.Fatal(err)
				}
				others = append(others, other)
			}
			outcome := b.resolver.Resolve(t.Context(), b.request)
			waits := outcome.Busy() || (b.request.Restore && outcome.Note != "")
			if diff := cmp.Diff(test.calls, b.take()); diff != "" || !waits {
				t.Errorf("got %+v (%+v), asks %s", outcome, outcome.Failure, diff)
			}
			for _, other := range others {
				other.Release()
			}
			if outcome = b.resolver.Resolve(t.Context(), b.request); outcome.Failure != nil || outcome.Note != "" || b.memory.Held() != 0 {
				t.Errorf("then got %+v (%+v), %d bytes held", outcome, outcome.Failure, b.memory.Held())
			}
		})
	}
}

// TestRefusedModuleTakesNoMemory while another is had again in its place.
func TestRefusedModuleTakesNoMemory(t *testing.T) {
	b := newBench(t, imageURL)
	b.stand()
	b.move()
	b.forget()
	b.withPolicy()
	b.unsigned[manifestOf("two")] = true
	b.errs["signatures image of two"] = module.NewError(module.Unreachable, "the registry is down")
	b.request.Look, b.request.Restore = true, true
	pinned := "fetch oci://registry.example.com/auth@"
	outcome := b.resolve("resolve "+imageURL, pinned+manifestOf("two"), "signatures image of two", pinned+manifestOf("one"), "put one")
	if outcome.Failure != nil || outcome.Module.Digest != digestOf("one") || outcome.Note == "" {
		t.Errorf("got %+v (%+v)", outcome, outcome.Failure)
	}
}

// TestWhoFetchesStartsNothing: modules that have to be had again from servers that hang don't take the turns of those
// that are at hand.
func TestWhoFetchesStartsNothing(t *testing.T) {
	b := newBench(t, imageURL)
	b.stand()
	b.request.Start = starts(`{"a":1}`)
	release := make(chan struct{})
	hanging := &hangingFetcher{Fetcher: b, entered: make(chan struct{}), release: release}
	empty, err := NewCache(t.TempDir(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	slow := New(Parts{Fetcher: hanging, Memory: b.memory, Checker: b, Cache: empty})
	slow.checking = b.resolver.checking
	var group sync.WaitGroup
	for range mostChecks {
		group.Go(func() {
			request := b.request
			request.Store = false
			slow.Resolve(t.Context(), request)
		})
		<-hanging.entered
	}
	if outcome := b.resolve("check one"); outcome.Failure != nil {
		t.Errorf("got %+v", outcome.Failure)
	}
	close(release)
	group.Wait()
}

// hangingFetcher says when it is asked, and fetches when it may.
type hangingFetcher struct {
	Fetcher
	entered chan struct{}
	release chan struct{}
}

func (h *hangingFetcher) Fetch(ctx context.Context, ref module.Reference, pullSecret []byte) (*module.Module, error) {
	h.entered <- struct{}{}
	<-h.release
	return h.Fetcher.Fetch(ctx, ref, pullSecret)
}

// TestOnePlace: what is delivered, and can't be started for long, takes room in the store once, where nobody can guess.
func TestOnePlace(t *testing.T) {
	b := newBench(t, imageURL)
	b.withSecret()
	b.request.Look = true // nothing of what was just read is used again
	b.errs["check"] = errors.New("the checker doesn't answer")
	for range 3 {
		b.resolver.Resolve(t.Context(), b.request)
	}
	if len(b.stored) != 1 || b.stored[store.Path(digestOf("one"), "")] != "" {
		t.Errorf("stored in %q", slices.Collect(maps.Keys(b.stored)))
	}
	for name, change := range map[string]func(){
		"another namespace": func() { b.request.Namespace = "other" },
		"another request":   func() { b.request.ID = "r2" },
		"another module":    b.move,
		"another process":   b.restart,
	} {
		before := len(b.stored)
		change()
		b.resolver.Resolve(t.Context(), b.request)
		if len(b.stored) != before+1 {
			t.Errorf("%s: stored in %q", name, slices.Collect(maps.Keys(b.stored)))
		}
	}
}
