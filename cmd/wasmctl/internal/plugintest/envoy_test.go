// SPDX-License-Identifier: Apache-2.0

package plugintest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/solarmesh/wasmplugin-operator/internal/httpcase"
)

// TestServer sends a request to the server that stands behind Envoy.
func TestServer(t *testing.T) {
	server, err := startServer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer server.close()
	answer := httpcase.Message{Status: 404, Headers: []httpcase.Header{{Name: "x-b", Value: "1"}, {Name: "x-b", Value: "2"}}, Body: "no"}
	server.expect(answer)
	request := httpcase.Message{
		Method: "PUT", Target: "/a//b%2f?c", Body: "text",
		Headers: []httpcase.Header{{Name: "host", Value: "shop"}, {Name: "x-a", Value: "1"}, {Name: "x-a", Value: "2"}},
	}
	got, err := send(t.Context(), server.listener.Addr().String(), request)
	if err != nil {
		t.Fatal(err)
	}
	want := answer
	want.Headers = append([]httpcase.Header{{Name: "content-length", Value: "2"}}, answer.Headers...)
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Errorf("the answer (-want +got):\n%s", diff)
	}
	reached := server.got()
	request.Headers = []httpcase.Header{
		{Name: "host", Value: "shop"},
		{Name: "connection", Value: "close"},
		{Name: "content-length", Value: "4"},
		{Name: "x-a", Value: "1"},
		{Name: "x-a", Value: "2"},
	}
	if reached != nil && len(reached.Headers) == len(request.Headers)+1 {
		reached.Headers = reached.Headers[:len(request.Headers)]
	}
	if diff := cmp.Diff(&request, reached); diff != "" {
		t.Errorf("the request (-want +got):\n%s", diff)
	}
	server.expect(answer)
	if server.got() != nil {
		t.Error("the request of the case before is left")
	}
}

// TestEnvoyThatIsNone: a program that ends by itself, or never gets ready, is no refusal of the plugin.
func TestEnvoyThatIsNone(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "envoy")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho '[error][main] unknown field' >&2\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := new(plugin).startEnvoy(t.Context(), program, dir, "{}", 1)
	if err == nil || !strings.Contains(err.Error(), "ends by itself; it says: [error][main] unknown field") {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexec sleep 1000\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := new(plugin).startEnvoy(ctx, program, dir, "{}", 1); err == nil || !strings.Contains(err.Error(), "does not get ready") {
		t.Errorf("got %v", err)
	}
}

const envoysLog = `[warning][main] not of interest
[critical][wasm] wasm log basic-auth: basic-auth does not start: basic_auth_rules must be a list.
[error][wasm] Failed to configure base Wasm plugin
[critical][main] error initializing config: Unable to create Wasm plugin basic-auth
more of it
[info][wasm] wasm log basic-auth my_root vm: two
lines
[warning][wasm] wasm log: careful
`

func TestLogs(t *testing.T) {
	wantLines := []string{
		"critical: basic-auth does not start: basic_auth_rules must be a list.", "info: two\nlines", "warn: careful",
	}
	if diff := cmp.Diff(wantLines, pluginLines(envoysLog)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	want := "Failed to configure base Wasm plugin | error initializing config: Unable to create Wasm plugin basic-auth | " +
		strings.Join(wantLines, " | ")
	if diff := cmp.Diff(want, refusalOf(envoysLog)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := refusalOf("[error][main] address already in use\n[error][wasm] wasm log a: Failed to start Wasm\n"); got != "" {
		t.Errorf("taken for a refusal: %s", got)
	}
	trapped := "[error][wasm] Function: proxy_on_request_headers failed: Uncaught RuntimeError: unreachable\nProxy-Wasm plugin in-VM backtrace:\n"
	if got := trapOf(trapped); got != "proxy_on_request_headers fails: Uncaught RuntimeError: unreachable" {
		t.Errorf("got %q", got)
	}
	if got := trapOf(envoysLog); got != "" {
		t.Errorf("got %q", got)
	}
	if got := bounded(make([]string, 1000)); len(got) != 61 || got[30] != "(940 lines left out)" {
		t.Errorf("%d lines, %q", len(got), got[30])
	}
}

func TestTranscript(t *testing.T) {
	var said transcript
	for range 3 {
		if n, err := said.Write(make([]byte, mostLog/2)); n != mostLog/2 || err != nil {
			t.Fatal(n, err)
		}
	}
	if said.len() != mostLog || len(said.from(mostLog-1)) != 1 || said.from(mostLog+1) != "" {
		t.Errorf("keeps %d bytes", said.len())
	}
}
