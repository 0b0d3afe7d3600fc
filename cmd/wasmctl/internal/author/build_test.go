// SPDX-License-Identifier: Apache-2.0

package author

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/internal/module"
	"github.com/solarmesh/wasmplugin-operator/internal/runtimeconfig"
	"github.com/solarmesh/wasmplugin-operator/internal/scaffold"
)

const earlier = "the module of an earlier build"

// plugin makes a new plugin's folder, with a module that was built before, and goes where it is.
func plugin(t *testing.T, language string) {
	t.Helper()
	t.Chdir(t.TempDir())
	if _, code, said := call(t.Context(), newInit(), "demo", "-l", language); code != cli.ExitGood {
		t.Fatalf("init: code %d: %s", code, said)
	}
	write(t, "demo/"+moduleName, earlier)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// replace changes a file.
func replace(t *testing.T, path, from, to string) {
	t.Helper()
	content := read(t, path)
	if !strings.Contains(content, from) {
		t.Fatalf("%s has no %q", path, from)
	}
	write(t, path, strings.Replace(content, from, to, 1))
}

func TestBuild(t *testing.T) {
	plugin(t, scaffold.Go)
	out, code, said := call(t.Context(), newBuild(), "demo", "-o", "json")
	if code != cli.ExitGood {
		t.Fatalf("code %d: %s", code, said)
	}
	var result built
	if err := json.Unmarshal([]byte(out), &result); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	content := []byte(read(t, "demo/filter.wasm"))
	if want := (built{"demo/filter.wasm", len(content), "0.2.0", fmt.Sprintf("sha256:%x", sha256.Sum256(content))}); result != want {
		t.Errorf("it says %+v, want %+v", result, want)
	}
	if abi, err := module.Inspect(content); err != nil || abi != "0.2.0" {
		t.Errorf("ABI %s: %v", abi, err)
	}
	if config, found, err := runtimeconfig.Extract(content); !found || err != nil || string(config) != read(t, "demo/runtime-config.json") {
		t.Errorf("the module carries %q (%t, %v)", config, found, err)
	}
	// The same sources make the same module, from anywhere, and wherever it goes.
	t.Chdir("demo")
	out, code, said = call(t.Context(), newBuild(), "--file", "../other.wasm")
	if code != cli.ExitGood || !strings.Contains(out, "File:    ../other.wasm\n") || !strings.Contains(out, "ABI:     proxy-wasm 0.2.0\n") ||
		!strings.Contains(out, "Digest:  "+result.Digest) {
		t.Errorf("code %d: %s%s", code, out, said)
	}
	if !strings.HasPrefix(said, "# build: GOOS=wasip1 GOARCH=wasm go build") {
		t.Errorf("it said %s", said)
	}
}

func TestBuildRefuses(t *testing.T) {
	const config = "demo/runtime-config.json"
	for _, row := range []struct {
		name   string
		change func(t *testing.T)
		args   []string
		code   int
		want   []string
	}{
		{
			"what does not compile",
			func(t *testing.T) {
				t.Helper()
				replace(t, "demo/main.go", "func main() {}", "func main() { nothing() }")
			},
			nil, cli.ExitRefused,
			[]string{"undefined: nothing", "wasmctl: the build failed: go ended with exit status 1\n"},
		},
		{
			"no plugin",
			func(t *testing.T) { t.Helper(); write(t, "demo/main.go", "package main\n\nfunc main() {}\n") },
			nil, cli.ExitRefused,
			[]string{"what was built can't run in a proxy: the module is not a proxy-wasm plugin"},
		},
		{
			"another ABI",
			func(t *testing.T) { t.Helper(); replace(t, config, `"abi": "0.2.0"`, `"abi": "0.2.1"`) },
			nil, cli.ExitRefused,
			[]string{`runtime-config.json says abi "0.2.1", but the module that was built is for proxy-wasm 0.2.0`},
		},
		{
			"default rules that don't fit",
			func(t *testing.T) {
				t.Helper()
				replace(t, config, `{"headers": {"hello": "world"}}`, `{"headers": {"hello": 1}}`)
			},
			nil, cli.ExitRefused,
			[]string{"defaultRules don't fit rulesSchema: defaultRules.headers.hello"},
		},
		{
			"a schema that is none",
			func(t *testing.T) { t.Helper(); replace(t, config, `"type": "object",`, `"type": "thing",`) },
			nil, cli.ExitRefused,
			[]string{"rulesSchema is no JSON Schema that can be used"},
		},
		{
			"no description", func(t *testing.T) { t.Helper(); os.Remove(config) },
			nil, cli.ExitFailed,
			[]string{"demo/runtime-config.json isn't there; name a plugin's folder, or make one with wasmctl init"},
		},
		{
			"a description that is cut off", func(t *testing.T) { t.Helper(); write(t, config, `{"name": "demo"`) },
			nil, cli.ExitFailed,
			[]string{"runtime-config.json can't be read"},
		},
		{
			"a huge description", func(t *testing.T) { t.Helper(); write(t, config, strings.Repeat(" ", runtimeconfig.MaxSize+1)) },
			nil, cli.ExitFailed,
			[]string{"runtime-config.json is larger than 1024 KiB"},
		},
		{
			"an unknown language", func(t *testing.T) { t.Helper(); replace(t, config, `"language": "go"`, `"language": "cobol"`) },
			nil, cli.ExitFailed,
			[]string{`runtime-config.json: language "cobol" is none of go, tinygo`},
		},
		{"no place", nil, []string{"--file", "nowhere/filter.wasm"}, cli.ExitFailed, []string{"the folder nowhere isn't there"}},
		{"a folder in its place", nil, []string{"--file", "demo"}, cli.ExitFailed, []string{"demo is there and is no file"}},
		{"two folders", nil, []string{"demo"}, cli.ExitFailed, []string{"give one folder at most"}},
		{"an unknown form", nil, []string{"-o", "filter.wasm"}, cli.ExitFailed, []string{`--output "filter.wasm" is none of text, json, yaml`}},
	} {
		t.Run(row.name, func(t *testing.T) {
			plugin(t, scaffold.Go)
			if row.change != nil {
				row.change(t)
			}
			out, code, said := call(t.Context(), newBuild(), append([]string{"demo"}, row.args...)...)
			if code != row.code || out != "" {
				t.Errorf("code %d, output %q, want code %d", code, out, row.code)
			}
			for _, want := range row.want {
				if !strings.Contains(said, want) {
					t.Errorf("it said\n%s\nwant %q", said, want)
				}
			}
			checkEarlier(t)
		})
	}
}

// checkEarlier: a build that fails leaves what was there, and nothing else.
func checkEarlier(t *testing.T) {
	t.Helper()
	if got := read(t, "demo/"+moduleName); got != earlier {
		t.Errorf("%s was overwritten with %d bytes", moduleName, len(got))
	}
	checkAlone(t, "demo")
	if hidden, _ := filepath.Glob("demo/.filter*"); len(hidden) > 0 {
		t.Errorf("left behind: %s", hidden)
	}
}
