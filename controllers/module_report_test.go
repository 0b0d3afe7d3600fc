// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/solarmesh/wasmplugin-operator/internal/drystart"
	"github.com/solarmesh/wasmplugin-operator/internal/resolve"
	"github.com/solarmesh/wasmplugin-operator/internal/runtimeconfig"
)

// TestModuleNotes: a module whose start leaves something open is delivered, and the status says what.
func TestModuleNotes(t *testing.T) {
	carrying, err := runtimeconfig.Embed([]byte("\x00asm\x01\x00\x00\x00"), []byte(`{"rulesSchema": 1}`))
	if err != nil {
		t.Fatal(err)
	}
	const done = "The module was fetched and started on trial."
	for name, test := range map[string]struct {
		verdict drystart.Verdict
		want    []string
	}{
		"started": {drystart.Verdict{Outcome: drystart.Accepted}, []string{done}},
		"a call": {
			drystart.Verdict{Outcome: drystart.Inconclusive, Call: "proxy_http_call to the cluster rules"},
			[]string{done, "Whether the plugin starts, only a proxy can tell: proxy_http_call to the cluster rules."},
		},
		"a broken schema": {
			drystart.CheckRules(t.Context(), drystart.Request{
				Module: carrying, Plugins: []drystart.Plugin{{Name: "auth", Configuration: "{}"}},
			})[0],
			[]string{done, "The rules could not be compared with the schema that the module carries, since the schema is no JSON Schema: " +
				"rulesSchema is a number, must be a boolean or an object."},
		},
	} {
		t.Run(name, func(t *testing.T) {
			found := resolve.Module{Check: "done", Unsure: drystart.Summarize([]drystart.Verdict{test.verdict}).Unsure}
			if diff := cmp.Diff(test.want, moduleNotes(resolve.Outcome{Module: found})); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
