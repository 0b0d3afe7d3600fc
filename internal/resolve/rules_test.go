// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/solarmesh/wasmplugin-operator/internal/drystart"
	"github.com/solarmesh/wasmplugin-operator/internal/runtimeconfig"
)

// starting is the checker's own work, in this process.
type starting struct{}

// Check implements Checker.
func (starting) Check(ctx context.Context, request drystart.Request) ([]drystart.Verdict, error) {
	return drystart.New(drystart.Options{}).Check(ctx, request), nil
}

// takesAll is a plugin that takes any rules, and carries a description of itself.
func takesAll(t *testing.T, config string) string {
	t.Helper()
	const (
		magic   = "\x00asm\x01\x00\x00\x00"
		types   = "\x01\x09\x02\x60\x00\x00\x60\x01\x7f\x01\x7f"
		funcs   = "\x03\x03\x02\x00\x01"
		exports = "\x07\x24\x02\x17proxy_abi_version_0_2_1\x00\x00\x06malloc\x00\x01"
		bodies  = "\x0a\x09\x02\x02\x00\x0b\x04\x00\x41\x00\x0b"
	)
	module, err := runtimeconfig.Embed([]byte(magic+types+funcs+exports+bodies), []byte(config))
	if err != nil {
		t.Fatal(err)
	}
	return string(module)
}

// TestCarriedSchema: rules that don't fit the schema of their module are refused as those that the plugin itself refuses,
// and a schema that is broken refuses nobody.
func TestCarriedSchema(t *testing.T) {
	const schema = `{"rulesSchema": {"properties": {"users": {"items": {"type": "string"}}}}}`
	refusal := &Refusal{
		OfRules: true, Field: "spec.rules",
		Reason: "they do not fit the schema that the module carries: spec.rules.users[1] is a number, must be a string",
	}
	for name, test := range map[string]struct {
		config, rules string
		want          *Refusal
		unsure        string
	}{
		"good":   {schema, `{"users": ["a"]}`, nil, ""},
		"bad":    {schema, `{"users": ["a", 1]}`, refusal, ""},
		"broken": {`{"rulesSchema": 1}`, `{}`, nil, "the rules could not be compared with the schema that the module carries, since the schema is no JSON Schema: rulesSchema is a number, must be a boolean or an object"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, imageURL)
			b.content[imageURL] = takesAll(t, test.config)
			b.resolver.checker = starting{}
			b.request.Start = starts(test.rules)
			outcome := b.resolver.Resolve(t.Context(), b.request)
			if diff := cmp.Diff(test.want, outcome.Refusal); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if outcome.Failure != nil || outcome.Module.Unsure != test.unsure || outcome.Module.Check == "" {
				t.Errorf("got %+v, unsure: %s", outcome, outcome.Module.Unsure)
			}
		})
	}
}
