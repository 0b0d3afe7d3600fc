// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// FuzzValidate gives any bytes to validate: it ends, with a code that means something, and a line for each document.
func FuzzValidate(f *testing.F) {
	f.Add([]byte(strings.Replace(goodPlugin, "NAME", "auth", 1)))
	f.Add([]byte("--- # a comment\na: &a [b]\n...\n---\nc: *a\n---\n"))
	f.Add([]byte("\xef\xbb\xbfkind: List\napiVersion: v1\nitems: [{kind: WasmPlugin, apiVersion: wasm.solarmesh.io/v1alpha1}, 1, null]\n"))
	f.Add([]byte("kind: Secret\napiVersion: v1\ndata: {a: 1}\n---\nkind: WasmPlugin\napiVersion: extensions.istio.io/v1\nspec: {match: {}}"))
	f.Add([]byte(`{"apiVersion": "wasm.solarmesh.io/v1alpha1", "kind": "WasmPlugin", "spec": {"rules": {"a": 1e999}, "match": null}}`))
	f.Fuzz(func(t *testing.T, input []byte) {
		var out bytes.Buffer
		code := run(t.Context(), []string{"wasmctl", "validate", "-f", "-"}, bytes.NewReader(input), &out, io.Discard)
		if code != exitGood && code != exitRefused && code != exitFailed {
			t.Errorf("exit %d", code)
		}
		documents := 0
		for _, text := range split("stdin", input) {
			for _, document := range parse(text, "default") {
				if document.json == nil || isPlugin(document.head) || resembles(document.head) {
					documents++
				}
			}
		}
		if lines := bytes.Count(out.Bytes(), []byte("\n")); code != exitFailed && lines < documents {
			t.Errorf("%d lines for %d documents:\n%s", lines, documents, &out)
		}
	})
}

func TestHostileInput(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 9900) + "1" + strings.Repeat("}", 9900)
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for from, to := 'a', 'b'; to <= 'i'; from, to = to, to+1 {
		bomb += string(to) + ": &" + string(to) + " [" + strings.TrimSuffix(strings.Repeat("*"+string(from)+",", 9), ",") + "]\n"
	}
	tests := map[string]struct {
		input, want string
		code        int
	}{
		"deep rules":      {strings.Replace(goodPlugin, "spec: {", "spec: {rules: "+deep+", ", 1), "nested deeper than 64 levels", exitRefused},
		"deeper than any": {strings.Repeat("[", 1<<20), "isn't YAML", exitRefused},
		"many anchors":    {bomb, "excessive aliasing", exitRefused},
		"large rules":     {strings.Replace(goodPlugin, "spec: {", "spec: {rules: {a: "+strings.Repeat("x", 2<<20)+"}, ", 1), "InvalidRules", exitRefused},
		"binary":          {"\x00asm\x01\x00\x00\x00", "isn't YAML", exitRefused},
		"too much":        {strings.Repeat("#", maxInput+1), "more than 64 MiB", exitFailed},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := call(t, strings.NewReader(tc.input), "validate", "-f", "-")
			if got.code != tc.code || !strings.Contains(got.out+got.errOut, tc.want) || len(got.out) > 1000 {
				t.Errorf("got %.1000s, want exit %d and %q", got, tc.code, tc.want)
			}
		})
	}
}
