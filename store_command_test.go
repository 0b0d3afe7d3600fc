// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

func TestParseStoreFlags(t *testing.T) {
	folder := t.TempDir()
	certificate := filepath.Join(folder, "tls.crt")
	options, err := parseStoreFlags([]string{
		"--bucket", "file:///var/lib/modules", "--tls-cert-file", certificate, "--tls-key-file", "tls.key",
		"--peers", "store-peers.example:8443", "--token-file", "token", "--grace", "30h", "--quota", "1Gi", "--max-module-size", "64Mi",
	}, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if options.quota != 1<<30 || options.maxModule != 64<<20 || options.grace != 30*time.Hour || options.metricsAddress != "0" || options.durable {
		t.Errorf("%+v", options)
	}
	if options.authority() != "" {
		t.Errorf("an authority that isn't there: %s", options.authority())
	}
	beside := filepath.Join(folder, "ca.crt")
	if err := os.WriteFile(beside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if options.authority() != beside {
		t.Errorf("authority %q, want %q", options.authority(), beside)
	}
}

func TestParseStoreFlagsRefuses(t *testing.T) {
	good := []string{"--bucket", "file:///var/lib/modules", "--tls-cert-file", "tls.crt", "--tls-key-file", "tls.key"}
	tests := map[string]struct {
		args []string
		says string
	}{
		"nothing":                {nil, "--bucket is required"},
		"no certificate":         {good[:2], "--tls-cert-file and --tls-key-file are required"},
		"no key":                 {good[:4], "--tls-key-file"},
		"an argument":            {append(good[:6:6], "modules"), `unknown argument "modules"`},
		"peers without a token":  {append(good[:6:6], "--peers", "a:1"), "--token-file"},
		"durable with peers":     {append(good[:6:6], "--peers", "a:1", "--token-file", "t", "--durable"), "exclude each other"},
		"a short grace":          {append(good[:6:6], "--grace", "23h"), "24h0m0s or more"},
		"a quota that is none":   {append(good[:6:6], "--quota", "much"), "number of bytes"},
		"modules without a size": {append(good[:6:6], "--max-module-size", "0"), "number of bytes"},
		"an unknown flag":        {append(good[:6:6], "--buckets", "a"), "not defined"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var said bytes.Buffer
			err := runStore(t.Context(), test.args, &said)
			if !errors.Is(err, errUsage) || !strings.Contains(said.String(), test.says) {
				t.Errorf("%v, %q; want %q", err, said.String(), test.says)
			}
		})
	}
	if err := runStore(t.Context(), []string{"--help"}, &bytes.Buffer{}); !errors.Is(err, flag.ErrHelp) || errors.Is(err, errUsage) {
		t.Errorf("--help: %v", err)
	}
}

// The whole command: a cluster that is asked, a folder, both ports, and a certificate that is renewed.
func TestStoreCommand(t *testing.T) {
	t.Setenv("KUBECONFIG", kubeconfig(t, agreeing(t)))
	folder := t.TempDir()
	writeCertificate(t, folder, 1)
	modules, uploads := freeAddress(t), freeAddress(t)
	options, err := parseStoreFlags([]string{
		"--bucket", "file://" + folder + "/modules", "--modules-bind-address", modules, "--upload-bind-address", uploads,
		"--tls-cert-file", folder + "/tls.crt", "--tls-key-file", folder + "/tls.key", "--drain", "0s",
	}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- keepStore(ctx, options, prometheus.NewRegistry()) }()
	awaitOK(t, "http://"+modules+"/readyz")

	client, err := store.NewClient(store.ClientOptions{URL: "https://" + uploads, CAFile: folder + "/ca.crt", Token: "a-token"})
	if err != nil {
		t.Fatal(err)
	}
	content := []byte("a module")
	sum := sha256.Sum256(content)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	if err := client.Put(t.Context(), digest, "", content); err != nil {
		t.Fatal(err)
	}
	awaitOK(t, "http://"+modules+store.Path(digest, ""))
	// The client reads the authority again, and the store its certificate: neither is started anew.
	writeCertificate(t, folder, 2)
	await(t, "the renewed certificate", func() bool {
		client.CloseIdleConnections()
		_, err := client.Get(t.Context(), digest, "")
		return err == nil
	})
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("the store ended with %v", err)
	}
}

// agreeing is an API server that knows every token and allows everything.
func agreeing(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		answer := map[string]any{"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "status": map[string]any{"allowed": true}}
		if strings.HasSuffix(request.URL.Path, "/tokenreviews") {
			answer = map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": map[string]any{
				"authenticated": true, "audiences": []string{store.Audience}, "user": map[string]any{"username": "manager"},
			}}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func kubeconfig(t *testing.T, server string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	content := fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: a, clusters: [{name: a, cluster: {server: %q}}],
contexts: [{name: a, context: {cluster: a, user: a}}], users: [{name: a, user: {}}]}`, server)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func writeCertificate(t *testing.T, folder string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
	for name, content := range map[string][]byte{"tls.crt": public, "ca.crt": public, "tls.key": private} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func awaitOK(t *testing.T, url string) {
	t.Helper()
	await(t, url, func() bool {
		response, err := http.Get(url)
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); <-tick.C {
		if done() {
			return
		}
	}
	t.Fatalf("waited in vain for %s", what)
}
