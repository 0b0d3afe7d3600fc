// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

func TestReferences(t *testing.T) {
	r := start(t, nil)
	client := r.client(t)
	here, elsewhere := plugin("1"), plugin("2")
	capability := store.NewCapability()
	if err := client.Put(t.Context(), digestOf(here), capability, here); err != nil {
		t.Fatal(err)
	}
	set := []store.Reference{
		{Digest: digestOf(here), Capability: capability},
		{Digest: digestOf(here)}, // privately it is here, and publicly not
		{Digest: digestOf(elsewhere)},
		{Digest: digestOf(elsewhere)},
	}
	missing, err := client.References(t.Context(), set)
	if err != nil || len(missing) != 2 {
		t.Fatalf("missing %v, %v", missing, err)
	}
	for _, content := range [][]byte{here, elsewhere} {
		if err := client.Put(t.Context(), digestOf(content), "", content); err != nil {
			t.Fatal(err)
		}
	}
	if missing, err = client.References(t.Context(), set); err != nil || len(missing) != 0 {
		t.Errorf("afterwards: missing %v, %v", missing, err)
	}
	told, changed, err := client.Set(t.Context(), "")
	if err != nil || !changed || !cmp.Equal(told.References, set) {
		t.Errorf("%+v, %v, %v", told, changed, err)
	}
	if _, changed, err = client.Set(t.Context(), strconv.FormatInt(told.Revision, 10)); err != nil || changed {
		t.Errorf("what is known already is sent again: %v", err)
	}
	if strings.Contains(r.logs.String(), capability) {
		t.Error("the log holds a capability")
	}
}

func TestReferencesThatAreNone(t *testing.T) {
	r := start(t, nil)
	many := `{"references":[` + strings.Repeat(`{"digest":"`+digestOf(nil)+`"},`, store.MaxReferences) + `{"digest":"` + digestOf(nil) + `"}]}`
	for body, status := range map[string]int{
		"":                    400,
		"[]":                  400,
		`{"references":[{}]}`: 400,
		`{"references":[{"digest":"sha256:` + strings.Repeat("A", 64) + `"}]}`:         400,
		`{"references":[{"digest":"` + digestOf(nil) + `","capability":"../../etc"}]}`: 400,
		many: 413,
		`{"references":["` + strings.Repeat("a", maxReferencesBody): 413,
	} {
		if got, _, message := r.ask(t, http.MethodPut, "/references", secret, strings.NewReader(body)); got != status {
			t.Errorf("%.60s: status %d, %q", body, got, message)
		}
	}
	if known := r.references.get(); known.Revision != 0 {
		t.Errorf("a set was taken: %+v", known)
	}
}

// The largest set is taken, and its answer comes soon enough for a manager that sends it each minute.
func TestLargestSet(t *testing.T) {
	r := start(t, nil)
	set := make([]store.Reference, store.MaxReferences)
	for i := range set {
		set[i] = store.Reference{Digest: digestOf(fmt.Append(nil, i)), Capability: store.NewCapability()}
	}
	began := time.Now()
	missing, err := r.client(t).References(t.Context(), set)
	if err != nil || len(missing) != len(set) {
		t.Fatalf("%d missing, %v", len(missing), err)
	}
	t.Logf("%d references took %s", len(set), time.Since(began))
}

func TestCollection(t *testing.T) {
	clock := &clock{now: time.Now()}
	r := start(t, func(o *Options) { o.Now = clock.Now })
	client := r.client(t)
	used, unused := plugin("used"), plugin("unused")
	refer := func(contents ...[]byte) {
		t.Helper()
		set := []store.Reference{}
		for _, content := range contents {
			set = append(set, store.Reference{Digest: digestOf(content)})
		}
		if _, err := client.References(t.Context(), set); err != nil {
			t.Fatal(err)
		}
	}
	holds := func(what string, contents ...[]byte) {
		t.Helper()
		if err := r.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		stored, err := r.storage.list(t.Context(), modulesPrefix)
		if err != nil || len(stored) != len(contents) {
			t.Fatalf("%s: %d modules, want %d; %v", what, len(stored), len(contents), err)
		}
		for _, content := range contents {
			if _, ok := stored[moduleKey(store.Reference{Digest: digestOf(content)})]; !ok {
				t.Fatalf("%s: a module is missing", what)
			}
		}
	}
	for _, content := range [][]byte{used, unused} {
		if err := client.Put(t.Context(), digestOf(content), "", content); err != nil {
			t.Fatal(err)
		}
	}
	clock.advance(1000 * time.Hour)
	holds("no manager ever spoke", used, unused)
	refer(used, unused)
	clock.advance(47 * time.Hour)
	refer(used)
	clock.advance(47 * time.Hour)
	refer(used)
	holds("unused for 47 hours", used, unused)
	clock.advance(1000 * time.Hour)
	holds("no manager spoke for 1000 hours", used, unused)
	refer(used)
	holds("unused for long, and the manager is back", used)

	// One that is used again has its whole grace again.
	if err := client.Put(t.Context(), digestOf(unused), "", unused); err != nil {
		t.Fatal(err)
	}
	refer(used)
	clock.advance(47 * time.Hour)
	refer(used, unused)
	refer(used)
	clock.advance(47 * time.Hour)
	refer(used)
	holds("used in between", used, unused)
	clock.advance(2 * time.Hour)
	refer(used)
	holds("unused since", used)
}

// Uploaded once more by the manager, a module is young again, whatever the sets said before.
func TestUploadRenewsTheGrace(t *testing.T) {
	clock := &clock{now: time.Now()}
	r := start(t, func(o *Options) { o.Now = clock.Now })
	client, content := r.client(t), plugin("a")
	if err := client.Put(t.Context(), digestOf(content), "", content); err != nil {
		t.Fatal(err)
	}
	if _, err := client.References(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	key := moduleKey(store.Reference{Digest: digestOf(content)})
	// The file is as old as the clock's next time says, but for the second upload.
	old := time.Now().Add(-100 * time.Hour)
	if err := os.Chtimes(filepath.Join(r.folder, key), old, old); err != nil {
		t.Fatal(err)
	}
	clock.advance(defaultGrace - time.Hour)
	if err := client.Put(t.Context(), digestOf(content), "", content); err != nil {
		t.Fatal(err)
	}
	now := time.Now().Add(defaultGrace - time.Hour)
	if err := os.Chtimes(filepath.Join(r.folder, key), now, now); err != nil {
		t.Fatal(err)
	}
	clock.advance(2 * time.Hour)
	if _, err := client.References(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := r.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.storage.stat(t.Context(), key); err != nil {
		t.Error(err)
	}
}

func TestRestartRemembers(t *testing.T) {
	clock := &clock{now: time.Now()}
	first := start(t, func(o *Options) { o.Now = clock.Now })
	content := plugin("a")
	if err := first.client(t).Put(t.Context(), digestOf(content), "", content); err != nil {
		t.Fatal(err)
	}
	if _, err := first.client(t).References(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	first.stop()
	clock.advance(49 * time.Hour)
	second := start(t, func(o *Options) { o.Bucket, o.Now = "file://"+first.folder, clock.Now })
	second.awaitReady(t)
	if status, _, _ := fetch(t, http.MethodGet, second.modules+store.Path(digestOf(content), ""), nil); status != http.StatusOK {
		t.Errorf("after a restart: status %d", status)
	}
	if _, err := second.client(t).References(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := second.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Since when it is unused was known from before.
	if status, _, _ := fetch(t, http.MethodGet, second.modules+store.Path(digestOf(content), ""), nil); status != http.StatusNotFound {
		t.Errorf("after its grace: status %d", status)
	}
}

// A clock that was years ahead must not make its set win over all later ones.
func TestNewestSetWins(t *testing.T) {
	r := start(t, nil)
	ahead := time.Now().Add(10 * 365 * 24 * time.Hour).UnixNano()
	if err := r.references.adopt(t.Context(), store.ReferenceSet{Revision: ahead, References: []store.Reference{{Digest: digestOf([]byte("1"))}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.client(t).References(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if known := r.references.get(); known.Revision != ahead+1 || len(known.References) != 0 {
		t.Errorf("%+v", known)
	}
	if err := r.references.adopt(t.Context(), store.ReferenceSet{Revision: ahead, References: []store.Reference{{Digest: digestOf(nil)}}}); err != nil {
		t.Fatal(err)
	}
	if known := r.references.get(); len(known.References) != 0 {
		t.Errorf("an older set was taken: %+v", known)
	}
}

func TestOldSetStaysOld(t *testing.T) {
	r := start(t, nil)
	if err := r.references.adopt(t.Context(), store.ReferenceSet{Revision: 1, AgeSeconds: 3600}); err != nil {
		t.Fatal(err)
	}
	if age := time.Since(r.references.get().Received); math.Abs(age.Hours()-1) > 0.1 {
		t.Errorf("the set of another replica is %s old here, and an hour there", age)
	}
}

func TestUnfinishedFilesGo(t *testing.T) {
	clock := &clock{now: time.Now()}
	r := start(t, func(o *Options) { o.Now = clock.Now })
	left := filepath.Join(r.folder, "modules", "sha256", hexOf(digestOf(nil))+".wasm.17.tmp")
	if err := os.MkdirAll(filepath.Dir(left), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(left, []byte("half of a mod"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); err != nil {
		t.Errorf("a file that may still be written: %v", err)
	}
	clock.advance(2 * time.Hour)
	if err := r.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("a file that nobody writes any more: %v", err)
	}
}

func TestOptionsThatCanNotBe(t *testing.T) {
	good := func() Options {
		return Options{Bucket: "file://" + t.TempDir(), Access: anybody{}, Registry: start(t, nil).options.Registry}
	}
	for name, change := range map[string]func(*Options){
		"would serve for less than 24h": func(o *Options) { o.Grace = 23 * time.Hour },
		"anybody may write":             func(o *Options) { o.Access = nil },
		"a scheme of the other build":   func(o *Options) { o.Bucket = "s3://modules" },
		"no scheme":                     func(o *Options) { o.Bucket = "modules" },
		"a relative folder":             func(o *Options) { o.Bucket = "file://modules/a" },
		"the root":                      func(o *Options) { o.Bucket = "file:///" },
		"options of a folder":           func(o *Options) { o.Bucket += "?metadata=" },
		"a folder that is a file":       func(o *Options) { o.Bucket = "file://" + authority(t).file },
		"negative sizes":                func(o *Options) { o.Quota = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			options := good()
			change(&options)
			if _, err := New(t.Context(), options); err == nil {
				t.Error("accepted")
			}
		})
	}
}
