// SPDX-License-Identifier: Apache-2.0

package module

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const bundleType = bundlePrefix + ".v0.3+json"

// artifact is an artifact's manifest; ggcr's has no type of artifact.
type artifact struct {
	v1.Manifest

	ArtifactType string `json:"artifactType,omitempty"`
}

// withReferrers lets a registry answer as one that knows OCI 1.1's API for referrers.
func (r *images) withReferrers() *images {
	kept := registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(true))
	r.before = func(w http.ResponseWriter, request *http.Request) bool {
		kept.ServeHTTP(w, request)
		return true
	}
	return r
}

// put sends a document as it is.
func (r *images) put(t *testing.T, method, path, media string, content []byte) {
	t.Helper()
	request := must(http.NewRequestWithContext(t.Context(), method, r.URL+"/v2"+repository+path, bytes.NewReader(content)))
	request.Header.Set("Content-Type", media)
	response, err := r.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusCreated {
		t.Fatalf("%s %s: %s", method, path, response.Status)
	}
}

func (r *images) putBlob(t *testing.T, content []byte) {
	t.Helper()
	r.put(t, http.MethodPost, "/blobs/uploads/?digest="+digestOf(content), "application/octet-stream", content)
}

// attach pushes an artifact with layers, and returns how an index lists it.
func (r *images) attach(t *testing.T, identifier, artifactType string, annotations map[string]string, subject string, layers ...v1.Descriptor) v1.Descriptor {
	t.Helper()
	r.putBlob(t, []byte("{}"))
	manifest := artifact{ArtifactType: artifactType}
	manifest.SchemaVersion, manifest.MediaType, manifest.Layers, manifest.Annotations = 2, types.OCIManifestSchema1, layers, annotations
	manifest.Config = described(emptyConfig, []byte("{}"))
	if subject != "" {
		manifest.Subject = &v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: must(v1.NewHash(subject)), Size: 1}
	}
	content := must(json.Marshal(manifest))
	if identifier == "" {
		identifier = digestOf(content)
	}
	r.put(t, http.MethodPut, "/manifests/"+identifier, string(types.OCIManifestSchema1), content)
	listed := described(string(types.OCIManifestSchema1), content)
	listed.ArtifactType, listed.Annotations = artifactType, annotations
	return listed
}

// layer pushes a layer, and returns how a manifest lists it.
func (r *images) layer(t *testing.T, media, content string, annotations map[string]string) v1.Descriptor {
	t.Helper()
	r.putBlob(t, []byte(content))
	listed := described(media, []byte(content))
	listed.Annotations = annotations
	return listed
}

func described(media string, content []byte) v1.Descriptor {
	return v1.Descriptor{MediaType: types.MediaType(media), Digest: must(v1.NewHash(digestOf(content))), Size: int64(len(content))}
}

// list writes the index that stands for the API where a registry lacks it.
func (r *images) list(t *testing.T, digest string, referrers ...v1.Descriptor) {
	t.Helper()
	index := must(json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: referrers}))
	r.put(t, http.MethodPut, "/manifests/"+strings.Replace(digest, ":", "-", 1), string(types.OCIImageIndex), index)
}

var (
	signedDigest = digestOf([]byte("an image"))
	sigTag       = strings.Replace(signedDigest, ":", "-", 1) + ".sig"
	signs        = map[string]string{predicateAnnotation: signaturePredicate}
	stated       = map[string]string{"dev.cosignproject.cosign/signature": "c2ln"}
)

func (r *images) signatures(t *testing.T, digests ...string) ([]Attachment, error) {
	t.Helper()
	r.asked()
	return newFetcher(t, trusting(r.Server)).Signatures(t.Context(), parse(t, r.url(":1")), digests, nil)
}

func wantAttachments(t *testing.T, r *images, want ...Attachment) {
	t.Helper()
	found, err := r.signatures(t, signedDigest)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Error(diff)
	}
}

func TestSignaturesInBothLayouts(t *testing.T) {
	for name, api := range map[string]bool{"with the API for referrers": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			r := newImages(t)
			if api {
				r.withReferrers()
			}
			wantAttachments(t, r)
			r.attach(t, sigTag, "", nil, "", r.layer(t, string(simpleSigning), "one", stated), r.layer(t, "text/plain", "other", nil),
				r.layer(t, string(simpleSigning), "two", nil))
			bundle := r.attach(t, "", bundleType, signs, signedDigest, r.layer(t, bundleType, "bundle", nil))
			older := r.attach(t, "", signatureArtifact, nil, signedDigest, r.layer(t, string(simpleSigning), "three", stated))
			scan := r.attach(t, "", bundleType, map[string]string{predicateAnnotation: "https://example.com/scan"}, signedDigest,
				r.layer(t, bundleType, "scan", nil))
			if !api {
				r.list(t, signedDigest, bundle, older, scan)
			}
			want := []Attachment{{Payload: []byte("one"), Annotations: stated}, {Payload: []byte("two")}, {Bundle: []byte("bundle")}, {Payload: []byte("three"), Annotations: stated}}
			found, err := r.signatures(t, signedDigest, digestOf(nil), signedDigest)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(countedBy(want), countedBy(found)); diff != "" {
				t.Error(diff)
			}
			if asked := strings.Join(r.asked(), "\n"); strings.Contains(asked, scan.Digest.String()) {
				t.Errorf("what is no signature is read:\n%s", asked)
			}
		})
	}
}

// countedBy is what was found, without an order.
func countedBy(found []Attachment) map[string]int {
	counts := map[string]int{}
	for _, attachment := range found {
		counts[fmt.Sprintf("%s %s %v", attachment.Bundle, attachment.Payload, attachment.Annotations)]++
	}
	return counts
}

func TestRegistriesWithoutReferrers(t *testing.T) {
	for name, answer := range map[string]http.Handler{
		"400": status(http.StatusBadRequest), "404": status(http.StatusNotFound), "405": status(http.StatusMethodNotAllowed),
		"406": status(http.StatusNotAcceptable), "HTML": status(http.StatusOK, "Content-Type", "text/html"),
	} {
		t.Run(name, func(t *testing.T) {
			r := newImages(t)
			r.list(t, signedDigest, r.attach(t, "", bundleType, signs, "", r.layer(t, bundleType, "bundle", nil)))
			r.before = answering("/referrers/", answer)
			wantAttachments(t, r, Attachment{Bundle: []byte("bundle")})
		})
	}
}

// answering lets another handler answer for what has a word in its path.
func answering(word string, handler http.Handler) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, word) {
			return false
		}
		handler.ServeHTTP(w, r)
		return true
	}
}

// One signature that can't be read must not hide another.
func TestBrokenSignatures(t *testing.T) {
	large := strings.Repeat("x", maxAttachment+1)
	missing := described(bundleType, []byte("never pushed"))
	tests := map[string]func(t *testing.T, r *images) v1.Descriptor{
		"no layer": func(t *testing.T, r *images) v1.Descriptor { return r.attach(t, "", bundleType, signs, "", missing) },
		"no digest": func(t *testing.T, r *images) v1.Descriptor {
			return r.attach(t, "", bundleType, signs, "", v1.Descriptor{MediaType: bundleType})
		},
		"a large bundle": func(t *testing.T, r *images) v1.Descriptor {
			return r.attach(t, "", bundleType, signs, "", r.layer(t, bundleType, large, nil))
		},
		"large annotations": func(t *testing.T, r *images) v1.Descriptor {
			return r.attach(t, "", signatureArtifact, nil, "", r.layer(t, string(simpleSigning), "x", map[string]string{"x": large}))
		},
		"another document": func(t *testing.T, r *images) v1.Descriptor {
			r.put(t, http.MethodPut, "/manifests/"+digestOf([]byte(secret)), string(types.OCIManifestSchema1), []byte(secret))
			listed := described(string(types.OCIManifestSchema1), []byte(secret))
			listed.ArtifactType = bundleType
			return listed
		},
	}
	for name, broken := range tests {
		t.Run(name, func(t *testing.T) {
			r := newImages(t)
			r.list(t, signedDigest, broken(t, r), r.attach(t, "", bundleType, signs, "", r.layer(t, bundleType, "bundle", nil)))
			wantAttachments(t, r, Attachment{}, Attachment{Bundle: []byte("bundle")})
		})
	}
	t.Run("another content", func(t *testing.T) {
		r := newImages(t)
		r.list(t, signedDigest, r.attach(t, "", bundleType, signs, "", r.layer(t, bundleType, "bundle", nil)))
		r.before = answering("/blobs/", serving([]byte("forged")))
		wantAttachments(t, r, Attachment{})
	})
	t.Run("the tag", func(t *testing.T) {
		r := newImages(t)
		r.put(t, http.MethodPut, "/manifests/"+sigTag, string(types.OCIManifestSchema1), []byte("garbage"))
		r.list(t, signedDigest, r.attach(t, "", bundleType, signs, "", r.layer(t, bundleType, "bundle", nil)))
		wantAttachments(t, r, Attachment{}, Attachment{Bundle: []byte("bundle")})
	})
}

func TestManySignatures(t *testing.T) {
	r := newImages(t)
	layers, want := make([]v1.Descriptor, 0, maxListed), make([]Attachment, 0, maxAttachments)
	for i := range 3 * maxAttachments {
		content := fmt.Sprint("signature ", i)
		layers = append(layers, r.layer(t, string(simpleSigning), content, nil))
		if i >= 2*maxAttachments {
			want = append(want, Attachment{Payload: []byte(content)})
		}
	}
	r.attach(t, sigTag, "", nil, "", layers...)
	wantAttachments(t, r, want...)
	if n := len(r.asked()); n > maxAttachments+3 {
		t.Errorf("%d requests", n)
	}

	for n, want := range map[int]Kind{maxListed: "", maxListed + 1: BadArtifact} {
		list := make([]v1.Descriptor, n)
		for i := range list {
			list[i] = described(string(types.OCIManifestSchema1), fmt.Append(nil, i))
			list[i].ArtifactType = "application/spdx+json"
		}
		index := must(json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: list}))
		r.before = answering("/referrers/", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", string(types.OCIImageIndex))
			_, _ = w.Write(index)
		}))
		_, err := r.signatures(t, signedDigest)
		wantKind(t, err, want)
	}
}

func TestSignaturesOfServersThatFail(t *testing.T) {
	tests := map[string]struct {
		before func(http.ResponseWriter, *http.Request) bool
		want   Kind
		hint   string
	}{
		"no login":            {basic, Denied, "set spec.imagePullSecret"},
		"the API is denied":   {answering("/referrers/", status(http.StatusForbidden)), Denied, "set spec.imagePullSecret"},
		"the tag is denied":   {answering("/manifests/", status(http.StatusUnauthorized)), Denied, "set spec.imagePullSecret"},
		"the API fails":       {answering("/referrers/", status(http.StatusInternalServerError)), Unreachable, "500"},
		"the tag fails":       {answering("/manifests/", status(http.StatusTooManyRequests)), Unreachable, "429"},
		"the layer fails":     {answering("/blobs/", status(http.StatusBadGateway)), Unreachable, "502"},
		"the API is a riddle": {answering("/referrers/", status(http.StatusTeapot)), BadArtifact, "418"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r := newImages(t)
			r.list(t, signedDigest, r.attach(t, "", bundleType, signs, "", r.layer(t, bundleType, "bundle", nil)))
			r.before = tc.before
			found, err := r.signatures(t, signedDigest)
			wantKind(t, err, tc.want)
			if found != nil || !strings.Contains(err.Error(), tc.hint) {
				t.Errorf("%v, %v; want %q", found, err, tc.hint)
			}
		})
	}
	t.Run("with a login", func(t *testing.T) {
		r := newImages(t)
		r.attach(t, sigTag, "", nil, "", r.layer(t, string(simpleSigning), "one", stated))
		r.before = basic
		found, err := newFetcher(t, trusting(r.Server)).Signatures(t.Context(), parse(t, r.url("@"+signedDigest)), []string{signedDigest}, pullSecret(host(r.Server)))
		if err != nil || len(found) != 1 {
			t.Errorf("%v, %v", found, err)
		}
	})
	t.Run("an endless answer", func(t *testing.T) {
		r := newImages(t)
		r.before = answering("/referrers/", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", string(types.OCIImageIndex))
			chunk := bytes.Repeat([]byte(" "), mib)
			for {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}))
		_, err := r.signatures(t, signedDigest)
		wantKind(t, err, BadArtifact)
	})
	t.Run("no image", func(t *testing.T) {
		_, err := newFetcher(t, Options{}).Signatures(t.Context(), parse(t, "https://example.com/plugin.wasm"), []string{signedDigest}, nil)
		wantKind(t, err, Unsupported)
	})
	t.Run("no digest", func(t *testing.T) {
		_, err := newImages(t).signatures(t, "sha256-"+secret)
		wantKind(t, err, InvalidReference)
	})
}
