// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startModules starts a module server that is stopped with the test; a second Stop is harmless.
func startModules(t *testing.T) *ModuleServer {
	t.Helper()
	server, err := StartModuleServer()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	return server
}

func TestModuleServer(t *testing.T) {
	server := startModules(t)
	file := filepath.Join(t.TempDir(), "filter.wasm")
	if err := os.WriteFile(file, []byte("from file"), 0o600); err != nil {
		t.Fatal(err)
	}
	server.Serve("/a.wasm", []byte("content"))
	if err := server.ServeFile("/b.wasm", file); err != nil {
		t.Fatal(err)
	}
	expect := func(path string, status int, body string) {
		t.Helper()
		answer, err := Probe{URL: server.URL(path)}.Do(t.Context())
		if err != nil || answer.Status != status || (status == http.StatusOK && answer.Body != body) {
			t.Errorf("%s: %v, %v; want status %d, body %q", path, answer, err, status, body)
		}
	}
	expect("/a.wasm", http.StatusOK, "content")
	expect("/b.wasm", http.StatusOK, "from file")
	expect("/c.wasm", http.StatusNotFound, "")
	server.Answer("/a.wasm", http.StatusServiceUnavailable)
	expect("/a.wasm", http.StatusServiceUnavailable, "")
	server.Answer("/a.wasm", 0)
	expect("/a.wasm", http.StatusOK, "content")
	for path, want := range map[string]int{"/a.wasm": 3, "/b.wasm": 1, "/c.wasm": 1, "/d.wasm": 0} {
		if got := server.Requests(path); got != want {
			t.Errorf("%s: %d requests counted, want %d", path, got, want)
		}
	}
	if err := server.ServeFile("/e.wasm", file+".missing"); err == nil {
		t.Error("a missing file was served")
	}
	if err := server.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := (Probe{URL: server.URL("/a.wasm")}).Do(t.Context()); err == nil {
		t.Error("the stopped server answers")
	}
}

func TestProbe(t *testing.T) {
	server := startModules(t)
	probe := Probe{URL: server.URL("/late"), User: "ok:test", Host: "example.com"}

	// The content appears after the probe has seen two answers without it.
	go func() {
		_ = Until(t.Context(), func(context.Context) error {
			if server.Requests("/late") < 2 {
				return context.Canceled
			}
			server.Serve("/late", []byte("here"))
			return nil
		})
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	answer, err := probe.Until(ctx, Status(200), Body("her"), Header("Content-Type", "application/wasm"))
	if err != nil || answer.Body != "here" || server.Requests("/late") < 3 {
		t.Errorf("%v, %v after %d requests", answer, err, server.Requests("/late"))
	}

	ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = probe.Until(ctx, Status(401))
	wantError(t, err, "GET "+probe.URL, "gave up", "deadline exceeded", "expected status 401", "status 200", `body "here"`)
	for _, expect := range []Expect{Status(404), Body("there"), Header("Content-Type", "")} {
		if expect(answer) == nil {
			t.Errorf("%v passed a check it should not pass", answer)
		}
	}
}

func TestInstallTellsOfAnUnknownPart(t *testing.T) {
	var progress strings.Builder
	_, err := Install(t.Context(), &progress, "windows")
	wantError(t, err, "could not install [windows]", "exit status 2")
	if !strings.Contains(progress.String(), "unknown part 'windows'") {
		t.Errorf("the script's own words are missing: %q", progress.String())
	}
}
