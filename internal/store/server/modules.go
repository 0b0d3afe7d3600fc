// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"gocloud.dev/blob"

	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

const (
	// A digest names the same bytes for ever. What was pulled with a Secret is for nobody between.
	publicCaching  = "public, max-age=31536000, immutable"
	privateCaching = "private, max-age=31536000, immutable"
	// peersBound is how long a proxy is left waiting for what only a peer has.
	peersBound = 45 * time.Second
)

// Kinds of requests, as metrics count them.
const (
	kindModule     = "module"
	kindPrivate    = "private"
	kindUpload     = "upload"
	kindFetch      = "fetch"
	kindReferences = "references"
	kindTag        = "tag"
	kindOther      = "other"
)

// Modules is what proxies are served: modules, and whether this replica is well. Nothing else is there.
func (s *Server) Modules() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		watched := watch(w)
		switch request.URL.Path {
		case "/healthz":
			answerProbe(watched, true)
		case "/readyz":
			answerProbe(watched, s.ready.Load())
		default:
			kind := s.answerProxy(watched, request)
			s.metrics.count(kind, watched.code)
			s.metrics.served.Add(float64(watched.sent))
		}
	})
}

func answerProbe(w http.ResponseWriter, well bool) {
	if !well {
		http.Error(w, "not ready", http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}

func (s *Server) answerProxy(w http.ResponseWriter, request *http.Request) (kind string) {
	// The path as it was sent: a name has one spelling.
	ref, known := store.ParsePath(request.URL.EscapedPath())
	if !known {
		http.NotFound(w, request)
		return kindOther
	}
	kind = kindModule
	if ref.Capability != "" {
		kind = kindPrivate
	}
	if request.Method != http.MethodGet && request.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		return kind
	}
	ctx, cancel := context.WithTimeout(request.Context(), peersBound)
	defer cancel()
	content, err := s.find(ctx, request.Context(), ref)
	switch {
	case err == nil:
		defer func() { _ = content.Close() }()
		serve(w, request, ref, content)
	case errors.Is(err, errAbsent):
		http.NotFound(w, request)
	default:
		s.unavailable(w, request, err)
	}
	return kind
}

// unavailable is for what may be had a moment later: agents try again by themselves.
func (s *Server) unavailable(w http.ResponseWriter, request *http.Request, err error) {
	if request.Context().Err() == nil {
		s.log.Error(err, "A module could not be served")
	}
	w.Header().Set("Retry-After", "1")
	http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
}

// find opens a module, after it was fetched from a peer where that is needed. The fetch is bounded by the first context,
// the reading by the second.
func (s *Server) find(ctx, reading context.Context, ref store.Reference) (*blob.Reader, error) {
	key, digits := moduleKey(ref), hexOf(ref.Digest)
	content, err := s.findHere(ctx, reading, ref)
	if !errors.Is(err, errAbsent) {
		return content, err
	}
	if err := s.peers.fetch(ctx, ref); err != nil {
		return nil, err
	}
	return s.storage.open(reading, key, digits)
}

// findHere opens a module that this replica holds.
func (s *Server) findHere(_, reading context.Context, ref store.Reference) (*blob.Reader, error) {
	return s.storage.open(reading, moduleKey(ref), hexOf(ref.Digest))
}

// serve sends a module, or the parts of it that were asked for.
func serve(w http.ResponseWriter, request *http.Request, ref store.Reference, content *blob.Reader) {
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Etag", strconv.Quote(ref.Digest))
	header.Set("Cache-Control", publicCaching)
	if ref.Capability != "" {
		header.Set("Cache-Control", privateCaching)
	}
	// No time of change: each replica would name another, and the ETag says more.
	http.ServeContent(w, request, "", time.Time{}, content)
}
