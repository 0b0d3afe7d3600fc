// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
)

// withSpec is a WasmPlugin for basic-auth.
func withSpec(url, spec string) string {
	return fmt.Sprintf("apiVersion: wasm.solarmesh.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: auth, namespace: shop}\n"+
		"spec:\n  url: %s\n  selector: {matchLabels: {app: shop}}\n  %s\n", url, spec)
}

func TestValidateStarts(t *testing.T) {
	content, err := basicAuth()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) }))
	defer server.Close()
	const good = `rules: {basic_auth_rules: [{prefix: /, request_methods: [GET], credentials: ["ok:test"]}]}`
	secret := "apiVersion: v1\nkind: Secret\nmetadata: {name: users, namespace: shop, labels: {wasm.solarmesh.io/rules: allowed}}\n" +
		`stringData: {a.json: '{"basic_auth_rules":[{"prefix":"/","credentials":["` + password + `"]}]}'}` + "\n---\n"
	tests := map[string]struct {
		input string
		want  string
		code  int
	}{
		"good rules": {withSpec(server.URL, good), "shop/auth: ok", cli.ExitGood},
		"no rules":   {withSpec(server.URL, "priority: 1"), "refused (RulesRejected): spec.rules: ", cli.ExitRefused},
		"bad rules":  {withSpec(server.URL, `rules: {basic_auth_rules: [{prefix: 7}]}`), "refused (RulesRejected): spec.rules: ", cli.ExitRefused},
		"nothing allowed": {
			withSpec(server.URL, good+"\n  envoy: {capabilityRestriction: {allowedCapabilities: [proxy_get_buffer_bytes]}}"),
			"refused (ModuleRejected): spec.url: _initialize fails", cli.ExitRefused,
		},
		"bad override":  {withSpec(server.URL, good+"\n  overrides: [{match: {hosts: [a.example.com]}, rules: {x: 1}}]"), "refused (RulesRejected): spec.overrides: ", cli.ExitRefused},
		"absent source": {withSpec(server.URL, "rulesFrom: [{configMapKeyRef: {name: users, key: a.json}}]"), "refused (ReferenceNotFound)", cli.ExitRefused},
		"a Secret":      {secret + withSpec(server.URL, "rulesFrom: [{secretKeyRef: {name: users, key: a.json}}]"), "refused (RulesRejected)", cli.ExitRefused},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := call(t, strings.NewReader(tc.input), "validate", "-f", "-", "--start", "--allow-loopback")
			if got.code != tc.code || len(got.out) > 1500 || !strings.Contains(got.out, tc.want) || strings.Contains(got.String(), password) {
				t.Errorf("got %s, want exit %d and %q", got, tc.code, tc.want)
			}
		})
	}
}

// TestSamplesStart holds the samples of the example plugins against the plugins: rules that they refuse would stop every
// request of those who try a sample.
func TestSamplesStart(t *testing.T) {
	s := newServers(t)
	auth, err := basicAuth()
	if err != nil {
		t.Fatal(err)
	}
	modules := map[string][]byte{"/hello-world": s.content, "/basic-auth": auth}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(modules[r.URL.Path]) }))
	defer server.Close()
	paths, err := filepath.Glob("../../config/samples/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	reference := regexp.MustCompile(`(?m)^( *url: )\S*/(hello-world|basic-auth)[:@.]\S*$`)
	pinned := regexp.MustCompile(`(?m)^ *sha256: .*\n`)
	started := 0
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !reference.Match(raw) {
			continue
		}
		started++
		sample := pinned.ReplaceAllString(reference.ReplaceAllString(string(raw), "${1}"+server.URL+"/${2}"), "")
		if got := call(t, strings.NewReader(sample), "validate", "-f", "-", "--start", "--allow-loopback"); got.code != cli.ExitGood {
			t.Errorf("%s: %s", path, got)
		}
	}
	if started < 6 {
		t.Errorf("only %d samples are about the example plugins", started)
	}
}
