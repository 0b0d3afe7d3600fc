// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// outcome is all that a user sees of a call.
type outcome struct {
	code   int
	out    string
	errOut string
}

func (o outcome) String() string {
	return fmt.Sprintf("exit %d\n=== stdout\n%s=== stderr\n%s", o.code, o.out, o.errOut)
}

func call(t *testing.T, in io.Reader, args ...string) outcome {
	t.Helper()
	var out, errOut bytes.Buffer
	code := run(t.Context(), append([]string{"wasmctl"}, args...), in, &out, &errOut)
	return outcome{code, out.String(), errOut.String()}
}

// TestGolden gives testdata/*.in.yaml to the command in its first line, and compares with *.golden. A case is two files and
// no code.
func TestGolden(t *testing.T) {
	for _, path := range glob(t, "testdata/*.in.yaml") {
		name := strings.TrimSuffix(path, ".in.yaml")
		t.Run(filepath.Base(name), func(t *testing.T) {
			content := read(t, path)
			first, _, _ := strings.Cut(content, "\n")
			args, found := strings.CutPrefix(first, "# wasmctl ")
			if !found {
				t.Fatalf("%s begins with no command", path)
			}
			got := call(t, strings.NewReader(content), strings.Fields(args)...).String()
			golden := name + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(read(t, golden), got); diff != "" {
				t.Errorf("differs from %s (-want +got), rewrite with -update:\n%s", golden, diff)
			}
		})
	}
	for _, golden := range glob(t, "testdata/*.golden") {
		if _, err := os.Stat(strings.TrimSuffix(golden, ".golden") + ".in.yaml"); err != nil {
			t.Errorf("%s has no input", golden)
		}
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files match %s: %v", pattern, err)
	}
	return paths
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

const goodPlugin = `
apiVersion: wasm.solarmesh.io/v1alpha1
kind: WasmPlugin
metadata: {name: NAME, namespace: shop}
spec: {url: "oci://registry.example.com/auth:1", selector: {matchLabels: {app: shop}}}
---`

func TestStreamOf500DocumentsWithOneBad(t *testing.T) {
	var stream strings.Builder
	for i := range 500 {
		plugin := strings.Replace(goodPlugin, "NAME", fmt.Sprintf("plugin-%d", i), 1)
		if i == 321 {
			plugin = strings.Replace(plugin, "selector", "selektor", 1)
		}
		stream.WriteString(plugin)
	}
	got := call(t, strings.NewReader(stream.String()), "validate", "-f", "-")
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	bad := 0
	for _, line := range lines {
		if !strings.HasSuffix(line, ": ok") {
			bad++
			if !strings.Contains(line, "WasmPlugin shop/plugin-321: refused") || !strings.Contains(line, "spec.selektor") {
				t.Errorf("unexpected line: %s", line)
			}
		}
	}
	if len(lines) != 500 || bad != 1 || got.code != cli.ExitRefused {
		t.Errorf("%d lines, %d refused, exit %d", len(lines), bad, got.code)
	}
}

func TestUsage(t *testing.T) {
	folder := t.TempDir()
	tests := map[string]struct {
		args []string
		want string
	}{
		"no such command":        {[]string{"rendr"}, `there is no command "rendr"; see wasmctl --help`},
		"no such flag":           {[]string{"render", "--no"}, "unknown flag: --no; see wasmctl render --help"},
		"no file":                {[]string{"validate"}, "name a file with -f, or - for standard input; see wasmctl validate --help"},
		"absent file":            {[]string{"render", "-f", folder + "/absent"}, "there is no file " + folder + "/absent"},
		"folder":                 {[]string{"render", "-f", folder}, folder + " is a folder"},
		"standard input twice":   {[]string{"render", "-f", "-", "-"}, "named twice"},
		"form":                   {[]string{"render", "-f", "-", "-o", "text"}, `--output "text" is none of yaml, json`},
		"release":                {[]string{"render", "-f", "-", "--istio-version", "31"}, "--istio-version: "},
		"empty root namespace":   {[]string{"render", "-f", "-", "--root-namespace", ""}, "--root-namespace is empty"},
		"empty namespace":        {[]string{"render", "-f", "-", "-n", ""}, "--namespace is empty"},
		"flag without effect":    {[]string{"validate", "-f", "-", "--block-private"}, "--block-private has an effect only with --fetch"},
		"nothing in it":          {[]string{"validate", "-f", "-"}, "there is no WasmPlugin in the input"},
		"no module":              {[]string{"inspect"}, "name one module"},
		"two modules":            {[]string{"inspect", "a", "b"}, "name one module"},
		"a reference of nothing": {[]string{"inspect", "ftp://host/x"}, "unknown scheme"},
		"absent authorities":     {[]string{"inspect", "h/a", "--ca-file", folder + "/ca"}, "--ca-file: there is no file"},
		"absent credentials":     {[]string{"inspect", "h/a", "--pull-secret-file", folder + "/c"}, "--pull-secret-file: there is no file"},
		"no time":                {[]string{"inspect", "h/a", "--timeout", "0s"}, "--timeout must be more than 0"},
		"argument of version":    {[]string{"version", "x"}, "takes no argument"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := call(t, strings.NewReader("# only a comment\n"), tc.args...)
			if got.code != cli.ExitFailed || !strings.Contains(got.errOut, tc.want) || got.out != "" {
				t.Errorf("got %s, want exit %d and %q", got, cli.ExitFailed, tc.want)
			}
			if strings.Count(got.errOut, "\n") != 1 {
				t.Errorf("more than one sentence: %s", got.errOut)
			}
		})
	}
}

func TestFilesServeEachOther(t *testing.T) {
	folder := t.TempDir()
	plugin, users := folder+"/plugin.yaml", folder+"/users.yaml"
	files := map[string]string{
		plugin: strings.Replace(strings.Replace(goodPlugin, "NAME", "auth", 1), "spec: {", "spec: {rulesFrom: [{configMapKeyRef: {name: users, key: k}}], ", 1),
		users:  "{apiVersion: v1, kind: ConfigMap, metadata: {name: users, namespace: shop}, data: {k: '{\"a\": 12345678901234567890}'}}",
	}
	for path, content := range files {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := call(t, nil, "render", "-f", plugin, users); got.code != cli.ExitGood || !strings.Contains(got.out, `{"a":12345678901234567890}`) {
		t.Errorf("the ConfigMap of the other file has no effect: %s", got)
	}
	if got := call(t, nil, "render", "-f", plugin); got.code != cli.ExitRefused || !strings.Contains(got.errOut, `ConfigMap "users" doesn't exist`) {
		t.Errorf("renders without its ConfigMap: %s", got)
	}
}

func TestOutputThatCannotBeWritten(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	for _, args := range [][]string{{"render", "-f", "-"}, {"validate", "-f", "-"}, {"version"}} {
		var errOut bytes.Buffer
		code := run(t.Context(), append([]string{"wasmctl"}, args...), strings.NewReader(strings.Replace(goodPlugin, "NAME", "auth", 1)), full, &errOut)
		if code != cli.ExitFailed || !strings.Contains(errOut.String(), "write the output") {
			t.Errorf("%v: exit %d, %s", args, code, &errOut)
		}
	}
}

func TestNameOfAPluginOfKubectl(t *testing.T) {
	var out bytes.Buffer
	if code := run(t.Context(), []string{"/usr/bin/kubectl-wasm", "render", "--help"}, nil, &out, io.Discard); code != cli.ExitGood {
		t.Errorf("exit %d", code)
	}
	if !strings.Contains(out.String(), "kubectl wasm render") {
		t.Errorf("help doesn't say how it was called:\n%s", &out)
	}
}
