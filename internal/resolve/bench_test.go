// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/solarmesh/wasmplugin-operator/internal/drystart"
	"github.com/solarmesh/wasmplugin-operator/internal/signature"
)

// bench is a resolver, all that it meets, and what it is asked for.
type bench struct {
	*outside
	t        *testing.T
	dir      string
	resolver *Resolver
	request  Request
}

// newBench asks for an image that is delivered from the store and tried.
func newBench(t *testing.T, url string) *bench {
	t.Helper()
	origin, err := ParseOrigin(url, "")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{outside: newOutside(), t: t, dir: t.TempDir()}
	b.restart()
	b.request = Request{
		Origin: origin, Namespace: "shop", ID: "r1", Store: true,
		Start: starts("{}"), Mask: func(words string) string { return strings.ReplaceAll(words, "ok:test", "***") },
	}
	return b
}

func starts(rules string) func(Module) (drystart.Request, error) {
	return func(found Module) (drystart.Request, error) {
		return drystart.Request{VMID: found.Digest, Plugins: []drystart.Plugin{{Configuration: rules}}, Secrets: []string{"ok:test"}}, nil
	}
}

// restart forgets all that isn't in the folder.
func (b *bench) restart() {
	b.t.Helper()
	cache, err := NewCache(b.dir, 1<<20)
	if err != nil {
		b.t.Fatal(err)
	}
	b.resolver = New(Parts{Fetcher: b, Memory: b.memory, Checker: b, Store: b, Cache: cache})
}

// forget starts anew with an empty folder.
func (b *bench) forget() {
	b.t.Helper()
	b.dir = b.t.TempDir()
	b.restart()
}

func (b *bench) withSecret() {
	b.request.PullSecret = func(context.Context) ([]byte, error) { return []byte(pullSecretValue), nil }
}

// withPolicy asks for the signer's signature.
func (b *bench) withPolicy() {
	b.request.Policy = func(context.Context) (signature.Policy, error) { return signerPolicy(), nil }
}

// resolve does what is asked for, and asserts what was asked of others for it.
func (b *bench) resolve(wantCalls ...string) Outcome {
	b.t.Helper()
	outcome := b.resolver.Resolve(b.t.Context(), b.request)
	if diff := cmp.Diff(wantCalls, b.take()); diff != "" {
		b.t.Errorf("asks (-want +got):\n%s", diff)
	}
	if held := b.memory.Held(); held != 0 {
		b.t.Errorf("%d bytes are still held", held)
	}
	return outcome
}

// stand resolves, and has what came of it for known: the plugin's pair stands.
func (b *bench) stand() Module {
	b.t.Helper()
	outcome := b.resolver.Resolve(b.t.Context(), b.request)
	if outcome.Failure != nil || outcome.Refusal != nil || outcome.Note != "" {
		b.t.Fatalf("got %+v", outcome)
	}
	b.take()
	b.request.Known = Parse(outcome.Module.String())
	return b.request.Known
}

// move has the tag, the file or the upload be another one.
func (b *bench) move() {
	b.content[imageURL], b.content[webURL], b.uploads[storeURL] = "two", "two", uploaded("two")
}

func wantFailure(t *testing.T, outcome Outcome, reason string, temporary bool, words ...string) {
	t.Helper()
	failure := outcome.Failure
	if failure == nil || failure.Reason != reason || failure.Temporary != temporary {
		t.Fatalf("got %+v (%+v), want %s, temporary %t", outcome, failure, reason, temporary)
	}
	if i := slices.IndexFunc(words, func(word string) bool { return !strings.Contains(failure.Message, word) }); i >= 0 {
		t.Errorf("%q lacks %q", failure.Message, words[i])
	}
}
