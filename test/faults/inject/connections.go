// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// Reset ends the connection of a request before it reaches the API server.
func (l *Layer) Reset(w http.ResponseWriter, _ *http.Request) bool {
	l.proxy.Abort(w)
	return true
}

// Lose passes a request on and keeps the answer: the API server has done what it was asked, and nobody knows. A watch, whose
// answer has no end, isn't passed on.
func (l *Layer) Lose(w http.ResponseWriter, r *http.Request) bool {
	if !IsWatch("")(r) {
		l.commit(r)
	}
	l.proxy.Abort(w)
	return true
}

// commit has the API server answer, even if whoever asked has gone.
func (l *Layer) commit(r *http.Request) {
	l.proxy.Forward(&nobody{header: http.Header{}}, r.WithContext(context.WithoutCancel(r.Context())))
}

// nobody is whom an answer is for that is lost.
type nobody struct{ header http.Header }

// Header makes nobody an http.ResponseWriter.
func (n *nobody) Header() http.Header { return n.header }

// Write takes all, and keeps nothing.
func (n *nobody) Write(content []byte) (int, error) { return len(content), nil }

// WriteHeader keeps nothing.
func (n *nobody) WriteHeader(int) {}

// Slow holds a request up, and then passes it on.
func (l *Layer) Slow(delay func() time.Duration) chain.Intercept {
	return func(w http.ResponseWriter, r *http.Request) bool {
		timer := time.NewTimer(delay())
		defer timer.Stop()
		select {
		case <-timer.C:
			l.proxy.Forward(w, r)
		case <-r.Context().Done():
		}
		return true
	}
}

// Kill ends an operator when k requests that match were committed, before it hears of the last one; with k = 0 before
// the first one reaches the API server. kill ends its process, and returns when that is so. Nothing that it still sends
// meanwhile gets through.
func (l *Layer) Kill(k int, match Match, kill func()) chain.Intercept {
	var (
		mu      sync.Mutex
		seen    int
		dying   bool
		retired bool
	)
	turn := func(r *http.Request) (mine, refused bool) {
		mu.Lock()
		defer mu.Unlock()
		if dying || retired || !match(r) {
			return false, dying
		}
		seen++
		dying = seen == max(k, 1)
		return dying, false
	}
	return func(w http.ResponseWriter, r *http.Request) bool {
		mine, refused := turn(r)
		if !mine {
			if refused {
				l.proxy.Abort(w)
			}
			return refused
		}
		if k > 0 {
			l.commit(r)
		}
		kill()
		mu.Lock()
		dying, retired = false, true
		mu.Unlock()
		l.proxy.Abort(w)
		return true
	}
}
