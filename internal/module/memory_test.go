// SPDX-License-Identifier: Apache-2.0

package module

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
	"testing/iotest"
)

// A module of little more than 3 MiB takes four chunks while it is read.
const (
	three     = 3 * mib
	whileRead = 4 * chunkSize
)

// stalling serves a module, and ends only when it is released.
func stalling(release <-chan struct{}) http.Handler {
	content := ofSize(three)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(content)
		w.(http.Flusher).Flush()
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
}

func TestMemoryOfAllFetchesIsBounded(t *testing.T) {
	release := make(chan struct{})
	half, whole := server(t, stalling(release)), server(t, serving(ofSize(three)))
	options := trusting(half, whole)
	options.Limits = Limits{Module: 4 * mib, InFlight: 1} // raised to what one module needs
	fetcher := newFetcher(t, options)
	first := make(chan error)
	go func() {
		module, err := fetcher.Fetch(t.Context(), parse(t, half.URL).For("shop"), nil)
		module.Release()
		first <- err
	}()
	eventually(t, func() bool { return fetcher.memory.Held() == whileRead })
	_, second := fetcher.Fetch(t.Context(), parse(t, whole.URL).For("bank"), nil)
	wantKind(t, second, Busy)
	close(release)
	if err := <-first; err != nil {
		t.Errorf("the first fetch: %v", err)
	}
	if _, err := fetcher.Fetch(t.Context(), parse(t, whole.URL).For("bank"), nil); err != nil {
		t.Errorf("after the first fetch: %v", err)
	}
}

// TestModulesTakeMemory until they are released, wherever they were read from.
func TestModulesTakeMemory(t *testing.T) {
	whole := server(t, serving(ofSize(three)))
	options := trusting(whole)
	options.Limits = Limits{Module: 4 * mib, InFlight: 64 * mib}
	fetcher := newFetcher(t, options)
	fetched, err := fetcher.Fetch(t.Context(), parse(t, whole.URL).For("shop"), nil)
	if err != nil {
		t.Fatal(err)
	}
	read, err := fetcher.Memory().Read("shop", bytes.NewReader(fetched.Content))
	if err != nil || !bytes.Equal(read.Content, fetched.Content) {
		t.Fatalf("read %v", err)
	}
	if read.Digest != fetched.Digest || read.Size != fetched.Size {
		t.Errorf("read %+v", read.Facts)
	}
	if held := fetcher.memory.Held(); held != 2*fetched.Size {
		t.Errorf("%d bytes are held", held)
	}
	for range 2 {
		read.Release()
		fetched.Release()
	}
	if held := fetcher.memory.Held(); held != 0 || len(fetcher.memory.byNamespace) != 0 || fetched.Content != nil {
		t.Errorf("%d bytes are held, of namespaces %v", held, fetcher.memory.byNamespace)
	}
}

// TestMemoryIsShared: what one namespace holds, whose servers are slow, leaves half to the others.
func TestMemoryIsShared(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	half, whole := server(t, stalling(release)), server(t, serving(ofSize(three)))
	options := trusting(half, whole)
	options.Limits = Limits{Module: 4 * mib, InFlight: 2 * 2 * whileRead}
	fetcher := newFetcher(t, options)
	for i := range int64(2) {
		go func() { _, _ = fetcher.Fetch(t.Context(), parse(t, half.URL).For("shop"), nil) }()
		eventually(t, func() bool { return fetcher.memory.Held() == (i+1)*whileRead })
	}
	_, err := fetcher.Fetch(t.Context(), parse(t, whole.URL).For("shop"), nil)
	wantKind(t, err, Busy)
	if _, err = fetcher.Fetch(t.Context(), parse(t, whole.URL).For("bank"), nil); err != nil {
		t.Errorf("another namespace: %v", err)
	}
}

// TestMemoryIsGivenBack by what could not be read.
func TestMemoryIsGivenBack(t *testing.T) {
	memory := NewMemory(Limits{Module: mib, InFlight: 4 * mib})
	broken := errors.New("broken")
	for _, source := range []io.Reader{iotest.ErrReader(broken), io.MultiReader(bytes.NewReader(make([]byte, mib)), iotest.ErrReader(broken))} {
		if _, err := memory.Read("shop", source); !errors.Is(err, broken) {
			t.Errorf("the source's error: %v", err)
		}
	}
	_, err := memory.Read("shop", bytes.NewReader(make([]byte, mib+1)))
	wantKind(t, err, TooLarge)
	func() {
		defer func() { _ = recover() }()
		_, _ = memory.Read("shop", io.MultiReader(bytes.NewReader(make([]byte, mib)), panicking{}))
		t.Error("a panic is swallowed")
	}()
	if held := memory.Held(); held != 0 {
		t.Errorf("%d bytes are held", held)
	}
}

type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("of a module") }

// TestJoiningNeedsNoLuck: where all may be taken by what is read, each download ends in a module.
func TestJoiningNeedsNoLuck(t *testing.T) {
	memory := NewMemory(Limits{Module: 4 * mib, InFlight: 1})
	content := ofSize(three)
	var group sync.WaitGroup
	for _, namespace := range []string{"shop", "bank", "post"} {
		group.Go(func() {
			for done := 0; done < 10; {
				read, err := memory.Read(namespace, bytes.NewReader(content))
				switch {
				case err == nil && bytes.Equal(read.Content, content):
					done++
				case KindOf(err) != Busy:
					t.Errorf("%v", err)
					return
				}
				read.Release()
			}
		})
	}
	group.Wait()
	if held := memory.Held(); held != 0 {
		t.Errorf("%d bytes are held", held)
	}
}
