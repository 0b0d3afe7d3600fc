// SPDX-License-Identifier: Apache-2.0

package module

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const repository = "/team/auth"

// images is a registry that keeps what is pushed, and remembers what it is asked.
type images struct {
	*httptest.Server

	// before may answer in the registry's place.
	before func(w http.ResponseWriter, r *http.Request) (answered bool)

	mutex    sync.Mutex
	requests []string
}

func newImages(t *testing.T) *images {
	t.Helper()
	kept := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	r := &images{}
	r.Server = server(t, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.mutex.Lock()
		r.requests = append(r.requests, request.Method+" "+request.URL.Path)
		r.mutex.Unlock()
		if r.before == nil || !r.before(w, request) {
			kept.ServeHTTP(w, request)
		}
	}))
	return r
}

// asked are the requests since the last call, without the login's.
func (r *images) asked() []string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	var list []string
	for _, request := range r.requests {
		if strings.Contains(request, repository) {
			list = append(list, request)
		}
	}
	r.requests = nil
	return list
}

func (r *images) url(rest string) string {
	return "oci://" + host(r.Server) + repository + rest
}

// push writes an image or an index under the tag 1, and returns its digest.
func (r *images) push(t *testing.T, pushed remote.Taggable) string {
	t.Helper()
	ref := must(name.ParseReference(host(r.Server) + repository + ":1"))
	transport := remote.WithTransport(r.Client().Transport)
	before := r.before
	r.before = nil
	var digest v1.Hash
	switch pushed := pushed.(type) {
	case v1.Image:
		check(remote.Write(ref, pushed, transport))
		digest = must(pushed.Digest())
	case v1.ImageIndex:
		check(remote.WriteIndex(ref, pushed, transport))
		digest = must(pushed.Digest())
	}
	r.before = before
	r.asked()
	return digest.String()
}

// image has layers of a media type each.
func image(manifest types.MediaType, layers ...v1.Layer) v1.Image {
	base := mutate.MediaType(empty.Image, manifest)
	if manifest == types.OCIManifestSchema1 {
		base = mutate.ConfigMediaType(base, types.OCIConfigJSON)
	}
	return must(mutate.AppendLayers(base, layers...))
}

func layer(media types.MediaType, content []byte) v1.Layer {
	return static.NewLayer(content, media)
}

// ociImage is an image as `docker buildx build --output type=oci` makes it.
func ociImage(entries ...*tarEntry) v1.Image {
	return image(types.OCIManifestSchema1, layer(types.OCILayer, zipped(tarred(entries...))))
}

// indexOf lists images for platforms, such as linux/amd64.
func indexOf(media types.MediaType, platforms map[string]mutate.Appendable, order ...string) v1.ImageIndex {
	index := mutate.IndexMediaType(empty.Index, media)
	for _, platform := range order {
		addendum := mutate.IndexAddendum{Add: platforms[platform]}
		if os, architecture, found := strings.Cut(platform, "/"); found {
			addendum.Platform = &v1.Platform{OS: os, Architecture: architecture}
		}
		index = mutate.AppendManifests(index, addendum)
	}
	return index
}
