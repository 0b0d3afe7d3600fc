// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/solarmesh/wasmplugin-operator/internal/drystart"
	"github.com/solarmesh/wasmplugin-operator/internal/module"
	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

// wantNote fails unless the known module stays in effect, with a sentence about what could not be done.
func wantNote(t *testing.T, outcome Outcome, known Module, words ...string) {
	t.Helper()
	if diff := cmp.Diff(known, outcome.Module); diff != "" || outcome.Failure != nil || outcome.Refusal != nil {
		t.Fatalf("got %+v, failure %v; the module (-want +got):\n%s", outcome, outcome.Failure, diff)
	}
	for _, word := range words {
		if !strings.Contains(outcome.Note, word) {
			t.Errorf("the note %q lacks %q", outcome.Note, word)
		}
	}
	if len(words) == 0 && outcome.Note != "" {
		t.Errorf("notes %q", outcome.Note)
	}
}

// TestLook asks what a tag means now. No module is read where it means the same.
func TestLook(t *testing.T) {
	const resolve = "resolve " + imageURL
	fetchTwo := "fetch oci://registry.example.com/auth@" + manifestOf("two")
	refused := drystart.Verdict{Outcome: drystart.Refused, Stage: drystart.StageConfigure, Reason: "it says no"}
	tests := map[string]struct {
		prepare func(*bench)
		calls   []string
		check   func(t *testing.T, outcome Outcome, known Module)
	}{
		"the same": {
			func(*bench) {},
			[]string{resolve},
			func(t *testing.T, outcome Outcome, known Module) { wantNote(t, outcome, known) },
		},
		"the same, signed": {
			(*bench).withPolicy,
			[]string{resolve, "signatures image of one"},
			func(t *testing.T, outcome Outcome, known Module) {
				known.VerifiedBy = "cosign key spec.verification.keys[0]"
				wantNote(t, outcome, known)
			},
		},
		"the same, but the signature was taken back": {
			func(b *bench) { b.withPolicy(); b.unsigned[manifestOf("one")] = true },
			[]string{resolve, "signatures image of one"},
			func(t *testing.T, outcome Outcome, _ Module) { wantFailure(t, outcome, "NotSigned", false) },
		},
		"moved": {
			func(b *bench) { b.move() },
			[]string{resolve, fetchTwo, "put two", "check two"},
			func(t *testing.T, outcome Outcome, _ Module) {
				if outcome.Failure != nil || outcome.Module.Digest != digestOf("two") || outcome.Module.Manifest != manifestOf("two") || !outcome.Module.Stored {
					t.Errorf("got %+v (%v)", outcome, outcome.Failure)
				}
			},
		},
		"no turn": {
			func(b *bench) { b.errs["resolve"] = module.NewError(module.Busy, "this one waits its turn") },
			[]string{resolve},
			func(t *testing.T, outcome Outcome, _ Module) {
				if !outcome.Busy() {
					t.Errorf("got %+v", outcome)
				}
			},
		},
		"moved to what nobody signed": {
			func(b *bench) { b.withPolicy(); b.move(); b.unsigned[manifestOf("two")] = true },
			[]string{resolve, fetchTwo, "signatures image of two"},
			func(t *testing.T, outcome Outcome, _ Module) { wantFailure(t, outcome, "NotSigned", false) },
		},
		"moved to what refuses the rules": {
			func(b *bench) { b.move(); b.refuses["two"] = refused },
			[]string{resolve, fetchTwo, "put two", "check two"},
			func(t *testing.T, outcome Outcome, _ Module) {
				if outcome.Refusal == nil || !outcome.Refusal.OfRules || outcome.Module.Digest != digestOf("two") {
					t.Errorf("got %+v (%v)", outcome, outcome.Failure)
				}
			},
		},
		"moved to no module": {
			func(b *bench) { b.move(); b.errs[fetchTwo] = module.NewError(module.NotWasm, "is a web page") },
			[]string{resolve, fetchTwo},
			func(t *testing.T, outcome Outcome, _ Module) { wantFailure(t, outcome, "NotWasm", false, "web page") },
		},
		"moved to what can't be read at the moment": {
			func(b *bench) {
				b.move()
				b.errs[fetchTwo] = module.NewError(module.Unreachable, "the connection broke off")
			},
			[]string{resolve, fetchTwo},
			func(t *testing.T, outcome Outcome, known Module) {
				wantNote(t, outcome, known, "newer module", "broke off")
			},
		},
		"unreachable": {
			func(b *bench) {
				b.errs["resolve"] = module.NewError(module.Unreachable, "the server refuses connections")
			},
			[]string{resolve},
			func(t *testing.T, outcome Outcome, known Module) { wantNote(t, outcome, known, "refuses connections") },
		},
		"denied": {
			func(b *bench) { b.errs["resolve"] = module.NewError(module.Denied, "the server denies access") },
			[]string{resolve},
			func(t *testing.T, outcome Outcome, known Module) { wantNote(t, outcome, known, "denies access") },
		},
		"the tag is gone": {
			func(b *bench) { b.errs["resolve"] = module.NewError(module.NotFound, "there is nothing of that name") },
			[]string{resolve},
			func(t *testing.T, outcome Outcome, known Module) { wantNote(t, outcome, known, "nothing of that name") },
		},
		"moved, and the store is down": {
			func(b *bench) { b.move(); b.errs["put"] = &store.Error{Kind: store.Unreachable} },
			[]string{resolve, fetchTwo, "put two"},
			func(t *testing.T, outcome Outcome, _ Module) { wantFailure(t, outcome, "StoreUnavailable", true) },
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, imageURL)
			known := b.stand()
			test.prepare(b)
			b.request.Look = true
			test.check(t, b.resolve(test.calls...), known)
		})
	}
}

// TestLookOfPinned: what can mean one module only is not asked for, but its signature is.
func TestLookOfPinned(t *testing.T) {
	b := newBench(t, "oci://registry.example.com/auth@"+manifestOf("one"))
	known := b.stand()
	b.request.Look = true
	wantNote(t, b.resolve(), known)
	b.withPolicy()
	known.VerifiedBy = "cosign key spec.verification.keys[0]"
	wantNote(t, b.resolve("signatures image of one"), known)
	b.errs["signatures"] = module.NewError(module.Unreachable, "the server refuses connections")
	wantNote(t, b.resolve("signatures image of one"), b.request.Known, "refuses connections")
	clear(b.errs)
	b.unsigned[manifestOf("one")] = true
	wantFailure(t, b.resolve("signatures image of one"), "NotSigned", false)
}

// TestLookOfWebServer: only the bytes tell whether a file is still the same.
func TestLookOfWebServer(t *testing.T) {
	const fetch = "fetch " + webURL
	b := newBench(t, webURL)
	known := b.stand()
	b.request.Look = true
	wantNote(t, b.resolve(fetch), known)
	b.errs["fetch"] = module.NewError(module.Unreachable, "the server refuses connections")
	wantNote(t, b.resolve(fetch), known, "refuses connections")
	clear(b.errs)
	b.move()
	if outcome := b.resolve(fetch, "put two", "check two"); outcome.Failure != nil || outcome.Module.Digest != digestOf("two") {
		t.Errorf("got %+v (%v)", outcome, outcome.Failure)
	}
}

// TestRestore puts back what the store lost. Where that can't be, running proxies are none the worse for it.
func TestRestore(t *testing.T) {
	pinned := "fetch oci://registry.example.com/auth@" + manifestOf("one")
	tests := map[string]struct {
		prepare func(*bench)
		calls   []string
		note    []string
	}{
		"from the folder":         {func(*bench) {}, []string{"put one"}, nil},
		"from the registry":       {(*bench).forget, []string{pinned, "put one"}, nil},
		"though the tag moved on": {func(b *bench) { b.forget(); b.move() }, []string{pinned, "put one"}, nil},
		"not from anywhere": {
			func(b *bench) {
				b.forget()
				b.errs["fetch"] = module.NewError(module.NotFound, "there is nothing of that name")
			},
			[]string{pinned},
			[]string{"lost the module", "proxies that start now", "nothing of that name"},
		},
		"into a store that is down": {
			func(b *bench) { b.errs["put"] = &store.Error{Kind: store.Unreachable} },
			[]string{"put one"},
			[]string{"lost the module"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, imageURL)
			known := b.stand()
			clear(b.stored)
			test.prepare(b)
			b.request.Restore = true
			wantNote(t, b.resolve(test.calls...), known, test.note...)
			if got := b.stored[store.Path(known.Digest, "")]; (got == "one") == (test.note != nil) {
				t.Errorf("the store has %q", got)
			}
		})
	}
	t.Run("another file of a web server is no substitute", func(t *testing.T) {
		b := newBench(t, webURL)
		known := b.stand()
		clear(b.stored)
		b.forget()
		b.move()
		b.request.Restore = true
		wantNote(t, b.resolve("fetch "+webURL), known, "lost the module", "another one by now")
		if len(b.stored) != 0 {
			t.Errorf("the store has %v", b.stored)
		}
	})
}

// TestCapability: what was pulled with a Secret is served under a path that nobody guesses, the same for its whole life, so
// that a module that moves doesn't leave a trail of paths. What was pulled without one needs none.
func TestCapability(t *testing.T) {
	b := newBench(t, imageURL)
	if known := b.stand(); known.Capability != "" {
		t.Errorf("public, but has the capability %q", known.Capability)
	}
	b.withSecret()
	b.request.ID = "r2"
	first := b.stand()
	if (store.Reference{Digest: first.Digest, Capability: first.Capability}).Check() != nil || first.Capability == "" {
		t.Fatalf("capability %q", first.Capability)
	}
	if b.stored[store.Path(first.Digest, first.Capability)] != "one" {
		t.Errorf("the store has %v", b.stored)
	}
	b.request.Look = true
	b.move()
	second := b.stand()
	if second.Digest != digestOf("two") || second.Capability != first.Capability || b.stored[store.Path(second.Digest, second.Capability)] != "two" {
		t.Errorf("got %+v after %+v", second, first)
	}
	b.request.Look, b.request.Restore = false, true
	clear(b.stored)
	if third := b.stand(); third != second || b.stored[store.Path(second.Digest, second.Capability)] != "two" {
		t.Errorf("restored as %+v, was %+v", third, second)
	}
	b.request.Namespace, b.request.Known = "other", Module{}
	if other := b.stand(); other.Capability == first.Capability || other.Capability == "" {
		t.Error("two namespaces have one capability")
	}
	if text := b.request.Known.String(); strings.Contains(text, pullSecretValue) {
		t.Errorf("the pair would carry the Secret: %s", text)
	}
}
