// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	user     = "puller"
	password = "hunter2"
)

// helloWorld and basicAuth are the example plugins, as their author builds them.
var (
	helloWorld = sync.OnceValues(func() ([]byte, error) { return build("../../examples/hello-world") })
	basicAuth  = sync.OnceValues(func() ([]byte, error) { return build("../../examples/basic-auth") })
)

func build(source string) ([]byte, error) {
	folder, err := os.MkdirTemp("", "wasmctl")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	built := filepath.Join(folder, "plugin.wasm")
	build := exec.Command("go", "build", "-buildmode=c-shared", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", built, ".")
	build.Dir = source
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return os.ReadFile(built)
}

// servers are a registry and a web server that hold a real module.
type servers struct {
	content  []byte
	registry *httptest.Server
	web      *httptest.Server
	manifest string
	// ca and pullSecret are files.
	ca, pullSecret string
	dockerConfig   []byte

	mutex sync.Mutex
	// asked counts requests for modules of the web server.
	asked int
}

func newServers(t *testing.T) *servers {
	t.Helper()
	content, err := helloWorld()
	if err != nil {
		t.Fatal(err)
	}
	s := &servers{content: content}
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	s.registry = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if given, secret, _ := r.BasicAuth(); given != user || secret != password {
			w.Header().Set("Www-Authenticate", `Basic realm="images"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		images.ServeHTTP(w, r)
	}))
	s.web = serve(t, http.HandlerFunc(s.serveFile))
	s.push(t)
	s.ca = writeFile(t, "ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.web.Certificate().Raw}))
	s.dockerConfig = []byte(fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, host(s.registry), base64.StdEncoding.EncodeToString([]byte(user+":"+password))))
	s.pullSecret = writeFile(t, "config.json", s.dockerConfig)
	return s
}

func serve(t *testing.T, handler http.Handler) *httptest.Server {
	t.Helper()
	served := httptest.NewUnstartedServer(handler)
	served.Config.ErrorLog = log.New(io.Discard, "", 0) // a client that distrusts it is the point of a test
	served.StartTLS()
	t.Cleanup(served.Close)
	return served
}

func (s *servers) serveFile(w http.ResponseWriter, r *http.Request) {
	s.mutex.Lock()
	s.asked++
	s.mutex.Unlock()
	switch r.URL.Path {
	case "/plugin.wasm":
		_, _ = w.Write(s.content)
	case "/page.wasm":
		_, _ = io.WriteString(w, "<html>"+password+"</html>")
	case "/component.wasm":
		_, _ = w.Write([]byte("\x00asm\x0d\x00\x01\x00"))
	case "/no-plugin.wasm":
		_, _ = w.Write([]byte("\x00asm\x01\x00\x00\x00"))
	case "/busy.wasm":
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (s *servers) push(t *testing.T) {
	t.Helper()
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), "application/vnd.module.wasm.config.v1+json")
	image, err := mutate.AppendLayers(base, static.NewLayer(s.content, "application/vnd.module.wasm.content.layer.v1+wasm"))
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(host(s.registry) + "/team/hello:1")
	if err != nil {
		t.Fatal(err)
	}
	auth := remote.WithAuth(&authn.Basic{Username: user, Password: password})
	if err := remote.Write(ref, image, auth, remote.WithTransport(s.registry.Client().Transport)); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	s.manifest = digest.String()
}

func host(served *httptest.Server) string { return strings.TrimPrefix(served.URL, "https://") }

func writeFile(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (s *servers) image() string { return "oci://" + host(s.registry) + "/team/hello:1" }

func (s *servers) digest() string {
	sum := sha256.Sum256(s.content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// trusting are the flags for both servers.
func (s *servers) trusting() []string {
	return []string{"--allow-loopback", "--ca-file", s.ca, "--pull-secret-file", s.pullSecret}
}
