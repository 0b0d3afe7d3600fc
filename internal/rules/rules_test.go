// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"strings"
	"testing"
)

func TestCanonical(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"keys are sorted, spaces go":    {"{ \"b\": 1,\n \"a\": [1, 2] }", `{"a":[1,2],"b":1}`},
		"64-bit integers":               {`{"id":9223372036854775807,"max":18446744073709551615}`, `{"id":9223372036854775807,"max":18446744073709551615}`},
		"numbers as written":            {`{"f":1.50,"e":1e400}`, `{"e":1e400,"f":1.50}`},
		"unicode and HTML":              {`{"ü":"<a&b>","n":"\u0000"}`, `{"n":"\u0000","ü":"<a&b>"}`},
		"brackets in strings":           {`{"s":"` + strings.Repeat("[", 100) + `\"{"}`, `{"s":"` + strings.Repeat("[", 100) + `\"{"}`},
		"empty object":                  {`{}`, `{}`},
		"a name twice, the last counts": {`{"a":{"x":1},"a":{"y":[{"z":1,"z":2}]}}`, `{"a":{"y":[{"z":2}]}}`},
		"null is a value":               {`{"a":null}`, `{"a":null}`},
		"more than 64 bits":             {`{"n":123456789012345678901234567890}`, `{"n":123456789012345678901234567890}`},
		"a pair of surrogates":          {`{"s":"\ud83d\ude00 \\ud83d"}`, `{"s":"😀 \\ud83d"}`},
		"the replacement character":     {`{"s":"\ufffd�"}`, `{"s":"��"}`},
		"60 levels":                     {nested(60), nested(60)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Canonical([]byte(test.in))
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			again, err := Canonical([]byte(got))
			if err != nil || again != got {
				t.Errorf("canonical form isn't stable: %s, %v", again, err)
			}
		})
	}
}

func TestCanonicalRefuses(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"a list":                       {`[1]`, "must be a JSON object"},
		"a string":                     {`"text"`, "must be a JSON object"},
		"null":                         {`null`, "must be a JSON object"},
		"nothing":                      {``, "must be a JSON object"},
		"cut":                          {`{"a":`, "must be a JSON object"},
		"two objects":                  {`{} {}`, "has something after"},
		"too long":                     {`{"a":"` + strings.Repeat("x", MaxBytes) + `"}`, "at most 262144"},
		"far too long":                 {`{"a":"` + strings.Repeat("x", 7*MaxBytes) + `"}`, "at most 262144"},
		"too deep":                     {nested(MaxDepth + 1), "deeper than 64"},
		"very deep":                    {nested(9995), "deeper than 64"},
		"not UTF-8":                    {"{\"a\":\"\xff\"}", "isn't UTF-8"},
		"half a character, the first":  {`{"a":"\ud83d"}`, "half a character"},
		"half a character, the second": {`{"a":"\ude00\ud83d\ude00"}`, "half a character"},
		"two first halves":             {`{"a":"\uD83D\uD83D\uDE00"}`, "half a character"},
		"half a character in a name":   {`{"\\\udc00":1}`, "half a character"},
		"deep, unclosed":               {strings.Repeat("[", 100000), "deeper than 64"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Canonical([]byte(test.in))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

func TestCheckText(t *testing.T) {
	if err := CheckText(strings.Repeat("x", MaxBytes)); err != nil {
		t.Error(err)
	}
	if err := CheckText(strings.Repeat("x", MaxBytes+1)); err == nil {
		t.Error("want an error")
	}
}

func nested(depth int) string {
	return `{"a":` + strings.Repeat("[", depth-1) + strings.Repeat("]", depth-1) + `}`
}
