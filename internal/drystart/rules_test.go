// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/solarmesh/wasmplugin-operator/internal/runtimeconfig"
)

// carrying is a module that takes any rules and carries a runtime-config.json.
func carrying(t *testing.T, config string) []byte {
	t.Helper()
	module, err := runtimeconfig.Embed(wasm{}.bytes(), []byte(config))
	if err != nil {
		t.Fatal(err)
	}
	return module
}

const usersSchema = `{"name": "a", "rulesSchema": {"type": "object", "required": ["users"], "properties": {"users": {"items": {"required": ["name"],
	"properties": {"name": {}, "password": {"minLength": 20}}, "additionalProperties": false}}}}, "ofALaterRelease": 1}`

func TestRulesOfSchema(t *testing.T) {
	trapping, err := runtimeconfig.Embed(wasm{start: 1, functions: []wasmFunction{{"", ">", traps}}}.bytes(), []byte(usersSchema))
	if err != nil {
		t.Fatal(err)
	}
	const refusal = "they do not fit the schema that the module carries: "
	for name, row := range map[string]struct {
		module        []byte
		configuration string
		want          Verdict
	}{
		"good rules":       {carrying(t, usersSchema), `{"users": []}`, Verdict{Outcome: Accepted}},
		"no rules":         {carrying(t, usersSchema), "", Verdict{Outcome: Accepted}},
		"rules of no JSON": {carrying(t, usersSchema), "users = none", Verdict{Outcome: Accepted}},
		"bad rules":        {carrying(t, usersSchema), `{}`, Verdict{Outcome: Refused, Stage: StageConfigure, Reason: refusal + "spec.rules.users is missing"}},
		"a secret": {
			carrying(t, usersSchema), `{"users": [{"name": "x", "password": "hunter2", "tok-123": 1}]}`,
			Verdict{Outcome: Refused, Stage: StageConfigure, Reason: refusal + "spec.rules.users[0].password must have 20 characters or more; spec.rules.users[0].*** is not known to the schema"},
		},
		"no schema": {carrying(t, `{"name": "a"}`), `{}`, Verdict{Outcome: Accepted}},
		"a broken schema": {
			carrying(t, `{"rulesSchema": {"type": "strnig"}}`), `{}`,
			Verdict{Outcome: Inconclusive, Reason: "the rules could not be compared with the schema that the module carries, since the schema is no JSON Schema"},
		},
		"another file":                      {carrying(t, `[]`), `{}`, Verdict{Outcome: Inconclusive, Reason: "since its runtime-config.json is not what it should be"}},
		"a module that starts with nothing": {trapping, `{"users": []}`, Verdict{Outcome: Refused, Stage: StageLoad, Reason: "unreachable"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := check(t, Options{}, Request{Module: row.module, Secrets: []string{"tok-123", "hunter2"}}, row.configuration)
			if got.Outcome != row.want.Outcome || got.Stage != row.want.Stage || !strings.Contains(got.Reason, row.want.Reason) || !strings.Contains(got.Call, row.want.Call) {
				t.Errorf("got %+v", got)
			}
			if row.want.Stage == StageConfigure {
				if diff := cmp.Diff(row.want.Reason, got.Reason); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			}
		})
	}
}

// TestRulesOfOverrides: of several plugins the one with bad rules is refused, and it alone.
func TestRulesOfOverrides(t *testing.T) {
	request := Request{Module: carrying(t, usersSchema), Plugins: []Plugin{{"a", `{"users": []}`}, {"b", `{"users": [{}]}`}, {"c", `{"users": []}`}}}
	for name, verdicts := range map[string][]Verdict{
		"started": New(Options{}).Check(t.Context(), request), "compared": CheckRules(t.Context(), request),
	} {
		summary := Summarize(verdicts)
		if summary.Refused == nil || summary.Instance != 1 || summary.Field() != "spec.overrides" || !strings.HasSuffix(summary.Refused.Reason, ": rules.users[0].name is missing") {
			t.Errorf("%s: %+v", name, verdicts)
		}
		if verdicts[0].Outcome != Accepted || verdicts[2].Outcome != Accepted {
			t.Errorf("%s: %+v", name, verdicts)
		}
	}
}
