// SPDX-License-Identifier: Apache-2.0

package migrate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/offline"
)

const testdata = "../../../../internal/convert/testdata/"

type outcome struct {
	code        int
	out, errOut string
}

// run runs one of the commands as main does.
func run(t *testing.T, cmd *cobra.Command, in string, args ...string) outcome {
	t.Helper()
	var out, errOut bytes.Buffer
	root := &cobra.Command{Use: "wasmctl", SilenceErrors: true, SilenceUsage: true}
	root.SetFlagErrorFunc(cli.Usage)
	root.AddCommand(cmd)
	root.SetArgs(append([]string{cmd.Name()}, args...))
	root.SetIn(strings.NewReader(in))
	root.SetOut(&out)
	root.SetErr(&errOut)
	code := cli.Report(t.Context(), &errOut, "wasmctl", root.ExecuteContext(t.Context()))
	return outcome{code, out.String(), errOut.String()}
}

// TestImportedIsValid gives what import makes of each golden input to validate.
func TestImportedIsValid(t *testing.T) {
	paths, err := filepath.Glob(testdata + "import/*.in.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no inputs: %v", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			got := run(t, newImport(), "", "-f", path)
			if strings.Contains(got.out+got.errOut, "hunter2") {
				t.Errorf("shows a password:\n%s%s", got.out, got.errOut)
			}
			if got.out == "" {
				if got.code != cli.ExitRefused {
					t.Errorf("exit %d without output: %s", got.code, got.errOut)
				}
				return
			}
			valid := run(t, offline.NewValidate(), got.out, "-f", "-", "--allow-root-namespace-scope", "--store-url", "http://store.example.com", "--istio-version", "1.31")
			if valid.code != cli.ExitGood {
				t.Errorf("exit %d: %s%s", valid.code, valid.out, valid.errOut)
			}
		})
	}
}

func TestImportSeed(t *testing.T) {
	got := run(t, newImport(), "", "-f", testdata+"import/seed.in.yaml", "--selector", "istio=ingressgateway")
	if got.code != cli.ExitGood || got.errOut != "" {
		t.Fatalf("exit %d: %s", got.code, got.errOut)
	}
	for _, dead := range []string{"seed.in.yaml:1)", "envoy.http_connection_manager", `^1\.9.*`, "udpa.type.v1.TypedStruct", "INSERT_BEFORE without", "sha256: is missing", "cluster: is missing", "timeout: is missing"} {
		if strings.Count(got.out, dead) != 1 {
			t.Errorf("%q isn't named once:\n%s", dead, got.out)
		}
	}
	if !strings.Contains(got.out, "istio: ingressgateway") || strings.Contains(got.out, "scope:") {
		t.Errorf("the selector isn't there:\n%s", got.out)
	}
	// With these labels it can be rendered where nothing is allowed.
	if valid := run(t, offline.NewValidate(), got.out, "-f", "-"); valid.code != cli.ExitGood {
		t.Errorf("exit %d: %s", valid.code, valid.out)
	}
}

func TestImportJSON(t *testing.T) {
	got := run(t, newImport(), "", "-o", "json", "-f", testdata+"import/istio.in.yaml")
	var list struct {
		Kind  string `json:"kind"`
		Items []struct {
			Kind string `json:"kind"`
		} `json:"items"`
		Notes []struct {
			Name  string   `json:"name"`
			Notes []string `json:"notes"`
		} `json:"notes"`
		Skipped, Refused []struct {
			Place string `json:"place"`
		}
	}
	if err := json.Unmarshal([]byte(got.out), &list); err != nil {
		t.Fatalf("%v in %s", err, got.out)
	}
	if got.code != cli.ExitRefused || list.Kind != "List" || len(list.Items) != 4 || len(list.Notes) != 4 || len(list.Skipped) != 1 || len(list.Refused) != 2 || len(list.Notes[0].Notes) == 0 {
		t.Errorf("exit %d: %+v", got.code, list)
	}
}

const good = "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: p%d, namespace: shop}\nspec: {url: \"oci://registry.example.com/x:1\", selector: {matchLabels: {app: web}}}\n"

// TestStreamWithOneBad converts all the others, and says where the bad one is.
func TestStreamWithOneBad(t *testing.T) {
	var stream strings.Builder
	for i := range 500 {
		if i == 250 {
			stream.WriteString("apiVersion: [unclosed\n---\n")
			continue
		}
		fmt.Fprintf(&stream, good+"---\n", i)
	}
	path := filepath.Join(t.TempDir(), "stream.yaml")
	if err := os.WriteFile(path, []byte(stream.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	got := run(t, newImport(), "", "-f", path)
	if count := strings.Count(got.out, "kind: WasmPlugin"); got.code != cli.ExitRefused || count != 499 {
		t.Errorf("exit %d with %d of 499", got.code, count)
	}
	if !strings.Contains(got.errOut, "stream.yaml:1251: refused: the document: isn't YAML") || !strings.Contains(got.errOut, "1 of 500 could not be carried over") {
		t.Errorf("the bad one isn't named: %s", got.errOut)
	}
}

func TestBadImports(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for name := byte('b'); name < 'l'; name++ {
		bomb += fmt.Sprintf("%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", name, name, name-1, name-1, name-1, name-1, name-1, name-1, name-1, name-1, name-1)
	}
	for name, test := range map[string]struct {
		in   string
		args []string
		code int
		says string
	}{
		"no file":              {"", nil, cli.ExitFailed, "name a file with -f"},
		"a file that isn't":    {"", []string{"-f", "absent.yaml"}, cli.ExitFailed, "there is no file absent.yaml"},
		"nothing":              {"# only a comment\n", []string{"-f", "-"}, cli.ExitFailed, "there is no plugin of Wasm in the input"},
		"no plugin":            {"apiVersion: v1\nkind: Service\nmetadata: {name: x}\n", []string{"-f", "-"}, cli.ExitFailed, "stdin:1: Service default/x is no plugin"},
		"a wrong group":        {"apiVersion: extensions.istio.com/v1alpha1\nkind: WasmPlugin\nmetadata: {name: x}\n", []string{"-f", "-"}, cli.ExitRefused, "write extensions.istio.io/v1alpha1"},
		"no YAML":              {"\tx: {", []string{"-f", "-"}, cli.ExitRefused, "isn't YAML"},
		"no object":            {"[1, 2]", []string{"-f", "-"}, cli.ExitRefused, "is no object of Kubernetes"},
		"a bomb":               {bomb, []string{"-f", "-"}, cli.ExitRefused, "excessive aliasing"},
		"a selector's word":    {"", []string{"-f", "-", "--selector", "istio"}, cli.ExitFailed, "write KEY=VALUE"},
		"an empty selector":    {"", []string{"-f", "-", "--selector", ""}, cli.ExitFailed, "write KEY=VALUE"},
		"a selector twice":     {"", []string{"-f", "-", "--selector", "a=1,a=2"}, cli.ExitFailed, "a is there twice"},
		"no label":             {"", []string{"-f", "-", "--selector", "a=b c"}, cli.ExitFailed, "is no label"},
		"a form":               {"", []string{"-f", "-", "-o", "xml"}, cli.ExitFailed, `--output "xml"`},
		"check and a file":     {"", []string{"--check", "-f", "-"}, cli.ExitFailed, "--check looks in the cluster"},
		"check without one":    {"", []string{"--check", "--kubeconfig", "absent"}, cli.ExitFailed, "kubeconfig"},
		"what steers terminal": {"apiVersion: v1\nkind: \"\\e[31mX\"\nmetadata: {name: x}\n", []string{"-f", "-"}, cli.ExitFailed, "[31mX"},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, newImport(), test.in, test.args...)
			if got.code != test.code || got.out != "" && got.out != "\n" || !strings.Contains(got.errOut, test.says) || strings.Contains(got.errOut, "\x1b") {
				t.Errorf("exit %d, %q: %s", got.code, got.out, got.errOut)
			}
		})
	}
}

func TestExport(t *testing.T) {
	for name, test := range map[string]struct {
		in    string
		args  []string
		code  int
		lines []string
	}{
		"lossless": {"export/lossless.in.yaml", nil, cli.ExitGood, []string{"apiVersion: extensions.istio.io/v1alpha1"}},
		"lost":     {"export/lost.in.yaml", nil, cli.ExitRefused, []string{"refused: WasmPlugin shop/rules: may let in others there; give --lossy", "spec.overrides[1]", "3 of 3 were not written"}},
		"lossy":    {"export/lost.in.yaml", []string{"--lossy"}, cli.ExitRefused, []string{"# - spec.rulesFrom: nothing there", "store:1", "1 of 3 were not written"}},
		"JSON":     {"export/noted.in.yaml", []string{"-o", "json"}, cli.ExitGood, []string{`"kind": "List"`, `"name": "gateway"`, "spec.rollout"}},
		"others":   {"import/seed.in.yaml", nil, cli.ExitFailed, []string{"there is no WasmPlugin"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, newExport(), "", append([]string{"--to", "istio", "-f", testdata + test.in}, test.args...)...)
			if got.code != test.code {
				t.Errorf("exit %d: %s", got.code, got.errOut)
			}
			for _, line := range test.lines {
				if line != "store:1" && !strings.Contains(got.out+got.errOut, line) {
					t.Errorf("%q is missing in\n%s%s", line, got.out, got.errOut)
				}
			}
		})
	}
}

func TestBadExports(t *testing.T) {
	const plugin = "apiVersion: wasm.solarmesh.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: x}\nspec: {url: x, pluginConfig: {}}\n"
	for name, test := range map[string]struct {
		in   string
		args []string
		code int
		says string
	}{
		"to nobody":         {"", []string{"-f", "-"}, cli.ExitFailed, "write --to istio"},
		"no file":           {"", []string{"--to", "istio"}, cli.ExitFailed, "name a file"},
		"no YAML":           {"\tx: {", []string{"--to", "istio", "-f", "-"}, cli.ExitRefused, "isn't YAML"},
		"a field of theirs": {plugin, []string{"--to", "istio", "-f", "-"}, cli.ExitRefused, "wasmctl validate says which"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := run(t, newExport(), test.in, test.args...); got.code != test.code || got.out != "" || !strings.Contains(got.errOut, test.says) {
				t.Errorf("exit %d, %q: %s", got.code, got.out, got.errOut)
			}
		})
	}
}
