// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

// secret is the token of the tests. No log and no answer may hold it.
const secret = "hunter2-is-nobodys-business"

// anybody lets the bearer of the tests' token do everything.
type anybody struct{}

func (anybody) Check(_ context.Context, token string, _ Right) error {
	if token != secret {
		return errUnauthenticated
	}
	return nil
}

// replica is a store of its own, with real listeners.
type replica struct {
	*Server

	folder  string
	modules string // http://HOST:PORT
	uploads string // HOST:PORT
	logs    *journal
	stop    func()
}

// journal is what a replica logs.
type journal struct {
	mutex sync.Mutex
	lines strings.Builder
}

func (j *journal) logger() logr.Logger {
	return funcr.New(func(_, args string) {
		j.mutex.Lock()
		defer j.mutex.Unlock()
		j.lines.WriteString(args + "\n")
	}, funcr.Options{Verbosity: 9})
}

func (j *journal) String() string {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return j.lines.String()
}

// start starts a store whose options a test may change. It ends with the test.
func start(t *testing.T, change func(*Options)) *replica {
	t.Helper()
	r := &replica{logs: &journal{}}
	options := Options{
		Access: anybody{}, Registry: prometheus.NewRegistry(), Log: r.logs.logger(),
		PeerClient: store.ClientOptions{Token: secret, CAFile: authority(t).file, Timeout: 10 * time.Second},
	}
	if change != nil {
		change(&options)
	}
	if options.Bucket == "" {
		options.Bucket = "file://" + t.TempDir()
	}
	r.folder = strings.TrimPrefix(options.Bucket, "file://")
	var err error
	if r.Server, err = New(t.Context(), options); err != nil {
		t.Fatal(err)
	}
	r.retry = 10 * time.Millisecond
	modules, uploads := listen(t), listen(t)
	r.modules, r.uploads = "http://"+modules.Addr().String(), uploads.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- r.Serve(ctx, Listeners{Modules: modules, Uploads: uploads, Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return &authority(t).certificate, nil
		}})
	}()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the store ended with %v", err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

func loopback() (net.Listener, error) {
	return net.Listen("tcp", "127.0.0.1:0")
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := loopback()
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// client speaks to the upload port.
func (r *replica) client(t *testing.T) *store.Client {
	t.Helper()
	client, err := store.NewClient(store.ClientOptions{URL: "https://" + r.uploads, Token: secret, CAFile: authority(t).file})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

func (r *replica) awaitReady(t *testing.T) {
	t.Helper()
	await(t, "the store to be ready", func() bool {
		status, _, _ := fetch(t, http.MethodGet, r.modules+"/readyz", nil)
		return status == http.StatusOK
	})
}

// await polls: what is waited for happens in other goroutines.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-tick.C {
		if done() {
			return
		}
	}
	t.Fatalf("waited in vain for %s", what)
}

// fetch asks as a proxy does.
func fetch(t *testing.T, method, url string, header http.Header) (status int, got http.Header, body []byte) {
	t.Helper()
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(request.Header, header)
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err = io.ReadAll(response.Body); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, body
}

// plugin is a small module that Envoy could load; each text makes another one.
func plugin(text string) []byte {
	exports := []byte{2}
	for _, name := range []string{"proxy_abi_version_0_2_1", "malloc"} {
		exports = binary.AppendUvarint(exports, uint64(len(name)))
		exports = append(append(exports, name...), 0, 0)
	}
	custom := append([]byte{1, 'x'}, text...)
	return slices.Concat([]byte("\x00asm\x01\x00\x00\x00"), section(7, exports), section(0, custom))
}

func section(id byte, content []byte) []byte {
	return append(binary.AppendUvarint([]byte{id}, uint64(len(content))), content...)
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return digestPrefix + hex.EncodeToString(sum[:])
}

// pki is a certificate authority, and a certificate for what listens here.
type pki struct {
	file        string
	certificate tls.Certificate
}

var authorityOnce = sync.OnceValues(makeAuthority)

func authority(t *testing.T) *pki {
	t.Helper()
	made, err := authorityOnce()
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func makeAuthority() (*pki, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "store"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"store-peers.example"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	encoded, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "store-pki-")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(folder, "ca.crt")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: encoded})
	return &pki{file: file, certificate: tls.Certificate{Certificate: [][]byte{encoded}, PrivateKey: key}}, os.WriteFile(file, block, 0o600)
}

func TestMain(m *testing.M) {
	if folder := os.Getenv(childFolder); folder != "" {
		if err := child(folder); err != nil {
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	if made, err := authorityOnce(); err == nil {
		_ = os.RemoveAll(filepath.Dir(made.file))
	}
	os.Exit(code)
}
