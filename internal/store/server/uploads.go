// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

const (
	// maxReferencesBody is more than the largest set takes.
	maxReferencesBody = 16 << 20
	// collectBound is how long the manager waits for what the other replicas have.
	collectBound = 20 * time.Second
	// linger lets a sender read why it is refused.
	linger = 5 * time.Second
)

// route is one kind of request to the upload port. It is served to those who have the right.
type route struct {
	pattern string
	kind    string
	verb    string
	serve   func(s *Server, w http.ResponseWriter, request *http.Request) error
}

var routes = []route{
	{"PUT /modules/sha256/{hex}", kindUpload, "create", (*Server).putModule},
	{"GET /modules/sha256/{hex}", kindFetch, "get", (*Server).getModule},
	{"PUT /references", kindReferences, "update", (*Server).putReferences},
	{"GET /references", kindReferences, "get", (*Server).getReferences},
	{"PUT /namespaces/{namespace}/modules/{name}/tags/{tag}", kindTag, "push", (*Server).pushTag},
	{"GET /namespaces/{namespace}/modules/{name}/tags/{tag}", kindTag, "get", (*Server).getTag},
	{"DELETE /namespaces/{namespace}/modules/{name}/tags/{tag}", kindTag, "delete", (*Server).deleteTag},
	{"GET /namespaces/{namespace}/modules/{name}/sha256/{hex}", kindFetch, "get", (*Server).getUpload},
}

// Uploads is what the manager, the other replicas and tenants are served, over TLS.
func (s *Server) Uploads() http.Handler {
	mux := http.NewServeMux()
	for _, route := range routes {
		mux.HandleFunc(route.pattern, func(w http.ResponseWriter, request *http.Request) {
			watched := watch(w)
			// A copy: the server looks at the request's own body to see whether its sender still waits to be let on.
			reading := request.WithContext(request.Context())
			reading.Body = io.NopCloser(upload{Reader: request.Body, patience: watched.patience})
			if err := s.serveRoute(route, watched, reading); err != nil {
				// What is still to come is not waited for.
				_ = watched.patience.control.SetReadDeadline(time.Now().Add(linger))
				s.respondError(watched, err)
			}
			s.metrics.count(route.kind, watched.code)
		})
	}
	return mux
}

func (s *Server) serveRoute(route route, w http.ResponseWriter, request *http.Request) error {
	right := Right{Verb: route.verb, Namespace: request.PathValue("namespace"), Name: request.PathValue("name")}
	if right.Namespace != "" {
		if err := store.CheckName(right.Namespace, right.Name); err != nil {
			return refuse(http.StatusBadRequest, "%s", err)
		}
	}
	if err := s.allow(request, right); err != nil {
		return err
	}
	return route.serve(s, w, request)
}

// moduleOf is the module that a request of the manager or of a peer names.
func moduleOf(request *http.Request) (store.Reference, error) {
	ref := store.Reference{Digest: digestPrefix + request.PathValue("hex"), Capability: request.URL.Query().Get("capability")}
	if err := ref.Check(); err != nil {
		return store.Reference{}, refuse(http.StatusBadRequest, "%s", err)
	}
	return ref, nil
}

// putModule writes the module also where it is already: that renews its grace, and mends a damaged disk.
func (s *Server) putModule(w http.ResponseWriter, request *http.Request) error {
	ref, err := moduleOf(request)
	if err != nil {
		return err
	}
	if request.ContentLength > s.options.MaxModule {
		return errTooLarge
	}
	code := http.StatusOK
	if _, err := s.storage.stat(request.Context(), moduleKey(ref)); errors.Is(err, errAbsent) {
		code = http.StatusCreated
	}
	size, err := s.storage.put(request.Context(), moduleKey(ref), hexOf(ref.Digest), request.Body)
	if err != nil {
		return err
	}
	if err := s.brought(request.Context(), ref); err != nil {
		return err
	}
	if err := s.peers.spread(request.Context(), ref); err != nil {
		s.log.Info("Not every replica has a new module yet", "digest", ref.Digest, "why", err.Error())
	}
	respond(w, code, store.TaggedModule{Digest: ref.Digest, Size: size})
	return nil
}

// brought counts a module for the replicas that start with an empty disk.
func (s *Server) brought(ctx context.Context, ref store.Reference) error {
	if s.options.Peers == nil {
		return nil
	}
	return s.references.add(ctx, ref)
}

// getModule asks the peers only for those who are no peers: otherwise two that lack it would ask each other. A peer to which it
// was brought has it counted here, too, for which the right to read it is enough.
func (s *Server) getModule(w http.ResponseWriter, request *http.Request) error {
	ref, err := moduleOf(request)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(request.Context(), peersBound)
	defer cancel()
	find, query := s.find, request.URL.Query()
	if query.Has(store.Local) {
		find = s.findHere
	}
	content, err := find(ctx, request.Context(), ref)
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	if query.Get(store.Brought) == "true" {
		if err := s.brought(ctx, ref); err != nil {
			return err
		}
	}
	serve(w, request, ref, content)
	return nil
}

func (s *Server) putReferences(w http.ResponseWriter, request *http.Request) error {
	var set store.ReferenceSet
	body := http.MaxBytesReader(nil, request.Body, maxReferencesBody)
	switch err := json.NewDecoder(body).Decode(&set); {
	case isTooLarge(err), len(set.References) > store.MaxReferences:
		return refuse(http.StatusRequestEntityTooLarge, "at most %d modules can be in use", store.MaxReferences)
	case err != nil:
		return refuse(http.StatusBadRequest, "the body is no set of references")
	}
	if err := checkAll(set.References); err != nil {
		return refuse(http.StatusBadRequest, "%s", err)
	}
	if err := s.references.replace(request.Context(), set.References); err != nil {
		return err
	}
	absent, err := s.absent(request.Context())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(request.Context(), collectBound)
	defer cancel()
	nobody, unsure := s.peers.fetchAll(ctx, absent)
	s.missing(nobody)
	// The manager can bring all of them.
	respond(w, http.StatusOK, store.MissingModules{Missing: slices.Concat([]store.Reference{}, nobody, unsure)})
	return nil
}

func isTooLarge(err error) bool {
	_, ok := errors.AsType[*http.MaxBytesError](err)
	return ok
}

func checkSet(set store.ReferenceSet) error {
	all := slices.Clone(set.References)
	for _, module := range set.Brought {
		all = append(all, module.Reference)
	}
	return checkAll(all)
}

func checkAll(references []store.Reference) error {
	for _, ref := range references {
		if err := ref.Check(); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) getReferences(w http.ResponseWriter, request *http.Request) error {
	known, now := s.references.get(), s.now()
	etag := strconv.Quote(known.version(now))
	w.Header().Set("Etag", etag)
	if request.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	respond(w, http.StatusOK, known.tell(now))
	return nil
}
