// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/solarmesh/wasmplugin-operator/internal/drystart"
)

func newCache(t *testing.T, limit int64) *Cache {
	t.Helper()
	cache, err := NewCache(filepath.Join(t.TempDir(), "a", "b"), limit)
	if err != nil {
		t.Fatal(err)
	}
	return cache
}

// size is what the folder takes.
func (c *Cache) size() int64 {
	_, total := c.files()
	return total
}

// text is what is kept of a module, empty for nothing.
func (c *Cache) text(t *testing.T, namespace, digest string) string {
	t.Helper()
	content, ok := c.Open(namespace, digest)
	if !ok {
		return ""
	}
	defer func() { _ = content.Close() }()
	read, err := io.ReadAll(content)
	if err != nil {
		t.Error(err)
	}
	return string(read)
}

func TestCache(t *testing.T) {
	cache := newCache(t, 1<<20)
	cache.Put("shop", digestOf("one"), []byte("one"))
	if content := cache.text(t, "shop", digestOf("one")); content != "one" {
		t.Errorf("got %q", content)
	}
	for what, at := range map[string][2]string{
		"another namespace's": {"other", digestOf("one")},
		"another module":      {"shop", digestOf("two")},
	} {
		if content := cache.text(t, at[0], at[1]); content != "" || cache.Has(at[0], at[1]) {
			t.Errorf("%s: got %q", what, content)
		}
	}
	if mode := stat(t, cache.dir).Mode().Perm(); mode != 0o700 {
		t.Errorf("the folder is open to others: %o", mode)
	}
}

func stat(t *testing.T, path string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// TestCacheIsBounded: what was not used for longest goes first.
func TestCacheIsBounded(t *testing.T) {
	cache := newCache(t, 3500)
	content := func(name string) []byte { return append([]byte(name), bytes.Repeat([]byte("x"), 999)...) }
	has := func(name string) bool {
		return cache.text(t, "shop", digestOf(string(content(name)))) != ""
	}
	long := time.Now().Add(-time.Hour)
	for i, name := range []string{"a", "b", "c"} {
		digest := digestOf(string(content(name)))
		cache.Put("shop", digest, content(name))
		when := long.Add(time.Duration(i) * time.Minute)
		if err := os.Chtimes(cache.modulePath("shop", digest), when, when); err != nil {
			t.Fatal(err)
		}
	}
	if !has("a") { // and so it was used
		t.Fatal("it is gone though there was room")
	}
	cache.Put("shop", digestOf(string(content("d"))), content("d"))
	if has("b") || !has("a") || !has("c") || !has("d") {
		t.Errorf("has a %t, b %t, c %t, d %t", has("a"), has("b"), has("c"), has("d"))
	}
	cache.Put("shop", digestOf("huge"), bytes.Repeat([]byte("x"), 3501))
	if size := cache.size(); size != 3000 {
		t.Errorf("what doesn't fit at all drives out others: %d bytes are left", size)
	}
}

// TestCacheIsDamaged: what isn't what it should be is had again, and never used.
func TestCacheIsDamaged(t *testing.T) {
	b := newBench(t, imageURL)
	b.stand()
	damage := func(suffix, content string) {
		t.Helper()
		found, err := filepath.Glob(filepath.Join(b.dir, "*"+suffix))
		if err != nil || len(found) == 0 {
			t.Fatalf("found %v, %v", found, err)
		}
		for _, path := range found {
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	damage(verdictSuffix, `{"refusal":`)
	b.request.Known, b.request.Store = Module{}, false
	b.restart()
	b.request.Known = b.resolve("fetch "+imageURL, "check one").Module
	for i, content := range []string{"another one", ""} {
		damage(moduleSuffix, content)
		b.request.Start = starts(fmt.Sprintf(`{"a":%d}`, i))
		b.resolve("fetch oci://registry.example.com/auth@"+manifestOf("one"), "check one")
	}
}

// TestCacheIsLost: a folder that can't be written any more costs fetches, and nothing else.
func TestCacheIsLost(t *testing.T) {
	b := newBench(t, imageURL)
	if err := os.RemoveAll(b.dir); err != nil {
		t.Fatal(err)
	}
	if outcome := b.resolve("fetch "+imageURL, "put one", "get one", "check one"); outcome.Failure != nil {
		t.Errorf("got %v", outcome.Failure)
	}
}

// TestCacheSweepsUp what a process left that died while it wrote.
func TestCacheSweepsUp(t *testing.T) {
	cache := newCache(t, 1<<20)
	left := filepath.Join(cache.dir, ".new-1")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	cache.Put("shop", digestOf("one"), []byte("one"))
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestCacheNeedsFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewCache(filepath.Join(file, "below"), 1); err == nil {
		t.Error("takes a folder below a file")
	}
}

// TestVerdictIsBounded: a refusal whose words go on and on isn't kept, and is found out again.
func TestVerdictIsBounded(t *testing.T) {
	b := newBench(t, imageURL)
	b.refuses["one"] = drystart.Verdict{Outcome: drystart.Refused, Stage: drystart.StageConfigure, Reason: string(bytes.Repeat([]byte("x"), maxVerdict))}
	b.resolve("fetch "+imageURL, "put one", "check one")
	b.restart()
	b.resolve("fetch "+imageURL, "put one", "check one")
}

// TestCheckID: nothing that a proxy would start otherwise has the same one. Names and secrets change nothing about it.
func TestCheckID(t *testing.T) {
	request := func() drystart.Request {
		return drystart.Request{
			VMConfiguration: "vm", Env: map[string]string{"a": "1", "b": "2"}, RootID: "root", VMID: "id", Capabilities: []string{"proxy_log"},
			Plugins: []drystart.Plugin{{Name: "p", Configuration: "{}"}},
		}
	}
	id := func(digest string, change func(*drystart.Request)) string {
		t.Helper()
		asked := request()
		change(&asked)
		id, err := CheckID(digest, asked)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	same := id(digestOf("one"), func(*drystart.Request) {})
	if got := id(digestOf("one"), func(r *drystart.Request) {
		r.Secrets, r.Module, r.VMID, r.Plugins[0].Name = []string{"s"}, []byte("m"), "other", "other"
	}); got != same {
		t.Error("a name, the secrets or the module's bytes tell it from another")
	}
	seen := map[string]string{same: "the same"}
	for name, change := range map[string]func(*drystart.Request){
		"vm configuration": func(r *drystart.Request) { r.VMConfiguration = "" },
		"env":              func(r *drystart.Request) { r.Env["a"] = "2" },
		"root id":          func(r *drystart.Request) { r.RootID = "" },
		"capabilities":     func(r *drystart.Request) { r.Capabilities = nil },
		"rules":            func(r *drystart.Request) { r.Plugins[0].Configuration = "[]" },
		"an override":      func(r *drystart.Request) { r.Plugins = append(r.Plugins, drystart.Plugin{}) },
	} {
		got := id(digestOf("one"), change)
		if other, has := seen[got]; has {
			t.Errorf("%s: has the id of %s", name, other)
		}
		seen[got] = name
	}
	if id(digestOf("two"), func(*drystart.Request) {}) == same {
		t.Error("another module has the same")
	}
}
