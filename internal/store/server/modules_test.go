// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

func TestProxiesAreServed(t *testing.T) {
	r := start(t, nil)
	content := plugin("a")
	digest, capability := digestOf(content), store.NewCapability()
	client := r.client(t)
	for _, of := range []string{"", capability} {
		if err := client.Put(t.Context(), digest, of, content); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		method, path string
		header       http.Header
		status       int
		body         []byte
		caching      string
	}{
		"public":  {http.MethodGet, store.Path(digest, ""), nil, 200, content, publicCaching},
		"private": {http.MethodGet, store.Path(digest, capability), nil, 200, content, privateCaching},
		"head":    {http.MethodHead, store.Path(digest, ""), nil, 200, nil, publicCaching},
		"a range": {http.MethodGet, store.Path(digest, ""), http.Header{"Range": {"bytes=4-7"}}, 206, content[4:8], publicCaching},
		"a range of the same module": {
			http.MethodGet, store.Path(digest, ""), http.Header{"Range": {"bytes=-2"}, "If-Range": {`"` + digest + `"`}}, 206, content[len(content)-2:], publicCaching,
		},
		"a range of another module": {
			http.MethodGet, store.Path(digest, ""), http.Header{"Range": {"bytes=4-7"}, "If-Range": {`"sha256:0"`}}, 200, content, publicCaching,
		},
		"a range beyond the end": {http.MethodGet, store.Path(digest, ""), http.Header{"Range": {"bytes=9999-"}}, 416, nil, ""},
		"known already":          {http.MethodGet, store.Path(digest, ""), http.Header{"If-None-Match": {`"` + digest + `"`}}, 304, nil, publicCaching},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			status, header, body := fetch(t, test.method, r.modules+test.path, test.header)
			if status != test.status {
				t.Fatalf("status %d, want %d", status, test.status)
			}
			if status < 300 && test.method == http.MethodGet && !bytes.Equal(body, test.body) {
				t.Errorf("%d bytes, want %d", len(body), len(test.body))
			}
			if header.Get("Cache-Control") != test.caching {
				t.Errorf("Cache-Control %q, want %q", header.Get("Cache-Control"), test.caching)
			}
			if status == 200 && (header.Get("Etag") != `"`+digest+`"` || header.Get("Content-Type") != "application/wasm" ||
				header.Get("Content-Length") != fmt.Sprint(len(content))) {
				t.Errorf("headers %v", header)
			}
		})
	}
	if sent := testutil.ToFloat64(r.metrics.requests.WithLabelValues(kindPrivate, "200")); sent != 1 {
		t.Errorf("%v requests for private modules counted, want 1", sent)
	}
	if sent := testutil.ToFloat64(r.metrics.served); sent < float64(3*len(content)) {
		t.Errorf("%v bytes counted", sent)
	}
}

func TestNothingElseIsServed(t *testing.T) {
	r := start(t, func(o *Options) { o.Durable = true })
	content := plugin("a")
	digest, capability := digestOf(content), store.NewCapability()
	client := r.client(t)
	if err := client.Put(t.Context(), digest, capability, content); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Push(t.Context(), "shop", "auth", "1", bytes.NewReader(content), ""); err != nil {
		t.Fatal(err)
	}
	if _, err := client.References(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	digits := hexOf(digest)
	for _, path := range []string{
		"/", "/modules", "/modules/", "/modules/sha256/", "/modules/private/", "/modules/private/" + capability, "/modules/private/" + capability + "/",
		"/references", "/references.json", "/modules/sha256/" + digits, "/metrics", "/debug/pprof/",
		// The content is there, but privately and as an upload.
		store.Path(digest, ""), store.Path(digest, store.NewCapability()), "/uploads/shop/auth/" + digits + ".wasm",
		"/namespaces/shop/modules/auth/sha256/" + digits, "/tags/shop/auth/1/00000001",
		// Another spelling of what is there.
		"//modules/private/" + capability + "/" + digits + ".wasm", "/modules/./private/" + capability + "/" + digits + ".wasm",
		"/modules/private/" + capability + "%2f" + digits + ".wasm", "/modules/private/" + capability + "/" + strings.ToUpper(digits) + ".wasm",
		"/modules/sha256/../private/" + capability + "/" + digits + ".wasm", "/modules/sha256/..%2f..%2freferences.json",
	} {
		if status, header, body := fetch(t, http.MethodGet, r.modules+path, nil); status != http.StatusNotFound || header.Get("Location") != "" || bytes.Contains(body, []byte(digits)) {
			t.Errorf("%s: status %d, %q", path, status, body)
		}
	}
	for _, method := range []string{http.MethodPut, http.MethodPost, http.MethodDelete, http.MethodOptions} {
		if status, header, _ := fetch(t, method, r.modules+store.Path(digest, capability), nil); status != http.StatusMethodNotAllowed || header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: status %d", method, status)
		}
	}
}

func TestManyProxiesAtOnce(t *testing.T) {
	r := start(t, nil)
	content := plugin(strings.Repeat("x", 1<<20))
	if err := r.client(t).Put(t.Context(), digestOf(content), "", content); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			if _, _, body := fetch(t, http.MethodGet, r.modules+store.Path(digestOf(content), ""), nil); !bytes.Equal(body, content) {
				t.Errorf("%d bytes", len(body))
			}
		})
	}
	group.Wait()
}

// A disk that lost what was not flushed serves nothing wrong: the module is as if it were not there, until it is.
func TestDamagedFileIsNotServed(t *testing.T) {
	folder := t.TempDir()
	content := plugin("a")
	path := filepath.Join(folder, moduleKey(store.Reference{Digest: digestOf(content)}))
	for name, damaged := range map[string][]byte{"empty": nil, "cut": content[:9], "other": plugin("b")} {
		t.Run(name, func(t *testing.T) {
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			r := start(t, func(o *Options) { o.Bucket = "file://" + folder })
			url := r.modules + store.Path(digestOf(content), "")
			if status, _, _ := fetch(t, http.MethodGet, url, nil); status != http.StatusNotFound {
				t.Fatalf("status %d", status)
			}
			if _, err := os.Stat(path); !os.IsNotExist(err) {
				t.Errorf("the damaged file is still there: %v", err)
			}
			missing, err := r.client(t).References(t.Context(), []store.Reference{{Digest: digestOf(content)}})
			if err != nil || len(missing) != 1 {
				t.Fatalf("missing %v, %v", missing, err)
			}
			if err := r.client(t).Put(t.Context(), digestOf(content), "", content); err != nil {
				t.Fatal(err)
			}
			if status, _, body := fetch(t, http.MethodGet, url, nil); status != http.StatusOK || !bytes.Equal(body, content) {
				t.Errorf("status %d, %d bytes", status, len(body))
			}
		})
	}
}

// Whoever takes nothing is cut off, and holds up nobody meanwhile. The clock of the connection is the system's, so the
// bound is set on the handler's own.
func TestSlowReaderIsCutOff(t *testing.T) {
	r := start(t, nil)
	content := plugin(strings.Repeat("x", 16<<20))
	if err := r.client(t).Put(t.Context(), digestOf(content), "", content); err != nil {
		t.Fatal(err)
	}
	ended := make(chan int64, 1)
	server := &http.Server{ReadHeaderTimeout: headerTimeout, Handler: http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		watched := watch(w)
		watched.patience.until = time.Now().Add(100 * time.Millisecond)
		ref, _ := store.ParsePath(request.URL.Path)
		reader, err := r.find(request.Context(), request.Context(), ref)
		if err != nil {
			t.Error(err)
		}
		defer reader.Close()
		serve(watched, request, ref, reader)
		ended <- watched.sent
	})}
	listener := listen(t)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Close() })
	connection, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	fmt.Fprintf(connection, "GET %s HTTP/1.1\r\nHost: store\r\n\r\n", store.Path(digestOf(content), ""))
	if status, _, body := fetch(t, http.MethodGet, r.modules+store.Path(digestOf(content), ""), nil); status != http.StatusOK || len(body) != len(content) {
		t.Errorf("another proxy got status %d, %d bytes", status, len(body))
	}
	select {
	case sent := <-ended:
		if sent >= int64(len(content)) {
			t.Errorf("%d bytes were sent to somebody who took none", sent)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the reader still holds the handler")
	}
	rest, _ := io.ReadAll(connection)
	if len(rest) >= len(content) {
		t.Error("the whole module arrived")
	}
}

// Whoever sends nothing is told so, and leaves nothing.
func TestSlowSenderIsCutOff(t *testing.T) {
	r := start(t, nil)
	status := make(chan int, 1)
	server := &http.Server{ReadHeaderTimeout: headerTimeout, Handler: http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		patience := newPatience(w)
		patience.until = time.Now().Add(50 * time.Millisecond)
		_, err := r.storage.put(request.Context(), moduleKey(store.Reference{Digest: digestOf(nil)}), hexOf(digestOf(nil)), upload{request.Body, patience})
		status <- refusalOf(err).code
	})}
	listener := listen(t)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Close() })
	connection, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	fmt.Fprint(connection, "PUT / HTTP/1.1\r\nHost: store\r\nContent-Length: 1000\r\n\r\nabc")
	select {
	case code := <-status:
		if code != http.StatusRequestTimeout {
			t.Errorf("status %d", code)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the sender still holds the handler")
	}
	if stored, err := r.storage.list(t.Context(), ""); err != nil || len(stored) != 0 {
		t.Errorf("something is stored: %v, %v", stored, err)
	}
}

func TestProbes(t *testing.T) {
	r := start(t, nil)
	r.awaitReady(t)
	if status, _, _ := fetch(t, http.MethodGet, r.modules+"/healthz", nil); status != http.StatusOK {
		t.Errorf("healthz: %d", status)
	}
	r.setReady(false)
	if status, _, _ := fetch(t, http.MethodGet, r.modules+"/readyz", nil); status != http.StatusServiceUnavailable {
		t.Errorf("readyz: %d", status)
	}
}
