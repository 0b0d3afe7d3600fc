// SPDX-License-Identifier: Apache-2.0

package module

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
)

func TestPlainRegistries(t *testing.T) {
	secure := newImages(t)
	content := plugin{}.bytes()
	digest := secure.push(t, ociImage(file(moduleFile, content)))
	var seen atomic.Int32
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Add(1)
		secure.Config.Handler.ServeHTTP(w, r)
	}))
	t.Cleanup(plain.Close)
	ref := parse(t, "oci://"+host(plain)+repository+":1")

	_, err := newFetcher(t, Options{AllowLoopback: true}).Fetch(t.Context(), ref, pullSecret(host(plain)))
	wantKind(t, err, Unreachable)
	if seen.Load() != 0 {
		t.Errorf("%d requests without TLS to a registry that is not listed", seen.Load())
	}
	listed := newFetcher(t, Options{AllowLoopback: true, Insecure: []string{host(plain)}})
	got, err := listed.Fetch(t.Context(), ref, pullSecret(host(plain)))
	if err != nil || got.ManifestDigest != digest {
		t.Errorf("listed: %v", err)
	}
	for code, want := range map[int]Kind{http.StatusServiceUnavailable: Unreachable, http.StatusForbidden: Denied, http.StatusNotFound: NotFound} {
		secure.before = func(w http.ResponseWriter, r *http.Request) bool {
			status(code, "Retry-After", "5").ServeHTTP(w, r)
			return true
		}
		_, err = listed.Fetch(t.Context(), ref, nil)
		wantKind(t, err, want)
		if known, ok := errors.AsType[*Error](err); want == Unreachable && (!ok || known.RetryAfter != 5*time.Second) {
			t.Errorf("status %d: %+v", code, known)
		}
	}
}

func TestResolve(t *testing.T) {
	registry := newImages(t)
	first := registry.push(t, ociImage(file(moduleFile, plugin{}.bytes())))
	fetcher := newFetcher(t, trusting(registry.Server))
	ref := parse(t, registry.url(":1"))
	resolve := func(t *testing.T, want string, asked ...string) {
		t.Helper()
		got, err := fetcher.Resolve(t.Context(), ref, nil)
		if err != nil || got != want {
			t.Errorf("resolved to %q (%v), want %q", got, err, want)
		}
		if requests := registry.asked(); strings.Join(requests, " ") != strings.Join(asked, " ") {
			t.Errorf("asked %v, want %v", requests, asked)
		}
	}
	head, get := "HEAD /v2"+repository+"/manifests/1", "GET /v2"+repository+"/manifests/1"
	resolve(t, first, head)
	second := registry.push(t, ociImage(file(moduleFile, ofSize(1))))
	resolve(t, second, head)
	if module, err := fetcher.Fetch(t.Context(), ref.At(first), nil); err != nil || module.ResolvedDigest != first {
		t.Errorf("what the tag was before: %v", err)
	}
	registry.asked()

	for name, answer := range map[string]http.Handler{
		"no digest":       serving(nil),
		"a bad digest":    status(http.StatusOK, digestHeader, "sha256:"+secret),
		"another digest":  status(http.StatusOK, digestHeader, "sha512:"+someHex+someHex),
		"HEAD is unknown": status(http.StatusMethodNotAllowed),
	} {
		registry.before = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodHead {
				answer.ServeHTTP(w, r)
			}
			return r.Method == http.MethodHead
		}
		t.Run(name, func(t *testing.T) { resolve(t, second, head, get) })
	}
	registry.before = nil

	if _, err := fetcher.Resolve(t.Context(), parse(t, registry.url(":2")), nil); KindOf(err) != NotFound {
		t.Errorf("an unknown tag: %v", err)
	}
	registry.asked()
	if got, err := fetcher.Resolve(t.Context(), ref.At(first), nil); err != nil || got != first || len(registry.asked()) != 0 {
		t.Errorf("a digest: %q, %v", got, err)
	}
	_, err := fetcher.Resolve(t.Context(), parse(t, "https://example.com/a.wasm"), nil)
	wantKind(t, err, Unsupported)
}

func TestRegistryThatStartsAgain(t *testing.T) {
	registry := newImages(t)
	registry.push(t, ociImage(file(moduleFile, plugin{}.bytes())))
	fetcher := newFetcher(t, trusting(registry.Server))
	registry.before = func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusBadGateway)
		_, _ = io.WriteString(w, secret)
		return true
	}
	_, err := fetcher.Fetch(t.Context(), parse(t, registry.url(":1")), nil)
	wantKind(t, err, Unreachable)
	registry.before = nil
	if _, err := fetcher.Fetch(t.Context(), parse(t, registry.url(":1")), nil); err != nil {
		t.Error(err)
	}
}

func TestPullSecretEntries(t *testing.T) {
	tests := map[string]struct {
		image string
		keys  []string
		want  string
	}{
		"host":                         {"registry.example.com/team/auth", []string{"other.example.com", "registry.example.com"}, "registry.example.com"},
		"host with a port":             {"registry.example.com:5000/auth", []string{"registry.example.com", "registry.example.com:5000"}, "registry.example.com:5000"},
		"with scheme and path":         {"registry.example.com/auth", []string{"https://registry.example.com/v2/"}, "https://registry.example.com/v2/"},
		"the team's before the host's": {"registry.example.com/team/auth", []string{"https://registry.example.com", "registry.example.com/team", "registry.example.com/team/other"}, "registry.example.com/team"},
		"no team of a longer name":     {"registry.example.com/teams/auth", []string{"registry.example.com/team"}, ""},
		"star":                         {"registry.example.com/auth", []string{"*.example.com"}, "*.example.com"},
		"star is one label":            {"a.b.example.com/auth", []string{"*.example.com"}, ""},
		"no part of a name":            {"registry.example.com.evil.org/auth", []string{"registry.example.com"}, ""},
		"Docker Hub by login":          {"solarmesh/auth", []string{"https://index.docker.io/v1/"}, "https://index.docker.io/v1/"},
		"Docker Hub by name":           {"solarmesh/auth", []string{"docker.io"}, "docker.io"},
		"the same twice":               {"registry.example.com/auth", []string{"https://registry.example.com", "registry.example.com"}, "https://registry.example.com"},
		"a bad pattern":                {"registry.example.com/auth", []string{"[.example.com"}, ""},
		"none":                         {"registry.example.com/auth", []string{}, ""},
	}
	for title, tc := range tests {
		t.Run(title, func(t *testing.T) {
			var entries []string
			for _, key := range tc.keys {
				entries = append(entries, fmt.Sprintf(`%q:{"username":%q,"password":"p"}`, key, key))
			}
			repo := must(name.NewRepository(tc.image))
			found, _, err := credentialsFor(repo, []byte(`{"auths":{`+strings.Join(entries, ",")+`}}`))
			if err != nil {
				t.Fatal(err)
			}
			if config := must(found.Authorization()); config.Username != tc.want {
				t.Errorf("took the entry %q, want %q", config.Username, tc.want)
			}
		})
	}
}
