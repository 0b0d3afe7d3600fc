// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	_ "gocloud.dev/blob/memblob" // mem://, a bucket as clouds have them

	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

// What holds for a folder holds for a bucket: it is written and listed in other ways.
func TestBucket(t *testing.T) {
	clock := &clock{now: time.Now()}
	r := start(t, func(o *Options) { o.Bucket, o.Durable, o.Now = "mem://", true, clock.Now })
	client := r.client(t)
	content, capability := plugin("a"), store.NewCapability()
	if err := client.Put(t.Context(), digestOf(content), capability, content); err != nil {
		t.Fatal(err)
	}
	if err := client.Put(t.Context(), digestOf(plugin("b")), "", content); store.KindOf(err) != store.Refused {
		t.Errorf("under another digest: %v", err)
	}
	if status := r.serves(t, content, capability); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	missing, err := client.References(t.Context(), []store.Reference{{Digest: digestOf(content)}})
	if err != nil || len(missing) != 1 {
		t.Fatalf("missing %v, %v", missing, err)
	}
	clock.advance(defaultGrace + time.Hour)
	if _, err := client.References(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := r.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status := r.serves(t, content, capability); status != http.StatusNotFound {
		t.Errorf("after its grace: status %d", status)
	}
}

func TestTagsInABucket(t *testing.T) {
	r := start(t, func(o *Options) { o.Bucket, o.Durable = "mem://", true })
	client := r.client(t)
	for round := range 20 {
		results := make([]error, 3)
		var group sync.WaitGroup
		for i := range results {
			group.Go(func() {
				_, results[i] = client.Push(t.Context(), "shop", "auth", fmt.Sprint(round), bytes.NewReader(plugin(fmt.Sprint(i))), "")
			})
		}
		group.Wait()
		won := 0
		for _, err := range results {
			switch {
			case err == nil:
				won++
			case store.KindOf(err) != store.Conflict:
				t.Fatal(err)
			}
		}
		if won != 1 {
			t.Fatalf("round %d: %d writers won", round, won)
		}
	}
	if err := client.Untag(t.Context(), "shop", "auth", "1"); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Push(t.Context(), "shop", "auth", "1", bytes.NewReader(plugin("z")), ""); err != nil {
		t.Error(err)
	}
}

// Replicas that share a bucket follow what the manager told one of them.
func TestReplicasThatShareABucket(t *testing.T) {
	one := start(t, nil)
	two := start(t, func(o *Options) { o.Bucket = "file://" + one.folder })
	two.awaitReady(t)
	content := plugin("a")
	set := []store.Reference{{Digest: digestOf(content)}}
	if err := one.client(t).Put(t.Context(), digestOf(content), "", content); err != nil {
		t.Fatal(err)
	}
	if _, err := one.client(t).References(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	if status := two.serves(t, content, ""); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	two.keepUp(t.Context())
	if known := two.references.get(); len(known.References) != 1 || known.Revision != one.references.get().Revision {
		t.Errorf("%+v", known)
	}
}
