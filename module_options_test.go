// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"math"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/solarmesh/wasmplugin-operator/internal/module"
)

func modulesFlags(t *testing.T, args ...string) moduleOptions {
	t.Helper()
	output := &bytes.Buffer{}
	options, err := parseFlags("op", args, output)
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return options.modules
}

// TestModuleDefaults are the safe ones.
func TestModuleDefaults(t *testing.T) {
	options := modulesFlags(t)
	if !options.resolve || !options.dryStart || options.interval != 10*time.Minute || options.storeURL != "" || options.requireDigest || options.requireSigned {
		t.Errorf("%+v", options)
	}
	fetching, err := options.fetching(t.Context(), &rest.Config{Host: "https://192.0.2.7:6443"})
	if err != nil {
		t.Fatal(err)
	}
	if fetching.AllowLoopback || fetching.ProxyFromEnvironment || fetching.Insecure != nil || fetching.RootCAs != nil || fetching.BlockPrivate {
		t.Errorf("%+v", fetching)
	}
	if !filepath.IsAbs(options.cacheDir) || !strings.HasSuffix(options.cacheDir, "wasmplugin-operator-modules") {
		t.Errorf("the cache is in %s", options.cacheDir)
	}
}

func TestModuleFlags(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	authority := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	options := modulesFlags(t, "--module-ca-file", authority, "--insecure-registries", " a.example.com:5000, ,b.example.com,", "--block-private-addresses",
		"--allow-loopback-addresses", "--proxy-from-environment", "--require-digest", "--require-signature", "--dry-start=false", "--module-resolve-interval", "30s",
		"--store-url", "http://store.example.com/", "--store-upload-url", "https://store.example.com:8443", "--store-token-file", "token")
	if options.storeURL != "http://store.example.com" || !options.requireDigest || !options.requireSigned || options.dryStart || options.interval != 30*time.Second {
		t.Errorf("%+v", options)
	}
	fetching, err := options.fetching(t.Context(), &rest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if !fetching.BlockPrivate || !fetching.AllowLoopback || !fetching.ProxyFromEnvironment || !slices.Equal(fetching.Insecure, []string{"a.example.com:5000", "b.example.com"}) {
		t.Errorf("%+v", fetching)
	}
	if _, err := server.Certificate().Verify(x509.VerifyOptions{Roots: fetching.RootCAs}); err != nil {
		t.Errorf("the authority isn't trusted: %v", err)
	}
}

// TestModuleFiles that are missing, or are something else, keep the operator from starting.
func TestModuleFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"--module-ca-file":                    {"--module-ca-file", file + "-missing"},
		"--module-ca-file: the CA file holds": {"--module-ca-file", file},
		"--signature-trust-root":              {"--signature-trust-root", file + "-missing", "--dry-start=false", "--module-cache-dir", t.TempDir()},
		"--module-cache-dir":                  {"--module-cache-dir", filepath.Join(file, "below")},
		"set up the store":                    {"--dry-start=false", "--module-cache-dir", t.TempDir(), "--store-url", "http://store", "--store-upload-url", "http://store", "--store-token-file", file},
	} {
		options := modulesFlags(t, args...)
		if _, err := options.modules(t.Context(), nil, &rest.Config{}); err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v: %v", args, err)
		}
	}
	options := modulesFlags(t, "--resolve-modules=false", "--module-ca-file", file)
	if modules, err := options.modules(t.Context(), nil, &rest.Config{}); modules != nil || err != nil {
		t.Errorf("--resolve-modules=false: %v, %v", modules, err)
	}
}

// TestBlocked: modules are fetched neither from the API server nor from the operator itself.
func TestBlocked(t *testing.T) {
	for _, host := range []string{"https://192.0.2.7:6443", "192.0.2.7:6443", "192.0.2.7", "https://[2001:db8::7]"} {
		got := blocked(t.Context(), &rest.Config{Host: host}, false)
		want := netip.MustParsePrefix("192.0.2.7/32")
		if strings.Contains(host, "db8") {
			want = netip.MustParsePrefix("2001:db8::7/128")
		}
		if !slices.Contains(got, want) {
			t.Errorf("%s: %v", host, got)
		}
		if !slices.Contains(got, netip.MustParsePrefix("127.0.0.1/32")) {
			t.Errorf("%s: not its own address: %v", host, got)
		}
	}
	for _, prefix := range blocked(t.Context(), &rest.Config{Host: "https://127.0.0.1:6443"}, true) {
		if prefix.Addr().IsLoopback() {
			t.Errorf("%s is blocked though loopback is allowed", prefix)
		}
	}
}

// TestLimits: all fetches together stay within half of the memory that the process has.
func TestLimits(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	for memory, want := range map[int64]module.Limits{
		math.MaxInt64: {},
		1 << 30:       {InFlight: 512 << 20, Module: 252 << 20},
		230 << 20:     {InFlight: 115 << 20, Module: 115<<19 - 4<<20},
		8 << 30:       {InFlight: 4 << 30, Module: 256 << 20},
		1 << 20:       {InFlight: 512 << 10, Module: 4 << 20},
	} {
		debug.SetMemoryLimit(memory)
		if got := limits(); got != want {
			t.Errorf("of %d: %+v, want %+v", memory, got, want)
		}
	}
}
