// SPDX-License-Identifier: Apache-2.0

package module

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/solarmesh/wasmplugin-operator/internal/proxywasm"
)

// moduleVersion follows the magic of a core module.
var moduleVersion = []byte{1, 0, 0, 0}

// secret is what no message may hold: servers send it in bodies, and it stands in queries and credentials.
const secret = "hunter2-is-nobodys-business"

// plugin is a small module as Envoy loads it; what is said here replaces its imports or exports.
type plugin struct {
	imports []string // module.name
	exports []string
}

func vector(items ...[]byte) []byte {
	return append(number(len(items)), bytes.Join(items, nil)...)
}

func text(s string) []byte {
	return append(number(len(s)), s...)
}

func number(n int) []byte {
	var encoded []byte
	for ; n >= 0x80; n >>= 7 {
		encoded = append(encoded, byte(n)|0x80)
	}
	return append(encoded, byte(n&0x7f))
}

func section(id byte, content []byte) []byte {
	return append(append([]byte{id}, number(len(content))...), content...)
}

// bytes encodes a module with one function, of no parameters and results, under all its exported names.
func (p plugin) bytes() []byte {
	if p.imports == nil {
		p.imports = []string{"env.proxy_log", "wasi_snapshot_preview1.fd_write"}
	}
	if p.exports == nil {
		p.exports = []string{"proxy_abi_version_0_2_1", "malloc"}
	}
	var imports, exports [][]byte
	for _, name := range p.imports {
		from, name, _ := strings.Cut(name, ".")
		imports = append(imports, append(append(text(from), text(name)...), proxywasm.KindFunction, 0))
	}
	for _, name := range p.exports {
		exports = append(exports, append(append(text(name), proxywasm.KindFunction), number(len(imports))...))
	}
	return bytes.Join([][]byte{
		[]byte(proxywasm.Magic), moduleVersion,
		section(1, vector([]byte{0x60, 0, 0})),
		section(proxywasm.SectionImport, vector(imports...)),
		section(3, vector([]byte{0})),
		section(proxywasm.SectionExport, vector(exports...)),
		section(10, vector([]byte{2, 0, 0x0b})),
	}, nil)
}

// ofSize is a module that a custom section brings to about a size.
func ofSize(size int) []byte {
	return append(plugin{}.bytes(), section(0, append(text("padding"), make([]byte, size)...))...)
}

func zipped(content []byte) []byte {
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	must(writer.Write(content))
	check(writer.Close())
	return packed.Bytes()
}

func file(name string, content []byte) *tarEntry {
	return &tarEntry{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content))}, content}
}

type tarEntry struct {
	header  tar.Header
	content []byte
}

func tarred(entries ...*tarEntry) []byte {
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	for _, entry := range entries {
		check(writer.WriteHeader(&entry.header))
		must(writer.Write(entry.content))
	}
	// Not closed where an entry is shorter than its header says: that is the case's point.
	_ = writer.Close()
	return archive.Bytes()
}

// must is for what can't fail in memory.
func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// server serves over TLS until the test ends.
func server(t *testing.T, handler http.Handler) *httptest.Server {
	t.Helper()
	served := httptest.NewUnstartedServer(handler)
	served.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that distrust it are the point of some tests
	served.StartTLS()
	t.Cleanup(func() {
		served.CloseClientConnections()
		served.Close()
	})
	return served
}

// serving answers every request with some bytes.
func serving(content []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) })
}

// status answers every request with a status, and with a secret in its body.
func status(code int, header ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, "<html>"+secret+"</html>")
	})
}

// trusting are options for servers of tests: at loopback addresses, with their own authority.
func trusting(servers ...*httptest.Server) Options {
	pool := x509.NewCertPool()
	for _, served := range servers {
		pool.AddCert(served.Certificate())
	}
	return Options{RootCAs: pool, AllowLoopback: true, Timeout: 20 * time.Second}
}

func newFetcher(t *testing.T, options Options) *Fetcher {
	t.Helper()
	fetcher := New(options)
	t.Cleanup(fetcher.Close)
	return fetcher
}

func parse(t *testing.T, rawURL string) Reference {
	t.Helper()
	ref, err := Parse(rawURL, "")
	if err != nil {
		t.Fatalf("Parse(%q): %v", rawURL, err)
	}
	return ref
}

// host is a server's host and port.
func host(served *httptest.Server) string {
	return must(url.Parse(served.URL)).Host
}

// wantKind fails unless an error is of a kind, and free of secrets.
func wantKind(t *testing.T, err error, want Kind) {
	t.Helper()
	if KindOf(err) != want {
		t.Errorf("kind %q of error %v, want %q", KindOf(err), err, want)
	}
	if err != nil && strings.Contains(err.Error(), secret) {
		t.Errorf("the message repeats a secret: %v", err)
	}
}

// allocated is how many bytes a function allocates altogether: no less than its peak of memory.
func allocated(work func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	work()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func pemOf(served *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: served.Certificate().Raw})
}

// eventually waits for a condition.
func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(20 * time.Second)
	for !condition() {
		select {
		case <-deadline:
			t.Fatal("waited in vain")
		case <-ticker.C:
		}
	}
}
