// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

func durable(o *Options) { o.Durable = true }

func TestPush(t *testing.T) {
	r := start(t, durable)
	client := r.client(t)
	first, second := plugin("1"), plugin("2")
	steps := []struct {
		name    string
		content []byte
		ifMatch string
		kind    store.Kind
		says    string
		now     []byte
	}{
		{"a new tag", first, "", "", "", first},
		{"the same once more", first, "", "", "", first},
		{"another module", second, "", store.Conflict, "names another module, " + digestOf(first), first},
		{"moved from what it is not", second, digestOf(second), store.Conflict, "does not name", first},
		{"moved", second, digestOf(first), "", "", second},
		{"moved again by one who did not see it", plugin("3"), digestOf(first), store.Conflict, "does not name", second},
		{"the same, with an outdated digest", second, digestOf(first), "", "", second},
		{"what is no module", []byte("<html>"), digestOf(second), store.Refused, "web page", second},
		{"what is no plugin", []byte("\x00asm\x01\x00\x00\x00"), digestOf(second), store.Refused, "not a proxy-wasm plugin", second},
		{"nothing", nil, "", store.Refused, "empty", second},
	}
	for _, step := range steps {
		pushed, err := client.Push(t.Context(), "shop", "auth", "v1", bytes.NewReader(step.content), step.ifMatch)
		if store.KindOf(err) != step.kind || (err != nil && !strings.Contains(err.Error(), step.says)) {
			t.Fatalf("%s: %v, want %q, %q", step.name, err, step.kind, step.says)
		}
		if err == nil && (pushed.Digest != digestOf(step.content) || pushed.Size != int64(len(step.content))) {
			t.Errorf("%s: %+v", step.name, pushed)
		}
		digest, size, err := client.Tag(t.Context(), "shop", "auth", "v1")
		if err != nil || digest != digestOf(step.now) || size != int64(len(step.now)) {
			t.Errorf("%s: the tag names %s of %d bytes, %v", step.name, digest, size, err)
		}
		if content, err := tagged(t, client, "shop", "auth", digest); err != nil || !bytes.Equal(content, step.now) {
			t.Errorf("%s: %d bytes, %v", step.name, len(content), err)
		}
	}
}

func tagged(t *testing.T, client *store.Client, namespace, name, digest string) ([]byte, error) {
	t.Helper()
	content, err := client.Tagged(t.Context(), namespace, name, digest)
	if err != nil {
		return nil, err
	}
	defer func() { _ = content.Close() }()
	return io.ReadAll(content)
}

func TestTagsOfOthers(t *testing.T) {
	r := start(t, durable)
	client := r.client(t)
	content := plugin("a")
	if _, err := client.Push(t.Context(), "shop", "auth", "1", bytes.NewReader(content), ""); err != nil {
		t.Fatal(err)
	}
	for _, of := range []label{{"bank", "auth", "1"}, {"shop", "other", "1"}, {"shop", "auth", "2"}} {
		if _, _, err := client.Tag(t.Context(), of.namespace, of.name, of.tag); store.KindOf(err) != store.NotFound {
			t.Errorf("%s: %v", of, err)
		}
	}
	// The content of one namespace spares no other its own push.
	for _, of := range []label{{"bank", "auth", ""}, {"shop", "other", ""}} {
		if _, err := tagged(t, client, of.namespace, of.name, digestOf(content)); store.KindOf(err) != store.NotFound {
			t.Errorf("%s: %v", of, err)
		}
	}
}

func TestUntag(t *testing.T) {
	r := start(t, durable)
	client := r.client(t)
	if err := client.Untag(t.Context(), "shop", "auth", "1"); store.KindOf(err) != store.NotFound {
		t.Fatalf("a tag that never was: %v", err)
	}
	for _, text := range []string{"a", "b"} {
		if _, err := client.Push(t.Context(), "shop", "auth", "1", bytes.NewReader(plugin(text)), ""); err != nil {
			t.Fatal(err)
		}
		if err := client.Untag(t.Context(), "shop", "auth", "1"); err != nil {
			t.Fatal(err)
		}
		if _, _, err := client.Tag(t.Context(), "shop", "auth", "1"); store.KindOf(err) != store.NotFound {
			t.Errorf("the tag is still there: %v", err)
		}
	}
}

func TestOnlyADurableStoreTakesUploads(t *testing.T) {
	r := start(t, nil)
	_, err := r.client(t).Push(t.Context(), "shop", "auth", "1", bytes.NewReader(plugin("a")), "")
	if store.KindOf(err) != store.Unsupported || !strings.Contains(err.Error(), "durable") {
		t.Errorf("%v", err)
	}
	if _, err := New(t.Context(), Options{
		Bucket: "file://" + t.TempDir(), Access: anybody{}, Durable: true, Grace: MinGrace,
		Registry: r.options.Registry, Peers: func(context.Context) ([]string, error) { return nil, nil },
	}); err == nil || !strings.Contains(err.Error(), "share") {
		t.Errorf("a durable store with a folder for each replica: %v", err)
	}
}

// Two writers of one tag: one wins, and the other is told so. The replicas share a folder, as a volume of many writers.
func TestTwoWritersOfOneTag(t *testing.T) {
	const rounds = 100
	one := start(t, durable)
	two := start(t, func(o *Options) { o.Durable, o.Bucket = true, "file://"+one.folder })
	writers := []*store.Client{one.client(t), two.client(t), one.client(t)}
	for round := range rounds {
		tag := fmt.Sprint(round)
		results := make([]error, len(writers))
		var group sync.WaitGroup
		for i, writer := range writers {
			group.Go(func() {
				_, results[i] = writer.Push(t.Context(), "shop", "auth", tag, bytes.NewReader(plugin(fmt.Sprint(round, i))), "")
			})
		}
		group.Wait()
		winner := -1
		for i, err := range results {
			switch {
			case err == nil && winner < 0:
				winner = i
			case err == nil:
				t.Fatalf("round %d: two writers won", round)
			case store.KindOf(err) != store.Conflict:
				t.Fatalf("round %d: %v", round, err)
			}
		}
		if winner < 0 {
			t.Fatalf("round %d: nobody won", round)
		}
		digest, _, err := one.client(t).Tag(t.Context(), "shop", "auth", tag)
		if err != nil || digest != digestOf(plugin(fmt.Sprint(round, winner))) {
			t.Fatalf("round %d: the tag names %s, %v", round, digest, err)
		}
	}
}

func TestQuota(t *testing.T) {
	content := plugin(strings.Repeat("x", 100<<10))
	r := start(t, func(o *Options) { o.Durable, o.Quota = true, 2*int64(len(content))+6*slot })
	client := r.client(t)
	push := func(namespace, tag, text string) error {
		_, err := client.Push(t.Context(), namespace, "auth", tag, bytes.NewReader(plugin(text+strings.Repeat("x", 100<<10-len(text)))), "")
		return err
	}
	if err := errors.Join(push("shop", "1", "1"), push("shop", "2", "2")); err != nil {
		t.Fatal(err)
	}
	err := push("shop", "3", "3")
	if store.KindOf(err) != store.Full || !strings.Contains(err.Error(), `namespace "shop"`) {
		t.Fatalf("beyond the quota: %v", err)
	}
	if err := push("bank", "1", "1"); err != nil {
		t.Errorf("another namespace: %v", err)
	}
	if err := push("shop", "1", "1"); err != nil {
		t.Errorf("what is there already: %v", err)
	}
}

func TestQuotaOfUploadsAtTheSameTime(t *testing.T) {
	size := 100 << 10
	r := start(t, func(o *Options) { o.Durable, o.Quota = true, int64(3*size) })
	client := r.client(t)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			text := fmt.Sprint(i) + strings.Repeat("x", size)
			_, err := client.Push(t.Context(), "shop", "auth", fmt.Sprint(i), bytes.NewReader(plugin(text)), "")
			if err != nil && store.KindOf(err) != store.Full {
				t.Error(err)
			}
		})
	}
	group.Wait()
	stored, err := r.storage.list(t.Context(), uploadsPrefix)
	if err != nil || len(stored) != 2 {
		t.Errorf("%d uploads of %d bytes are within a quota of %d, %v", len(stored), size, 3*size, err)
	}
}

func TestUploadsThatAreTooLargeOrBreakOff(t *testing.T) {
	r := start(t, func(o *Options) { o.Durable, o.MaxModule = true, 1000 })
	client := r.client(t)
	large := plugin(strings.Repeat("x", 1000))
	if err := client.Put(t.Context(), digestOf(large), "", large); store.KindOf(err) != store.TooLarge {
		t.Errorf("with a length: %v", err)
	}
	// A reader of its own kind has no length, so the body comes in chunks.
	if _, err := client.Push(t.Context(), "shop", "auth", "1", iotest.OneByteReader(bytes.NewReader(large)), ""); store.KindOf(err) != store.TooLarge {
		t.Errorf("without a length: %v", err)
	}
	if _, err := client.Push(t.Context(), "shop", "auth", "1", iotest.TimeoutReader(bytes.NewReader(plugin("a"))), ""); store.KindOf(err) != store.Unreachable {
		t.Errorf("broken off: %v", err)
	}
	small := plugin("a")
	if err := client.Put(t.Context(), digestOf(large), "", small); store.KindOf(err) != store.Refused {
		t.Errorf("under another digest: %v", err)
	}
	if status, _, message := r.ask(t, http.MethodPut, "/modules/sha256/"+hexOf(digestOf(small)), secret, iotest.ErrReader(errors.New(secret))); status != http.StatusBadRequest || strings.Contains(message, secret) {
		t.Errorf("status %d, %q", status, message)
	}
	stored, err := r.storage.list(t.Context(), "")
	if err != nil || len(stored) != 0 {
		t.Errorf("something is stored: %v, %v", stored, err)
	}
}

func TestUploadsAreKeptWhileATagNamesThem(t *testing.T) {
	clock := &clock{now: time.Now()}
	r := start(t, func(o *Options) { o.Durable, o.Now = true, clock.Now })
	client := r.client(t)
	one, two := plugin("1"), plugin("2")
	for tag, content := range map[string][]byte{"a": one, "b": one, "c": two} {
		if _, err := client.Push(t.Context(), "shop", "auth", tag, bytes.NewReader(content), ""); err != nil {
			t.Fatal(err)
		}
	}
	kept := func(after time.Duration, want ...[]byte) {
		t.Helper()
		clock.advance(after)
		if err := r.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		stored, err := r.storage.list(t.Context(), uploadsPrefix)
		if err != nil || len(stored) != len(want) {
			t.Fatalf("%d uploads, want %d; %v", len(stored), len(want), err)
		}
		for _, content := range want {
			if _, err := tagged(t, client, "shop", "auth", digestOf(content)); err != nil {
				t.Error(err)
			}
		}
	}
	kept(1000*time.Hour, one, two)
	if _, err := client.Push(t.Context(), "shop", "auth", "a", bytes.NewReader(two), digestOf(one)); err != nil {
		t.Fatal(err)
	}
	kept(0, one, two) // still b's
	if err := client.Untag(t.Context(), "shop", "auth", "b"); err != nil {
		t.Fatal(err)
	}
	kept(0, two)
	if digest, _, err := client.Tag(t.Context(), "shop", "auth", "a"); err != nil || digest != digestOf(two) {
		t.Errorf("a names %s, %v", digest, err)
	}
	// The earlier places go too, and the tag stands where it stood.
	if places, err := r.storage.list(t.Context(), label{"shop", "auth", "a"}.tagPrefix()); err != nil || len(places) != 1 {
		t.Errorf("places %v, %v", places, err)
	}
}

// clock is a test's own.
type clock struct {
	mutex sync.Mutex
	now   time.Time
}

func (c *clock) Now() time.Time {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.now
}

func (c *clock) advance(by time.Duration) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.now = c.now.Add(by)
}
