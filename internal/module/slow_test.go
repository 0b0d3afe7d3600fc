// SPDX-License-Identifier: Apache-2.0

package module

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"
)

// slow sends a byte at a time until the client gives up.
func slow(w http.ResponseWriter, r *http.Request) {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for sent := 0; ; sent++ {
		select {
		case <-r.Context().Done():
			return
		case <-ticker.C:
			_, _ = w.Write(plugin{}.bytes()[sent%8 : sent%8+1])
			w.(http.Flusher).Flush()
		}
	}
}

func TestRow13SlowAndEndlessServers(t *testing.T) {
	endless := func(w http.ResponseWriter, _ *http.Request) {
		for block := append(plugin{}.bytes(), make([]byte, 64*kib)...); ; {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}
	silent := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	cut := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000000")
		_, _ = w.Write(plugin{}.bytes())
	}
	manifestThen := func(handler http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v2/" {
				return
			}
			handler(w, r)
		}
	}
	tests := map[string]struct {
		handler   http.HandlerFunc
		oci       bool
		want      Kind
		temporary bool
	}{
		"row 13: slow-loris":                {slow, false, TimedOut, true},
		"row 13: no answer":                 {silent, false, TimedOut, true},
		"row 13: infinite body":             {endless, false, TooLarge, false},
		"row 13: 200 with 0 bytes":          {func(http.ResponseWriter, *http.Request) {}, false, NotWasm, false},
		"row 13: cut short":                 {cut, false, Unreachable, true},
		"row 13: registry, slow-loris":      {slow, true, TimedOut, true},
		"row 13: registry, slow manifest":   {manifestThen(slow), true, TimedOut, true},
		"row 13: registry, no answer":       {silent, true, TimedOut, true},
		"row 13: registry, endless login":   {endless, true, TooLarge, false},
		"row 13: registry, endless answer":  {manifestThen(endless), true, BadArtifact, false},
		"row 13: registry, 200 with 0 byte": {func(http.ResponseWriter, *http.Request) {}, true, BadArtifact, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			served := server(t, tc.handler)
			options := trusting(served)
			options.Timeout = 500 * time.Millisecond
			options.Limits = Limits{Compressed: 4 * mib, Module: 4 * mib, Manifest: mib}
			if tc.want == TooLarge || tc.want == BadArtifact {
				options.Timeout = 20 * time.Second // the bound stops it, not the clock
			}
			ref := parse(t, served.URL+"/a.wasm")
			if tc.oci {
				ref = parse(t, "oci://"+host(served)+"/a")
			}
			began := time.Now()
			_, err := newFetcher(t, options).Fetch(t.Context(), ref, nil)
			wantKind(t, err, tc.want)
			if known, ok := errors.AsType[*Error](err); !ok || known.Temporary() != tc.temporary {
				t.Errorf("%v: temporary should be %t", err, tc.temporary)
			}
			if taken := time.Since(began); taken > 15*time.Second {
				t.Errorf("took %s", taken)
			}
		})
	}
}

func TestRow13AHangingServerDelaysNobody(t *testing.T) {
	entered := make(chan struct{})
	hanging := server(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-r.Context().Done()
	}))
	good := server(t, serving(plugin{}.bytes()))
	options := trusting(hanging, good)
	options.PerHost = 2
	fetcher := newFetcher(t, options)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stopped := make(chan error)
	for range options.PerHost {
		go func() {
			_, err := fetcher.Fetch(ctx, parse(t, hanging.URL), nil)
			stopped <- err
		}()
		<-entered
	}

	_, err := fetcher.Fetch(t.Context(), parse(t, hanging.URL+"/another"), nil)
	wantKind(t, err, Busy)
	if known, ok := errors.AsType[*Error](err); !ok || !known.Temporary() || known.RetryAfter <= 0 {
		t.Errorf("%v: should say when to come back", err)
	}
	other, err := fetcher.Fetch(t.Context(), parse(t, good.URL), nil)
	if err != nil {
		t.Errorf("another host: %v", err)
	}
	other.Release()
	cancel()
	for range options.PerHost {
		if err := <-stopped; !errors.Is(err, context.Canceled) || KindOf(err) != "" {
			t.Errorf("a cancelled fetch: %v", err)
		}
	}
	if len(fetcher.hosts) != 0 || fetcher.memory.Held() != 0 {
		t.Errorf("places %v and %d bytes are not given back", fetcher.hosts, fetcher.memory.Held())
	}
}
