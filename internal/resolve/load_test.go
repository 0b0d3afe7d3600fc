// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"errors"
	"strings"
	"testing"
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
