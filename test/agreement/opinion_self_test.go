// SPDX-License-Identifier: Apache-2.0

package agreement

import (
	"net/http"
	"strings"
	"testing"

	"github.com/solarmesh/wasmplugin-operator/internal/drystart"
)

// TestDifferences: what the two sides do not agree on is found.
func TestDifferences(t *testing.T) {
	const (
		hello  = "[info][wasm] wasm log agreement id: hello\n"
		cannot = "[error][wasm] Wasm VM failed Failed to configure base Wasm plugin\n"
		dead   = "[error][wasm] Function: proxy_on_context_create failed: Uncaught RuntimeError: unreachable\n"
	)
	accepted := drystart.Verdict{Outcome: drystart.Accepted, Logs: []string{"debug: so be it", "info: hello"}}
	declined := drystart.Verdict{Outcome: drystart.Refused, Reason: "the plugin refuses (proxy_on_configure returned false)"}
	failed := drystart.Verdict{Outcome: drystart.Refused, Reason: "proxy_on_context_create fails: unreachable"}
	for _, row := range []struct {
		name    string
		verdict drystart.Verdict
		found   found
		want    string
	}{
		{"the same words from each VM", accepted, found{end: taken, log: hello + hello, status: http.StatusOK}, ""},
		{"another word", accepted, found{end: taken, log: strings.ReplaceAll(hello, "hello", "hallo")}, "the plugin said"},
		{"another level", accepted, found{end: taken, log: strings.ReplaceAll(hello, "info", "error")}, "the plugin said"},
		{"a word too many", declined, found{end: refused, log: hello + cannot}, "the plugin said"},
		{"refused here only", declined, found{end: taken}, "Envoy: accepted"},
		{"refused there only", accepted, found{end: refused, log: hello + cannot}, "the dry start: accepted"},
		{"the same reason", declined, found{end: refused, log: cannot}, ""},
		{"another reason", failed, found{end: refused, log: cannot}, "Envoy: refused: proxy_on_configure says no"},
		{"an end of Envoy", declined, found{end: crashed, log: "[critical][backtrace] Caught Segmentation fault"}, "Envoy: refused: takes Envoy down"},
		{"taken but failed", failed, found{end: taken, log: dead, status: http.StatusServiceUnavailable}, ""},
		{"failed but open", failed, found{end: taken, log: dead, status: http.StatusOK}, "lets a request pass"},
		{"what only a proxy can tell", drystart.Verdict{Outcome: drystart.Inconclusive, Call: "a call"}, found{end: refused, log: cannot}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := strings.Join(differences(ofDryStart(row.verdict), ofEnvoy(row.found), row.found), "; ")
			if (row.want == "") != (got == "") || !strings.Contains(got, row.want) {
				t.Errorf("differences are %q, want %q", got, row.want)
			}
		})
	}
}
