// SPDX-License-Identifier: Apache-2.0

package store

import (
	"net/url"
	"strings"
	"testing"
)

const (
	digits = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	digest = "sha256:" + digits
)

func TestPath(t *testing.T) {
	if got, want := Path(digest, ""), "/modules/sha256/"+digits+".wasm"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	capability := NewCapability()
	if got, want := Path(digest, capability), "/modules/private/"+capability+"/"+digits+".wasm"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if other := NewCapability(); other == capability || len(other) != 43 {
		t.Errorf("capabilities %q, %q", capability, other)
	}
}

func TestReferenceCheck(t *testing.T) {
	capability := NewCapability()
	for _, ref := range []Reference{{Digest: digest}, {Digest: digest, Capability: capability}} {
		if err := ref.Check(); err != nil {
			t.Errorf("%+v: %v", ref, err)
		}
	}
	for _, ref := range []Reference{
		{},
		{Digest: digits},
		{Digest: "sha256:" + strings.ToUpper(digits)},
		{Digest: digest + "0"},
		{Digest: digest + "\n"},
		{Digest: "sha512:" + digits},
		{Digest: digest, Capability: capability[1:]},
		{Digest: digest, Capability: capability + "A"},
		{Digest: digest, Capability: "../" + capability[3:]},
	} {
		err := ref.Check()
		if err == nil {
			t.Errorf("%+v is taken", ref)
		}
		if err != nil && ref.Capability != "" && strings.Contains(err.Error(), ref.Capability) {
			t.Errorf("the message repeats a capability: %v", err)
		}
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{"a", "basic-auth", strings.Repeat("a", 63)} {
		if err := CheckName(name, name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", "-a", "a-", "A", "a.b", "a/b", "..", strings.Repeat("a", 64), "a\n"} {
		if CheckName(name, "a") == nil || CheckName("a", name) == nil {
			t.Errorf("%q is taken", name)
		}
	}
	for _, tag := range []string{"1", "v1.4-rc.1", "_", strings.Repeat("a", 128)} {
		if err := CheckTag(tag); err != nil {
			t.Error(err)
		}
	}
	for _, tag := range []string{"", ".", "..", "-1", "a/b", "a b", strings.Repeat("a", 129), "1\n"} {
		if CheckTag(tag) == nil {
			t.Errorf("%q is taken", tag)
		}
	}
}

// FuzzParsePath: a path is the reference's only spelling, and leads nowhere but under /modules/.
func FuzzParsePath(f *testing.F) {
	capability := NewCapability()
	for _, seed := range []string{
		Path(digest, ""), Path(digest, capability), "/modules/sha256/../" + digits + ".wasm", "/modules/private//" + digits + ".wasm",
		"/modules/private/" + capability + "/../" + digits + ".wasm", "//modules/sha256/" + digits + ".wasm", "/modules/sha256/" + digits + ".wasm?a", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		ref, ok := ParsePath(path)
		if !ok {
			if ref != (Reference{}) {
				t.Errorf("%q is refused as %+v", path, ref)
			}
			return
		}
		if err := ref.Check(); err != nil {
			t.Errorf("%q: %v", path, err)
		}
		if ref.Path() != path {
			t.Errorf("%q has another spelling, %q", path, ref.Path())
		}
		if strings.Contains(path, "..") || !strings.HasPrefix(path, "/modules/") || (&url.URL{Path: path}).EscapedPath() != path {
			t.Errorf("%q is taken", path)
		}
	})
}
