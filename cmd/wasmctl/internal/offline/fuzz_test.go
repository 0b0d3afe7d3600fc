// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"bytes"
	"io"
	"testing"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
)

// FuzzValidate gives any bytes to validate: it ends, with a code that means something, and a line for each document.
func FuzzValidate(f *testing.F) {
	f.Add([]byte("apiVersion: wasm.solarmesh.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: auth, namespace: shop}\nspec: {url: \"oci://registry.example.com/auth:1\", selector: {matchLabels: {app: shop}}}\n"))
	f.Add([]byte("--- # a comment\na: &a [b]\n...\n---\nc: *a\n---\n"))
	f.Add([]byte("\xef\xbb\xbfkind: List\napiVersion: v1\nitems: [{kind: WasmPlugin, apiVersion: wasm.solarmesh.io/v1alpha1}, 1, null]\n"))
	f.Add([]byte("kind: Secret\napiVersion: v1\ndata: {a: 1}\n---\nkind: WasmPlugin\napiVersion: extensions.istio.io/v1\nspec: {match: {}}"))
	f.Add([]byte(`{"apiVersion": "wasm.solarmesh.io/v1alpha1", "kind": "WasmPlugin", "spec": {"rules": {"a": 1e999}, "match": null}}`))
	f.Fuzz(func(t *testing.T, input []byte) {
		var out bytes.Buffer
		cmd := NewValidate()
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs([]string{"-f", "-"})
		cmd.SetIn(bytes.NewReader(input))
		cmd.SetOut(&out)
		cmd.SetErr(io.Discard)
		code := cli.Report(t.Context(), io.Discard, "wasmctl", cmd.ExecuteContext(t.Context()))
		if code != cli.ExitGood && code != cli.ExitRefused && code != cli.ExitFailed {
			t.Errorf("exit %d", code)
		}
		documents := 0
		for _, text := range cli.Split("stdin", input) {
			for _, document := range cli.Parse(text, "default") {
				if document.JSON == nil || isPlugin(document.Head) || resembles(document.Head) {
					documents++
				}
			}
		}
		if lines := bytes.Count(out.Bytes(), []byte("\n")); code != cli.ExitFailed && lines < documents {
			t.Errorf("%d lines for %d documents:\n%s", lines, documents, &out)
		}
	})
}
