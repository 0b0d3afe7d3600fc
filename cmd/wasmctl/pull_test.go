// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/offline"
)

// TestPull: a file is written whole or not at all.
func TestPull(t *testing.T) {
	s := newServers(t)
	folder := t.TempDir()
	file := filepath.Join(folder, "a.wasm")
	if err := os.WriteFile(file, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args []string
		want string
		code int
	}{
		"another digest": {[]string{s.image(), "--sha256", strings.Repeat("0", 64)}, "the digest of the image's manifest", cli.ExitRefused},
		"a page":         {[]string{s.web.URL + "/page.wasm"}, "sends a web page", cli.ExitRefused},
		"busy":           {[]string{s.web.URL + "/busy.wasm"}, "status 503", cli.ExitFailed},
		"no folder":      {[]string{s.image(), "-f", filepath.Join(folder, "no", "a.wasm")}, "can't be written", cli.ExitFailed},
		"a folder":       {[]string{s.image(), "-f", folder}, "no regular file", cli.ExitFailed},
		"the store":      {[]string{"store://a:1"}, "operator's own store", cli.ExitRefused},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"pull", "-f", file}, s.trusting()...)
			if got := call(t, nil, append(args, test.args...)...); got.code != test.code || !strings.Contains(got.errOut, test.want) || got.out != "" {
				t.Errorf("got %s", got)
			}
			if read(t, file) != "before" {
				t.Error("the file was changed")
			}
		})
	}
	if got := call(t, nil, append([]string{"pull", s.image(), "-f", file}, s.trusting()...)...); got.code != cli.ExitGood || read(t, file) != string(s.content) {
		t.Error(got)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 1 {
		t.Errorf("there is more left: %v, %v", left, err)
	}
}

// TestInspectFile: a file is told to be what it is.
func TestInspectFile(t *testing.T) {
	content, err := helloWorld()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		file     string
		language string
	}{
		"described": {describedModule(t, described), "go, as its runtime-config.json says"},
		"built":     {writeFile(t, "filter.wasm", content), "Go, as its compiler noted"},
	} {
		t.Run(name, func(t *testing.T) {
			got := call(t, nil, "inspect", test.file, "-o", "json")
			var found offline.Inspected
			if err := json.Unmarshal([]byte(got.out), &found); err != nil || got.code != cli.ExitGood || found.Language+", "+found.Basis != test.language || len(found.Imports) < 10 || found.Imports[0] != "env.proxy_log" {
				t.Errorf("%v: %s", err, got)
			}
			if got := call(t, nil, "inspect", test.file); !strings.Contains(got.out, test.language) {
				t.Error(got)
			}
		})
	}
	for name, test := range map[string]struct {
		args []string
		want string
		code int
	}{
		"a page":   {[]string{writeFile(t, "a.wasm", []byte("<html>"))}, "is not a WebAssembly module", cli.ExitRefused},
		"absent":   {[]string{"./absent.wasm"}, "there is no file ./absent.wasm", cli.ExitFailed},
		"a digest": {[]string{writeFile(t, "a.wasm", content), "--sha256", strings.Repeat("0", 64)}, "the module's digest is", cli.ExitRefused},
		"a key":    {[]string{writeFile(t, "a.wasm", content), "--key", "cosign.pub"}, "no signatures beside it", cli.ExitFailed},
	} {
		t.Run(name, func(t *testing.T) {
			if got := call(t, nil, append([]string{"inspect"}, test.args...)...); got.code != test.code || !strings.Contains(got.errOut, test.want) || got.out != "" {
				t.Error(got)
			}
		})
	}
}

// TestValidateSchema: a carried schema is held against the rules without a start, and with one.
func TestValidateSchema(t *testing.T) {
	good, broken := read(t, describedModule(t, described)), read(t, describedModule(t, `{"rulesSchema": 1}`))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, map[string]string{"/good": good, "/broken": broken}[r.URL.Path])
	}))
	defer server.Close()
	for name, test := range map[string]struct {
		input, want string
		code        int
	}{
		"good":           {withSpec(server.URL+"/good", "rules: {header: a}"), "shop/auth: ok", cli.ExitGood},
		"bad":            {withSpec(server.URL+"/good", "rules: {header: 1, hedaer: a}"), "refused (RulesRejected): spec.rules: they do not fit the schema that the module carries: spec.rules.header is a number, must be a string; spec.rules.hedaer is not known to the schema", cli.ExitRefused},
		"a bad override": {withSpec(server.URL+"/good", "overrides: [{match: {hosts: [a.example.com]}, rules: {header: 1}}]"), "spec.overrides: they do not fit the schema that the module carries: rules.header is a number", cli.ExitRefused},
		"a broken one":   {withSpec(server.URL+"/broken", "rules: {header: 1}"), "shop/auth: ok", cli.ExitGood},
	} {
		for _, how := range []string{"--fetch", "--start"} {
			t.Run(name+" "+how, func(t *testing.T) {
				got := call(t, strings.NewReader(test.input), "validate", "-f", "-", how, "--allow-loopback")
				if got.code != test.code || !strings.Contains(got.out, test.want) || (name == "a broken one") != strings.Contains(got.errOut, "could not be compared with the schema") {
					t.Errorf("got %s", got)
				}
			})
		}
	}
	// What isn't in the input may be what is missing.
	input := withSpec(server.URL+"/good", "rules: {header: 1}\n  rulesFrom: [{configMapKeyRef: {name: users, key: a.json}}]")
	if got := call(t, strings.NewReader(input), "validate", "-f", "-", "--fetch", "--allow-loopback"); got.code != cli.ExitGood || !strings.Contains(got.errOut, "what it holds was not judged") {
		t.Errorf("got %s", got)
	}
}
