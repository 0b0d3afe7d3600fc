// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
)

// TestPushBadFiles: nothing is sent of what no proxy could load.
func TestPushBadFiles(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer server.Close()
	reference := strings.TrimPrefix(server.URL, "http://") + "/a:1"
	large := writeFile(t, "large.wasm", []byte("\x00asm\x01\x00\x00\x00"))
	if err := os.Truncate(large, 256<<20+1); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		file, want string
		code       int
	}{
		"absent":           {filepath.Join(t.TempDir(), "filter.wasm"), "filter.wasm; build it with wasmctl build", cli.ExitFailed},
		"a folder":         {t.TempDir(), "is no regular file", cli.ExitFailed},
		"empty":            {writeFile(t, "a.wasm", nil), "is empty", cli.ExitRefused},
		"a page":           {writeFile(t, "a.wasm", []byte("<html>")), "is not a WebAssembly module", cli.ExitRefused},
		"a component":      {writeFile(t, "a.wasm", []byte("\x00asm\x0d\x00\x01\x00")), "is a WebAssembly component", cli.ExitRefused},
		"no plugin":        {writeFile(t, "a.wasm", []byte("\x00asm\x01\x00\x00\x00")), "not a proxy-wasm plugin", cli.ExitRefused},
		"cut off":          {writeFile(t, "a.wasm", []byte("\x00asm\x01\x00\x00\x00\x01\x7f")), "damaged or cut short", cli.ExitRefused},
		"large":            {large, "larger than 256 MiB", cli.ExitRefused},
		"a broken schema":  {describedModule(t, `{"name": "a", "language": "go", "rulesSchema": {"type": "strnig"}}`), "rulesSchema.type must be one of", cli.ExitRefused},
		"bad rules":        {describedModule(t, `{"name": "a", "language": "go", "rulesSchema": {"required": ["a"]}, "defaultRules": {}}`), "defaultRules.a is missing", cli.ExitRefused},
		"a bad config":     {describedModule(t, `{"language": "go"}`), "name is missing", cli.ExitRefused},
		"another's config": {describedModule(t, `{"name": 1}`), "can't be used", cli.ExitRefused},
	} {
		t.Run(name, func(t *testing.T) {
			got := call(t, nil, "push", reference, test.file, "--insecure-registry", plain(server))
			if got.code != test.code || !strings.Contains(got.errOut, test.want) || got.out != "" || asked > 0 {
				t.Errorf("asked %d times: %s", asked, got)
			}
		})
	}
}

func TestPushCalledWrongly(t *testing.T) {
	file := describedModule(t, described)
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"nothing":           {nil, "name where to push to"},
		"three":             {[]string{"a", "b", "c"}, "at most one file"},
		"a form":            {[]string{"a:1", file, "--format", "zip"}, "none of artifact, image"},
		"a web server":      {[]string{"https://example.com/a.wasm", file}, "store://NAME:TAG"},
		"a digest":          {[]string{"registry.example.com/a@sha256:" + strings.Repeat("0", 64), file}, "must name a tag"},
		"no name":           {[]string{"registry.example.com/A:1", file}, "no image's name"},
		"an annotation":     {[]string{"registry.example.com/a:1", file, "--annotation", "a"}, "KEY=VALUE"},
		"a time":            {[]string{"registry.example.com/a:1", file, "--created", "today"}, "--created is no time"},
		"a moved tag":       {[]string{"registry.example.com/a:1", file, "--move"}, "--move is for"},
		"a signed upload":   {[]string{"store://a:1", file, "--sign", "cosign.key"}, "keeps no signatures"},
		"no key":            {[]string{"registry.example.com/a:1", file, "--sign", "/nowhere/cosign.key"}, "can't be read"},
		"another key":       {[]string{"registry.example.com/a:1", file, "--sign", file}, "no private key of cosign"},
		"an authority":      {[]string{"registry.example.com/a:1", file, "--ca-file", file}, "holds no certificate"},
		"no time at all":    {[]string{"registry.example.com/a:1", file, "--timeout", "0s"}, "more than 0"},
		"an upload's name":  {[]string{"store://A:1", file, "-n", "shop"}, "store://A:1"},
		"pull, two":         {[]string{"a", "b"}, "name one module"},
		"a plain key's end": {[]string{"registry.example.com/a:1", file, "-o", "xml"}, "none of text, json, yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			command := "push"
			if strings.HasPrefix(name, "pull") {
				command = "pull"
			}
			got := call(t, nil, append([]string{command}, test.args...)...)
			if got.code != cli.ExitFailed || !strings.Contains(got.errOut, test.want) || got.out != "" {
				t.Errorf("got %s", got)
			}
		})
	}
}

// plain is the host and port of a server, with or without TLS.
func plain(server *httptest.Server) string { return server.Listener.Addr().String() }

// TestPushRefused: a registry that says no, that is no registry, or that goes away.
func TestPushRefused(t *testing.T) {
	file := describedModule(t, described)
	s := newServers(t)
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	answering := func(status int, path string) *httptest.Server {
		images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet && r.Method != http.MethodHead && strings.Contains(r.URL.Path, path) {
				w.WriteHeader(status)
				_, _ = io.WriteString(w, `{"errors": [{"code": "DENIED", "message": "`+password+`"}]}`)
				return
			}
			images.ServeHTTP(w, r)
		}))
		t.Cleanup(server.Close)
		return server
	}
	breaking := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			return
		}
		panic(http.ErrAbortHandler)
	}))
	defer breaking.Close()
	denying, full, manifests := answering(http.StatusForbidden, "/blobs/"), answering(http.StatusInsufficientStorage, "/blobs/"), answering(http.StatusBadRequest, "/manifests/")
	closed := httptest.NewServer(nil)
	closed.Close()
	for name, test := range map[string]struct {
		server *httptest.Server
		args   []string
		want   string
	}{
		"needs a password": {s.registry, []string{"--ca-file", s.ca}, "denies access (status 401); log in with docker login " + host(s.registry)},
		"has no TLS":       {denying, nil, "does not speak TLS; see --insecure-registry"},
		"is not trusted":   {s.registry, nil, "see --ca-file and --insecure-registry"},
		"denies":           {denying, []string{"--insecure-registry", plain(denying)}, "denies access (status 403)"},
		"is full":          {full, []string{"--insecure-registry", plain(full)}, "can't take it at the moment (status 507)"},
		"takes no form":    {manifests, []string{"--insecure-registry", plain(manifests)}, "refuses it (status 400): DENIED"},
		"breaks off":       {breaking, []string{"--insecure-registry", plain(breaking)}, "broke off"},
		"is away":          {closed, []string{"--insecure-registry", plain(closed)}, "did not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			got := call(t, nil, append([]string{"push", plain(test.server) + "/team/a:1", file}, test.args...)...)
			if got.code != cli.ExitFailed || !strings.Contains(got.errOut, test.want) || got.out != "" || strings.Contains(got.String(), password) {
				t.Errorf("got %s", got)
			}
		})
	}
}
