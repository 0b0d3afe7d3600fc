// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/drystart"
	"github.com/solarmesh/wasmplugin-operator/internal/module"
	"github.com/solarmesh/wasmplugin-operator/internal/signature"
	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

// TestResolve goes all the way: the module is fetched, verified before it is put into the store, put there before it is
// tried, and remembered.
func TestResolve(t *testing.T) {
	b := newBench(t, imageURL)
	b.withPolicy()
	outcome := b.resolve("fetch "+imageURL, "signatures image of one", "put one", "check one")
	want := Module{
		Digest: digestOf("one"), Manifest: manifestOf("one"), Source: "oci://registry.example.com/auth@" + manifestOf("one"), Size: 3, ABI: "0.2.1",
		VerifiedBy: "cosign key spec.verification.keys[0]", Stored: true, Request: "r1", Check: outcome.Module.Check,
	}
	if diff := cmp.Diff(Outcome{Module: want}, outcome); diff != "" || want.Check == "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := b.stored[store.Path(digestOf("one"), "")]; got != "one" {
		t.Errorf("the store has %q", got)
	}
	if diff := cmp.Diff([]string{"ok:test"}, b.started[0].Secrets); diff != "" {
		t.Errorf("the checker isn't told the secrets: %s", diff)
	}
	b.request.Known = outcome.Module
	for _, restarted := range []bool{false, true} {
		if restarted {
			b.forget()
		}
		standing, known, err := b.resolver.Standing(b.request)
		if !known || err != nil || standing.Module != want {
			t.Errorf("restarted %t: doesn't stand: %+v, %t, %v", restarted, standing, known, err)
		}
		b.resolve()
	}
}

// TestStanding: what is known needs no look, unless something about it is asked for that isn't known.
func TestStanding(t *testing.T) {
	tests := map[string]struct {
		change func(*Request)
		want   bool
	}{
		"as it was":              {func(*Request) {}, true},
		"nothing known":          {func(r *Request) { r.Known = Module{} }, false},
		"another URL":            {func(r *Request) { r.ID = "r2" }, false},
		"a look":                 {func(r *Request) { r.Look = true }, false},
		"the store lost it":      {func(r *Request) { r.Restore = true }, false},
		"not yet in the store":   {func(r *Request) { r.Known.Stored = false }, false},
		"delivered from its URL": {func(r *Request) { r.Known.Stored, r.Store = false, false }, true},
		"other rules":            {func(r *Request) { r.Start = starts(`{"a":1}`) }, false},
		"no dry start":           {func(r *Request) { r.Start = nil }, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, imageURL)
			b.stand()
			test.change(&b.request)
			outcome, known, err := b.resolver.Standing(b.request)
			if known != test.want || err != nil || (known && outcome.Module != b.request.Known) {
				t.Errorf("got %+v, %t, %v", outcome, known, err)
			}
			if asked := b.take(); asked != nil {
				t.Errorf("asks %v", asked)
			}
		})
	}
	b := newBench(t, imageURL)
	b.stand()
	b.request.Start = func(Module) (drystart.Request, error) { return drystart.Request{}, errors.New("no pair") }
	if _, known, err := b.resolver.Standing(b.request); known || err == nil {
		t.Errorf("got %t, %v", known, err)
	}
}

// TestNothingStands: what goes wrong before the module is delivered, and what was done until then.
func TestNothingStands(t *testing.T) {
	const fetch = "fetch " + imageURL
	unreachable := module.NewError(module.Unreachable, "the server refuses connections")
	unreachable.RetryAfter = time.Minute
	down := &store.Error{Kind: store.Unreachable}
	tests := map[string]struct {
		prepare   func(*bench)
		reason    string
		temporary bool
		words     string
		calls     []string
	}{
		"unreachable": {func(b *bench) { b.errs["fetch"] = unreachable }, "Unreachable", true, "refuses connections", []string{fetch}},
		"not found":   {func(b *bench) { b.errs["fetch"] = module.NewError(module.NotFound, "nothing") }, "NotFound", false, "nothing", []string{fetch}},
		"the pull secret": {func(b *bench) {
			b.request.PullSecret = func(context.Context) ([]byte, error) {
				return nil, &Failure{Reason: "InvalidPullSecret", Message: "spec.imagePullSecret: is none"}
			}
		}, "InvalidPullSecret", false, "spec.imagePullSecret", nil},
		"nobody signed it": {func(b *bench) {
			b.withPolicy()
			b.unsigned[manifestOf("one")] = true
		}, "NotSigned", false, "", []string{fetch, "signatures image of one"}},
		"no key": {func(b *bench) {
			b.request.Policy = func(context.Context) (signature.Policy, error) {
				return signature.Policy{}, &Failure{Reason: "InvalidKey", Message: "spec.verification.keys[0]: is none"}
			}
		}, "InvalidKey", false, "keys[0]", nil},
		"signatures can't be had": {func(b *bench) {
			b.withPolicy()
			b.errs["signatures"] = module.NewError(module.TimedOut, "too slow")
		}, "TimedOut", true, "too slow", []string{fetch, "signatures image of one"}},
		"the store is down": {func(b *bench) { b.errs["put"] = down }, wasmv1alpha1.ReasonStoreUnavailable, true, "", []string{fetch, "put one"}},
		"the checker is down": {
			func(b *bench) { b.errs["check"] = errors.New("the checker doesn't answer") },
			wasmv1alpha1.ReasonCheckerUnavailable, true, "doesn't answer",
			[]string{fetch, "put one", "check one"},
		},
		"no pair": {func(b *bench) {
			b.request.Start = func(Module) (drystart.Request, error) {
				return drystart.Request{}, &Failure{Reason: "NotSupported", Message: "can't be rendered"}
			}
		}, "NotSupported", false, "can't be rendered", []string{fetch, "put one"}},
		"an error of nobody": {func(b *bench) { b.errs["fetch"] = errors.New("odd") }, "Unreachable", true, "odd", []string{fetch}},
		"out of time":        {func(b *bench) { b.errs["fetch"] = fmt.Errorf("fetch: %w", context.DeadlineExceeded) }, "TimedOut", true, "", []string{fetch}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, imageURL)
			test.prepare(b)
			outcome := b.resolve(test.calls...)
			wantFailure(t, outcome, test.reason, test.temporary, test.words)
			if outcome.Module.Digest != "" {
				t.Errorf("and yet there is %+v", outcome.Module)
			}
			if name == "unreachable" && outcome.Failure.RetryAfter != time.Minute {
				t.Errorf("retries after %s", outcome.Failure.RetryAfter)
			}
		})
	}
}

// TestOtherRules are tried with the module that is at hand, and the tag isn't asked for.
func TestOtherRules(t *testing.T) {
	b := newBench(t, imageURL)
	known := b.stand()
	b.move()
	b.request.Start = starts(`{"a":1}`)
	outcome := b.resolve("check one")
	if outcome.Module.Digest != known.Digest || outcome.Module.Check == known.Check {
		t.Errorf("got %+v", outcome.Module)
	}
	if got := b.started[len(b.started)-1].Plugins[0].Configuration; got != `{"a":1}` {
		t.Errorf("tries %s", got)
	}
}

// TestRefusal: the module is there, but the plugin doesn't start. Its words are masked.
func TestRefusal(t *testing.T) {
	tests := map[string]struct {
		verdict drystart.Verdict
		want    Refusal
	}{
		"rules": {
			drystart.Verdict{Outcome: drystart.Refused, Stage: drystart.StageConfigure, Reason: "it says no", Logs: []string{"error: ok:test is none"}},
			Refusal{OfRules: true, Field: "spec.rules", Reason: "it says no", Said: "error: *** is none"},
		},
		"module": {
			drystart.Verdict{Outcome: drystart.Refused, Stage: drystart.StageLoad, Reason: "it traps"},
			Refusal{Field: "spec.url", Reason: "it traps"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, imageURL)
			b.refuses["one"] = test.verdict
			outcome := b.resolve("fetch "+imageURL, "put one", "check one")
			if outcome.Failure != nil || outcome.Module.Digest != digestOf("one") || outcome.Refusal == nil {
				t.Fatalf("got %+v", outcome)
			}
			if diff := cmp.Diff(test.want, *outcome.Refusal); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestVerdictIsKept: over the same folder no other process tries again what is known, be it good or bad.
func TestVerdictIsKept(t *testing.T) {
	for name, prepare := range map[string]func(*bench){
		"accepted": func(*bench) {},
		"unsure":   func(b *bench) { b.unsure = "proxy_http_call" },
		"refused": func(b *bench) {
			b.refuses["one"] = drystart.Verdict{Outcome: drystart.Refused, Stage: drystart.StageConfigure, Reason: "it says no"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, imageURL)
			prepare(b)
			first := b.resolve("fetch "+imageURL, "put one", "check one")
			b.restart()
			second := b.resolve("fetch "+imageURL, "put one")
			if diff := cmp.Diff(first, second); diff != "" {
				t.Error(diff)
			}
			want := ""
			if b.unsure != "" {
				want = "whether the plugin starts, only a proxy can tell: " + b.unsure
			}
			if second.Module.Unsure != want {
				t.Errorf("unsure of %q, want %q", second.Module.Unsure, want)
			}
			b.request.Start = starts(`{"a":1}`)
			b.resolve("put one", "check one")
		})
	}
}

// TestWithoutDryStart: neither an installation without a checker tries anything, nor is an earlier verdict claimed.
func TestWithoutDryStart(t *testing.T) {
	b := newBench(t, imageURL)
	b.stand()
	b.request.Start, b.request.Look = nil, true
	if outcome := b.resolve("resolve " + imageURL); outcome.Module.Check != "" || outcome.Failure != nil {
		t.Errorf("got %+v", outcome)
	}
	b.resolver = New(Parts{Fetcher: b, Store: b, Cache: b.resolver.cache})
	b.request.Start = starts("{}")
	b.request.Look = false
	b.resolve()
	if _, known, _ := b.resolver.Standing(b.request); !known {
		t.Error("doesn't stand")
	}
}

// TestNoOtherNamespacesModule: what is at hand for one namespace is fetched again for another, with its own credentials.
func TestNoOtherNamespacesModule(t *testing.T) {
	b := newBench(t, imageURL)
	b.withSecret()
	b.stand()
	b.request.Namespace, b.request.Known = "other", Module{}
	b.request.PullSecret = nil
	b.errs["fetch"] = module.NewError(module.Denied, "the server denies access")
	wantFailure(t, b.resolve("fetch "+imageURL), "Denied", false)
}

// TestMasked: words that were kept for one plugin are masked for each that they are told to, whose secrets may be others.
func TestMasked(t *testing.T) {
	b := newBench(t, imageURL)
	b.refuses["one"] = drystart.Verdict{Outcome: drystart.Refused, Stage: drystart.StageConfigure, Reason: "no", Logs: []string{"error: ok:test is none"}}
	mask := b.request.Mask
	b.request.Mask = func(words string) string { return words }
	for _, test := range []struct {
		mask func(string) string
		want string
	}{{b.request.Mask, "no; the plugin said: error: ok:test is none"}, {mask, "no; the plugin said: error: *** is none"}} {
		b.request.Mask = test.mask
		if refusal := b.resolver.Resolve(t.Context(), b.request).Refusal; refusal == nil || refusal.Words() != test.want {
			t.Errorf("got %+v, want %q", refusal, test.want)
		}
	}
}

// TestCancelled: whoever stops asking is told nothing that could be taken for the server's fault.
func TestCancelled(t *testing.T) {
	b := newBench(t, imageURL)
	for range mostOfNamespace {
		if _, err := b.resolver.fetching.enter(t.Context(), b.request.Namespace); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if outcome := b.resolver.Resolve(ctx, b.request); outcome.Failure == nil || !outcome.Failure.Temporary {
		t.Errorf("got %+v", outcome)
	}
	if asked := b.take(); asked != nil {
		t.Errorf("asks %v though no place is free", asked)
	}
	b.request.Namespace = "another"
	if outcome := b.resolver.Resolve(t.Context(), b.request); outcome.Failure != nil {
		t.Errorf("another namespace waits, too: %+v", outcome.Failure)
	}
}
