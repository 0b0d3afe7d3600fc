// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"strings"
	"testing"

	"github.com/solarmesh/wasmplugin-operator/internal/module"
	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

// TestUploaded: modules of the store itself, by tag and by digest.
func TestUploaded(t *testing.T) {
	one, two := digestOf(uploaded("one")), digestOf(uploaded("two"))
	b := newBench(t, storeURL)
	outcome := b.resolve("tag shop/auth:1", "read shop/auth@uploaded one", "put "+uploaded("one"), "check "+uploaded("one"))
	found := outcome.Module
	if outcome.Failure != nil || found.Digest != one || found.Source != "store://auth@"+one || found.ABI != "0.2.1" || found.Size != int64(len(uploaded("one"))) {
		t.Fatalf("got %+v (%v)", found, outcome.Failure)
	}
	if found.Capability == "" {
		t.Error("whoever uploaded it didn't publish it to the whole cluster")
	}
	b.request.Known, b.request.Look = found, true
	wantNote(t, b.resolve("tag shop/auth:1"), found)
	b.move()
	if outcome := b.resolve("tag shop/auth:1", "read shop/auth@uploaded two", "put "+uploaded("two"), "check "+uploaded("two")); outcome.Module.Digest != two {
		t.Errorf("got %+v (%v)", outcome, outcome.Failure)
	}
	b.errs["tag"] = &store.Error{Kind: store.Unreachable}
	wantNote(t, b.resolve("tag shop/auth:1"), found, "newer module")
	b.request.Look = false
	b.forget()
	clear(b.errs)
	clear(b.stored)
	b.request.Start = starts(`{"a":1}`)
	b.uploads["store://auth:0"] = uploaded("one") // it keeps what any tag names
	b.resolve("get uploaded one", "read shop/auth@uploaded one", "check "+uploaded("one"))
}

// TestUploadedFails: what the store says becomes the reason.
func TestUploadedFails(t *testing.T) {
	tests := map[string]struct {
		prepare   func(*bench)
		reason    string
		temporary bool
	}{
		"no such tag": {func(b *bench) { b.errs["tag"] = &store.Error{Kind: store.NotFound} }, "NotFound", false},
		"too large": {func(b *bench) {
			b.memory = module.NewMemory(module.Limits{Module: 10})
			b.restart()
		}, "TooLarge", false},
		"down":              {func(b *bench) { b.errs["tag"] = &store.Error{Kind: store.Unreachable} }, "StoreUnavailable", true},
		"down between both": {func(b *bench) { b.errs["read"] = &store.Error{Kind: store.Unreachable} }, "StoreUnavailable", true},
		"gone between both": {func(b *bench) { b.errs["read"] = &store.Error{Kind: store.NotFound} }, "NotFound", false},
		"no right":          {func(b *bench) { b.errs["tag"] = &store.Error{Kind: store.Denied} }, "StoreUnavailable", true},
		"no module":         {func(b *bench) { b.uploads[storeURL] = "<html>" }, "NotWasm", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, storeURL)
			test.prepare(b)
			wantFailure(t, b.resolver.Resolve(t.Context(), b.request), test.reason, test.temporary)
		})
	}
}

func TestParseOrigin(t *testing.T) {
	digest := strings.TrimPrefix(digestOf("one"), "sha256:")
	tests := map[string]struct {
		url, sha256     string
		name, tag, kept string
		stored, moves   bool
		kind            string
	}{
		"a tag":                      {"store://auth:1.4", "", "auth", "1.4", "", true, true, "store"},
		"no tag":                     {"store://auth", "", "auth", "latest", "", true, true, "store"},
		"a tag, pinned beside it":    {"store://auth:1", digest, "auth", "1", "sha256:" + digest, true, false, "store"},
		"an image":                   {imageURL, "", "", "", "", false, true, "oci"},
		"an image, pinned beside it": {imageURL, digest, "", "", "", false, false, "oci"},
		"an image without a scheme":  {"registry.example.com/auth", "", "", "", "", false, true, "oci"},
		"a file":                     {webURL, "", "", "", "", false, true, "http"},
		"a file, pinned":             {webURL, digest, "", "", "", false, false, "http"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			origin, err := ParseOrigin(test.url, test.sha256)
			if err != nil || origin.name != test.name || origin.tag != test.tag || origin.digest != test.kept {
				t.Errorf("got %+v, %v", origin, err)
			}
			if origin.Stored() != test.stored || origin.moves() != test.moves || origin.kind() != test.kind {
				t.Errorf("stored %t, moves %t, kind %s", origin.Stored(), origin.moves(), origin.kind())
			}
		})
	}
	if _, err := ParseOrigin("ftp://example.com/x", ""); module.KindOf(err) != module.InvalidReference {
		t.Errorf("got %v", err)
	}
}
