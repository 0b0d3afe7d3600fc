// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"errors"
	"strings"
	"testing"
)

// TestMergeVectors are the examples of RFC 7386, appendix A. Those whose documents are no objects are refused.
func TestMergeVectors(t *testing.T) {
	tests := []struct{ original, patch, want string }{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`["a","b"]`, `["c","d"]`, ""},
		{`{"a":"b"}`, `["c"]`, ""},
		{`{"a":"foo"}`, `null`, ""},
		{`{"a":"foo"}`, `"bar"`, ""},
		{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
		{`[1,2]`, `{"a":"b","c":null}`, ""},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
		// Beyond the appendix: a null in a list is a value, also in an object of a list.
		{`{}`, `{"a":[null,{"b":null}]}`, `{"a":[null,{"b":null}]}`},
		{`{"a":[1]}`, `{"a":{"b":null,"c":1}}`, `{"a":{"c":1}}`},
	}
	for _, test := range tests {
		t.Run(test.original+" and "+test.patch, func(t *testing.T) {
			got, err := Merge([]byte(test.original), []byte(test.patch))
			if got != test.want || (err != nil) != (test.want == "") {
				t.Errorf("got %s, %v, want %s", got, err, test.want)
			}
		})
	}
}

func TestMerge(t *testing.T) {
	tests := map[string]struct {
		documents []string
		want      string
	}{
		"none":               {nil, `{}`},
		"one is canonical":   {[]string{`{"b":null,"a":1.50}`}, `{"a":1.50,"b":null}`},
		"in order":           {[]string{`{"a":1}`, `{"a":2}`, `{"a":3}`}, `{"a":3}`},
		"taken away and set": {[]string{`{"a":{"x":1}}`, `{"a":null}`, `{"a":{"y":2}}`}, `{"a":{"y":2}}`},
		"numbers as written": {
			[]string{`{"id":9223372036854775807,"f":1.50}`, `{"e":1e400,"max":18446744073709551615}`},
			`{"e":1e400,"f":1.50,"id":9223372036854775807,"max":18446744073709551615}`,
		},
		"unicode":            {[]string{`{"ü":"<a&b>"}`, `{"n":"\u0000","s":"\ud83d\ude00"}`}, `{"n":"\u0000","s":"😀","ü":"<a&b>"}`},
		"a name twice":       {[]string{`{"a":1}`, `{"a":2,"a":null}`}, `{}`},
		"60 levels":          {[]string{`{"b":1}`, nested(60)}, strings.TrimSuffix(nested(60), "}") + `,"b":1}`},
		"far shorter merged": {[]string{`{"a":"` + strings.Repeat("x", MaxBytes) + `"}`, `{"a":null}`}, `{}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Merge(bytesOf(test.documents)...)
			if err != nil || got != test.want {
				t.Errorf("got %s, %v, want %s", got, err, test.want)
			}
		})
	}
}

func TestMergeRefuses(t *testing.T) {
	long := `"` + strings.Repeat("hush", MaxBytes/8) + `"`
	tests := map[string]struct {
		documents []string
		index     int // -1: no single document
		want      string
	}{
		"no JSON":           {[]string{`{}`, `hush`}, 1, "must be a JSON object"},
		"a list":            {[]string{`["hush"]`}, 0, "must be a JSON object"},
		"null":              {[]string{`{}`, `{}`, `null`}, 2, "must be a JSON object"},
		"two objects":       {[]string{`{"a":"hush"} {"a":"hush"}`}, 0, "has something after"},
		"too deep":          {[]string{`{}`, nested(9995)}, 1, "deeper than 64"},
		"too long together": {[]string{`{"a":` + long + `}`, `{"b":` + long + `}`}, -1, "at most 262144"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Merge(bytesOf(test.documents)...)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hush") {
				t.Fatalf("got %v", err)
			}
			index := -1
			if document := (*DocumentError)(nil); errors.As(err, &document) {
				index = document.Index
			}
			if index != test.index {
				t.Errorf("blames document %d, want %d", index, test.index)
			}
		})
	}
}

// TestMergeChangesNoDocument merges over a part that another result shares.
func TestMergeChangesNoDocument(t *testing.T) {
	shared := map[string]any{"a": map[string]any{"b": "c"}}
	mergePatch(shared, map[string]any{"a": map[string]any{"b": "d", "e": nil}})
	if shared["a"].(map[string]any)["b"] != "c" {
		t.Errorf("%v", shared)
	}
}

func bytesOf(documents []string) [][]byte {
	var out [][]byte
	for _, document := range documents {
		out = append(out, []byte(document))
	}
	return out
}
