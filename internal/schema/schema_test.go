// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const basicAuth = `{
  "type": "object", "required": ["basic_auth_rules"], "additionalProperties": false,
  "properties": {"basic_auth_rules": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/rule"}}},
  "$defs": {"rule": {
    "type": "object", "required": ["prefix", "credentials"], "additionalProperties": false,
    "properties": {
      "prefix": {"type": "string", "pattern": "^/"},
      "request_methods": {"type": "array", "uniqueItems": true, "items": {"enum": ["GET", "POST"]}},
      "credentials": {"type": "array", "items": {"type": "string", "minLength": 3}}}}}}`

func validate(t *testing.T, text, rules string) (Findings, error) {
	t.Helper()
	compiled, err := Compile(t.Context(), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return compiled.Validate(t.Context(), "spec.rules", []byte(rules))
}

func TestValidate(t *testing.T) {
	for name, test := range map[string]struct{ schema, rules, want string }{
		"good":      {basicAuth, `{"basic_auth_rules": [{"prefix": "/a", "request_methods": ["GET"], "credentials": ["a:b"]}]}`, ""},
		"missing":   {basicAuth, `{}`, "spec.rules.basic_auth_rules is missing"},
		"empty":     {basicAuth, `{"basic_auth_rules": []}`, "spec.rules.basic_auth_rules has 0 entries, must have 1 or more"},
		"not known": {basicAuth, `{"basic_auth_rules": [{"prefix": "/", "credentials": []}], "x y": 1, "b": 2}`, `spec.rules.b is not known to the schema; spec.rules["x y"] is not known to the schema`},
		"several, in the order of the list": {
			basicAuth, `{"basic_auth_rules": [{"prefix": "a", "credentials": ["secret-1", "x"]},{},{},{},{},{},{},{},{},{},{"prefix": 1, "credentials": []}]}`,
			"spec.rules.basic_auth_rules[0].credentials[1] must have 3 characters or more; spec.rules.basic_auth_rules[0].prefix does not match the pattern ^/; " +
				"spec.rules.basic_auth_rules[1].credentials is missing; spec.rules.basic_auth_rules[1].prefix is missing; " +
				"spec.rules.basic_auth_rules[2].credentials is missing; spec.rules.basic_auth_rules[2].prefix is missing; " +
				"spec.rules.basic_auth_rules[3].credentials is missing; spec.rules.basic_auth_rules[3].prefix is missing; and 13 more",
		},
		"a type":          {basicAuth, `{"basic_auth_rules": "secret"}`, "spec.rules.basic_auth_rules is a string, must be a list"},
		"an enum, unique": {basicAuth, `{"basic_auth_rules": [{"prefix": "/", "credentials": [], "request_methods": ["PUT", "PUT"]}]}`, `spec.rules.basic_auth_rules[0].request_methods has equal entries, 0 and 1; spec.rules.basic_auth_rules[0].request_methods[0] must be one of "GET", "POST"; spec.rules.basic_auth_rules[0].request_methods[1] must be one of "GET", "POST"`},
		"64 bits":         {`{"properties": {"a": {"type": "integer", "maximum": 9223372036854775806}}}`, `{"a": 9223372036854775807}`, "spec.rules.a must be 9223372036854775806 or less"},
		"64 bits, good":   {`{"properties": {"a": {"const": 9223372036854775807}}}`, `{"a": 9223372036854775807}`, ""},
		"64 bits, near":   {`{"properties": {"a": {"const": 9223372036854775807}}}`, `{"a": 9223372036854775806}`, "spec.rules.a must be 9223372036854775807"},
		"a fraction":      {`{"properties": {"a": {"exclusiveMinimum": 0.1, "multipleOf": 0.5}}}`, `{"a": 0.1}`, "spec.rules.a must be a multiple of 0.5; spec.rules.a must be more than 0.1"},
		"alternatives":    {`{"properties": {"a": {"anyOf": [{"type": "string"}, {"type": "object", "required": ["b"]}]}}}`, `{"a": {}}`, "spec.rules.a.b is missing"},
		"no alternative":  {`{"properties": {"a": {"oneOf": [{"const": 1}, {"const": 2}]}}}`, `{"a": 3}`, "spec.rules.a fits none of the 2 alternatives that the schema has for it"},
		"two of one":      {`{"oneOf": [{"type": "object"}, {"minProperties": 0}]}`, `{}`, "spec.rules fits more than one of the alternatives, of which it must fit one"},
		"a name":          {`{"properties": {"a": {"propertyNames": {"maxLength": 2}}}}`, `{"a": {"long": 1}}`, `spec.rules.a has the name "long", which the schema does not allow`},
		"a name, in a list": {
			`{"items": {"propertyNames": {"maxLength": 2}, "properties": {"z": false}}}`, `[{"long": 1, "z": 1}, {}]`,
			`spec.rules[0] has the name "long", which the schema does not allow; spec.rules[0].z must not be there`,
		},
		"what needs another": {`{"dependentRequired": {"a": ["b"]}}`, `{"a": 1}`, `spec.rules.b is missing, which "a" needs`},
		"not":                {`{"not": {"required": ["a"]}}`, `{"a": 1}`, "spec.rules is what the schema excludes"},
		"draft 7, a format":  {`{"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"a": {"format": "ipv4"}}}`, `{"a": "secret"}`, `spec.rules.a is not of the format "ipv4"`},
		"a number as a name": {`{"properties": {"0": false, "a.b": false}}`, `{"0": 1, "a.b": 2}`, `spec.rules["0"] must not be there; spec.rules["a.b"] must not be there`},
		"recursive":          {`{"$id": "tree", "properties": {"a": {"$ref": "tree"}, "b": false}}`, `{"a": {"a": {"b": 1}}}`, "spec.rules.a.a.b must not be there"},
		"true":               {`true`, `{"a": 1}`, ""},
		"false":              {`false`, `{"a": 1}`, "spec.rules must not be there"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := validate(t, test.schema, test.rules)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got.String()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestNoValue: whatever is wrong with a value, what it is stays in the rules.
func TestNoValue(t *testing.T) {
	const secret = "hunter2"
	for _, keyword := range []string{
		`"type": "number"`, `"enum": ["a"]`, `"const": "a"`, `"pattern": "^a"`, `"minLength": 100`, `"maxLength": 1`, `"format": "ipv6"`,
		`"not": {}`, `"anyOf": [{"const": 1}, {"const": 2}]`, `"oneOf": [{}, {}]`, `"contentEncoding": "base64"`, `"format": "regex"`,
	} {
		text := fmt.Sprintf(`{"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"a": {%s}}}`, keyword)
		for _, value := range []string{secret, secret + "("} {
			got, err := validate(t, text, fmt.Sprintf(`{"a": %q}`, value))
			if err != nil || strings.Contains(got.String(), secret) {
				t.Errorf("%s: %s, %v", keyword, got, err)
			}
		}
	}
}

func TestCompile(t *testing.T) {
	for name, test := range map[string]struct{ schema, want string }{
		"no JSON":               {`{`, "is not JSON"},
		"two documents":         {`{} {}`, "is not JSON"},
		"no schema":             {`[]`, "is no JSON Schema"},
		"a keyword":             {`{"properties": {"a": {"type": "strnig"}}}`, "is no JSON Schema: rulesSchema.properties.a.type"},
		"a pattern":             {`{"pattern": "("}`, "is no JSON Schema"},
		"a file":                {`{"$ref": "file:///etc/passwd"}`, "refers to file:///etc/passwd, which is outside"},
		"a URL":                 {`{"$ref": "http://169.254.169.254/x"}`, "refers to http://169.254.169.254/x, which is outside"},
		"a neighbor":            {`{"$ref": "other.json"}`, "which is outside"},
		"another dialect":       {`{"$schema": "http://example.com/dialect"}`, "which is outside"},
		"nothing there":         {`{"$ref": "#/$defs/a"}`, "is no JSON Schema"},
		"large":                 {`{"description": "` + strings.Repeat("a", MaxSize) + `"}`, "larger than 256 KiB"},
		"many values":           {`{"enum": [1` + strings.Repeat(",1", maxValues) + `]}`, "more than 10000 values"},
		"deep":                  {strings.Repeat(`{"not":`, maxDepth) + "{}" + strings.Repeat("}", maxDepth), "deeper than 64 levels"},
		"a number":              {`{"maximum": 1e999999999}`, "more than 400 digits"},
		"a long number":         {`{"maximum": 1` + strings.Repeat("0", maxDigits) + `}`, "more than 400 digits"},
		"patterns that explode": {`{"allOf": [` + strings.Repeat(`{"pattern": "a{1000}"},`, 200) + `{}]}`, "no JSON Schema"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Compile(t.Context(), []byte(test.schema))
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") || len(err.Error()) > 300 {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestNotCompared: what costs too much is no verdict on the rules, and ends.
func TestNotCompared(t *testing.T) {
	// Each level tries two alternatives, and each of these the same again.
	doubling := `{"$defs": {"a": {"anyOf": [{"type": "string"}, {"properties": {"a": {"$ref": "#/$defs/a"}}, "required": ["x"]},
		{"properties": {"a": {"$ref": "#/$defs/a"}}, "required": ["x"]}]}}, "$ref": "#/$defs/a"}`
	nested := func(depth int) string { return strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth) }
	for name, test := range map[string]struct{ schema, rules string }{
		"doubling":  {doubling, nested(60)},
		"deep":      {doubling, nested(9000)},
		"a number":  {`{"maximum": 1}`, `{"a": 1e999999999}`},
		"no JSON":   {`{}`, `a: b`},
		"matching":  {`{"properties": {"a": {"pattern": "(a|b|c){900}d$"}}}`, `{"a": "` + strings.Repeat("a", 1<<20) + `"}`},
		"a circle":  {`{"$ref": "#"}`, `{}`},
		"a circle2": {`{"allOf": [{"$ref": "#/$defs/b"}], "$defs": {"b": {"anyOf": [{"$ref": "#"}]}}}`, `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			got, err := validate(t, test.schema, test.rules)
			if err == nil || time.Since(began) > 20*time.Second {
				t.Errorf("after %s: %s, %v", time.Since(began), got, err)
			}
		})
	}
	t.Run("in time", func(t *testing.T) {
		compiled, err := Compile(t.Context(), []byte(doubling))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := compiled.Validate(ctx, "spec.rules", []byte(nested(60))); !errors.Is(err, errSlow) {
			t.Errorf("got %v", err)
		}
	})
}

// FuzzSchema: no schema and no rules do harm, and no error has more than a line.
func FuzzSchema(f *testing.F) {
	f.Add([]byte(basicAuth), []byte(`{"basic_auth_rules": [{"prefix": "a"}]}`))
	f.Add([]byte(`{"$ref": "#/a", "a": {"anyOf": [{"$dynamicRef": "#b"}, {"$dynamicAnchor": "b", "unevaluatedProperties": false}]}}`), []byte(`{"a": [1e5, null]}`))
	f.Add([]byte(`{"$schema": "http://json-schema.org/draft-04/schema#", "id": "a", "items": [{"$ref": "a"}]}`), []byte(`[[]]`))
	f.Fuzz(func(t *testing.T, text, rules []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		compiled, err := Compile(ctx, text)
		if err == nil {
			var findings Findings
			findings, err = compiled.Validate(ctx, "spec.rules", rules)
			if len(findings.Problems) > MaxProblems || (findings.More > 0 && len(findings.Problems) < MaxProblems) {
				t.Errorf("got %+v", findings)
			}
		}
		if err != nil && (strings.Contains(err.Error(), "\n") || len(err.Error()) > 400) {
			t.Errorf("got %q", err)
		}
	})
}
