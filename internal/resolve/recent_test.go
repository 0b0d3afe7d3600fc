// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestRecent: many plugins that are installed together with one module cost the registry one pull. A look, another
// namespace and another request get no share of it, and nothing lasts.
func TestRecent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, imageURL)
		b.withPolicy()
		first := b.resolve("fetch "+imageURL, "signatures image of one", "put one", "check one")
		if diff := cmp.Diff(first, b.resolve("put one")); diff != "" {
			t.Errorf("the second gets another (-want +got):\n%s", diff)
		}
		again := []string{"fetch " + imageURL, "signatures image of one", "put one"}
		base := b.request
		for name, change := range map[string]func(*Request){
			"a look":            func(r *Request) { r.Look = true },
			"another namespace": func(r *Request) { r.Namespace = "other" },
			"another request":   func(r *Request) { r.ID = "r2" },
		} {
			t.Log(name)
			b.request = base
			change(&b.request)
			b.resolve(again...)
		}
		b.request = base
		<-time.After(recentFor + time.Second) // by the clock of the bubble
		b.resolve(again...)
		if len(b.resolver.recent.modules) != 1 {
			t.Errorf("remembers %v", b.resolver.recent.modules)
		}
	})
}

// TestNotRecent: what failed, or isn't signed, is nobody's share.
func TestNotRecent(t *testing.T) {
	b := newBench(t, imageURL)
	b.withPolicy()
	b.unsigned[manifestOf("one")] = true
	for range 2 {
		wantFailure(t, b.resolve("fetch "+imageURL, "signatures image of one"), "NotSigned", false)
	}
}
