// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

// place is where a tag stands: the newest of its versions.
type place struct {
	version int
	module  store.TaggedModule
}

// named says whether the tag names a module. One that was deleted stands at a version without one.
func (p place) named() bool { return p.module.Digest != "" }

func labelOf(request *http.Request) (label, error) {
	of := label{namespace: request.PathValue("namespace"), name: request.PathValue("name"), tag: request.PathValue("tag")}
	if err := store.CheckTag(of.tag); err != nil {
		return label{}, refuse(http.StatusBadRequest, "%s", err)
	}
	return of, nil
}

// look reads where a tag stands.
func (s *Server) look(ctx context.Context, of label) (place, error) {
	versions, err := s.storage.list(ctx, of.tagPrefix())
	if err != nil {
		return place{}, err
	}
	var newest place
	for key := range versions {
		if _, version, ok := parseTagKey(key); ok {
			newest.version = max(newest.version, version)
		}
	}
	if newest.version == 0 {
		return place{}, nil
	}
	content, err := s.storage.read(ctx, of.tagKey(newest.version))
	if err != nil {
		return place{}, err
	}
	return newest, json.Unmarshal(content, &newest.module)
}

// standing is the tag of a request, which must name something, and where it stands.
func (s *Server) standing(request *http.Request) (label, place, error) {
	of, err := labelOf(request)
	if err != nil {
		return label{}, place{}, err
	}
	at, err := s.look(request.Context(), of)
	if err == nil && !at.named() {
		err = errAbsent
	}
	return of, at, err
}

// move puts a tag to its next place. Of several that move it from the same place one wins.
func (s *Server) move(ctx context.Context, of label, from place, to store.TaggedModule) (bool, error) {
	content, err := json.Marshal(to)
	if err != nil {
		return false, err
	}
	return s.storage.create(ctx, of.tagKey(from.version+1), content)
}

func (s *Server) getTag(w http.ResponseWriter, request *http.Request) error {
	_, at, err := s.standing(request)
	if err != nil {
		return err
	}
	w.Header().Set("Etag", strconv.Quote(at.module.Digest))
	respond(w, http.StatusOK, at.module)
	return nil
}

func (s *Server) deleteTag(w http.ResponseWriter, request *http.Request) error {
	of, at, err := s.standing(request)
	if err != nil {
		return err
	}
	won, err := s.move(request.Context(), of, at, store.TaggedModule{})
	switch {
	case err != nil:
		return err
	case !won:
		return refuse(http.StatusConflict, "the tag %s was moved at the same time; look at it and decide anew", of)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) getUpload(w http.ResponseWriter, request *http.Request) error {
	ref := store.Reference{Digest: digestPrefix + request.PathValue("hex")}
	if err := ref.Check(); err != nil {
		return refuse(http.StatusBadRequest, "%s", err)
	}
	of := label{namespace: request.PathValue("namespace"), name: request.PathValue("name")}
	content, err := s.storage.open(request.Context(), of.uploadKey(ref.Digest), hexOf(ref.Digest))
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	serve(w, request, ref, content)
	return nil
}

// pushTag takes an upload: its content first, and then the tag that names it, so that no tag names what isn't there.
func (s *Server) pushTag(w http.ResponseWriter, request *http.Request) error {
	if !s.options.Durable {
		return refuse(http.StatusNotImplemented, "this store takes no uploads: its storage is not declared durable, so they could be lost")
	}
	of, err := labelOf(request)
	if err != nil {
		return err
	}
	from, err := movedFrom(request)
	if err != nil {
		return err
	}
	if request.ContentLength > s.options.MaxModule {
		return errTooLarge
	}
	content, err := s.spool(request)
	if err != nil {
		return err
	}
	defer content.close()
	code, err := s.push(request.Context(), of, from, content)
	if err != nil {
		return err
	}
	respond(w, code, content.module)
	return nil
}

// movedFrom is the digest that the tag must name, "" if it must be new.
func movedFrom(request *http.Request) (string, error) {
	header := request.Header.Get("If-Match")
	if header == "" {
		return "", nil
	}
	digest := strings.Trim(header, `"`)
	if (store.Reference{Digest: digest}).Check() != nil {
		return "", refuse(http.StatusBadRequest, `If-Match must be the digest that the tag names, as "sha256:…" in quotes`)
	}
	return digest, nil
}

func (s *Server) push(ctx context.Context, of label, from string, content *spooled) (code int, err error) {
	at, err := s.look(ctx, of)
	if err != nil {
		return 0, err
	}
	if at.named() && at.module.Digest == content.module.Digest {
		return s.renew(ctx, of, content)
	}
	if err := mayMove(of, at, from); err != nil {
		return 0, err
	}
	if err := s.keepUpload(ctx, of, content); err != nil {
		return 0, err
	}
	won, err := s.move(ctx, of, at, content.module)
	switch {
	case err != nil:
		return 0, err
	case won && at.named():
		return http.StatusOK, nil
	case won:
		return http.StatusCreated, nil
	}
	return s.lost(ctx, of, content)
}

// renew answers who pushes what the tag names already. The content is written again if the storage lost it.
func (s *Server) renew(ctx context.Context, of label, content *spooled) (int, error) {
	_, err := s.storage.stat(ctx, of.uploadKey(content.module.Digest))
	if errors.Is(err, errAbsent) {
		err = s.keepUpload(ctx, of, content)
	}
	return http.StatusOK, err
}

// lost answers the writer who came second. With the same content both have what they want.
func (s *Server) lost(ctx context.Context, of label, content *spooled) (int, error) {
	at, err := s.look(ctx, of)
	if err != nil {
		return 0, err
	}
	if at.module.Digest == content.module.Digest {
		return http.StatusOK, nil
	}
	return 0, refuse(http.StatusConflict, "the tag %s was moved at the same time; look at it and decide anew", of)
}

func mayMove(of label, at place, from string) error {
	switch {
	case from == "" && at.named():
		return refuse(http.StatusConflict, "the tag %s names another module, %s; push under another tag, or send If-Match with that digest to replace it", of, at.module.Digest)
	case from != "" && at.module.Digest != from:
		return refuse(http.StatusPreconditionFailed, "the tag %s does not name the module that it should be moved from; look at it and decide anew", of)
	default:
		return nil
	}
}

// keepUpload stores the content, within the namespace's quota.
func (s *Server) keepUpload(ctx context.Context, of label, content *spooled) error {
	lock, _ := s.pushes.LoadOrStore(of.namespace, &sync.Mutex{})
	if mutex, ok := lock.(*sync.Mutex); ok {
		mutex.Lock()
		defer mutex.Unlock()
	}
	key := of.uploadKey(content.module.Digest)
	if err := s.withinQuota(ctx, of, key, content.module.Size); err != nil {
		return err
	}
	if err := content.rewind(); err != nil {
		return err
	}
	_, err := s.storage.put(ctx, key, hexOf(content.module.Digest), content.file)
	return err
}

// slot is what a small object takes at least, so that tags without number are bounded too.
const slot = 4 << 10

func (s *Server) withinQuota(ctx context.Context, of label, key string, size int64) error {
	if s.options.Quota == 0 {
		return nil
	}
	used := int64(0)
	for _, prefix := range []string{uploadsPrefix, tagsPrefix} {
		stored, err := s.storage.list(ctx, prefix+of.namespace+"/")
		if err != nil {
			return err
		}
		for other, found := range stored {
			if other != key {
				used += found.size + slot
			}
		}
	}
	if used+size+2*slot > s.options.Quota {
		return refuse(http.StatusInsufficientStorage, "the uploads of namespace %q take %d of %d bytes, and this module of %d bytes has no room; delete tags that nobody needs: what no tag names goes after %s",
			of.namespace, used, s.options.Quota, size, s.options.Grace)
	}
	return nil
}
