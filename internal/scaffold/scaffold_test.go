// SPDX-License-Identifier: Apache-2.0

package scaffold_test

import (
	"bytes"
	"encoding/json"
	"go/format"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/httpcase"
	"github.com/solarmesh/wasmplugin-operator/internal/runtimeconfig"
	"github.com/solarmesh/wasmplugin-operator/internal/scaffold"
	"github.com/solarmesh/wasmplugin-operator/internal/schema"
)

// common are the files that every language has.
var common = []string{".gitignore", "README.md", "plugin.yaml", "runtime-config.json", "testdata/headers.http"}

// name begins with a digit, as the names of few things may.
const name = "1-demo"

func TestFiles(t *testing.T) {
	for language, own := range map[string][]string{
		scaffold.Go:             {"go.mod", "go.sum", "main.go", "main_test.go"},
		scaffold.TinyGo:         {"go.mod", "go.sum", "main.go", "main_test.go"},
		scaffold.Rust:           {"Cargo.lock", "Cargo.toml", "src/lib.rs"},
		scaffold.AssemblyScript: {"assembly/index.ts", "assembly/json.ts", "assembly/tsconfig.json", "package-lock.json", "package.json"},
		scaffold.CPP:            {"json.h", "plugin.cc", "proxy_wasm.h"},
	} {
		t.Run(language, func(t *testing.T) {
			files := filesOf(t, language)
			want := map[string]bool{}
			for _, path := range append(own, common...) {
				want[path] = true
			}
			got := map[string]bool{}
			for path, content := range files {
				got[path] = true
				checkText(t, path, content)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

func checkText(t *testing.T, at string, content []byte) {
	t.Helper()
	if len(content) == 0 || bytes.Contains(content, []byte("<%")) || bytes.Contains(content, []byte("%>")) ||
		bytes.Contains(content, []byte("<no value>")) {
		t.Errorf("%s is empty, or was not filled in", at)
	}
	if !bytes.HasSuffix(content, []byte("\n")) || bytes.HasSuffix(content, []byte("\n\n")) {
		t.Errorf("%s must end with one line break", at)
	}
	switch path.Ext(at) {
	case ".go":
		if formatted, err := format.Source(content); err != nil || !bytes.Equal(formatted, content) {
			t.Errorf("%s is not as gofmt has it: %v", at, err)
		}
	case ".json":
		if !json.Valid(content) {
			t.Errorf("%s is no JSON", at)
		}
	}
}

// TestDescription: what a new plugin says of itself agrees with itself.
func TestDescription(t *testing.T) {
	for _, language := range scaffold.Languages() {
		t.Run(language.Name, func(t *testing.T) {
			files := filesOf(t, language.Name)
			config, err := runtimeconfig.Parse(files[runtimeconfig.FileName])
			if err != nil {
				t.Fatal(err)
			}
			if config.Name != name || config.Language != language.Name || config.ABI != language.ABI {
				t.Errorf("the description is of %s, in %s, for %s", config.Name, config.Language, config.ABI)
			}
			rules, err := schema.Compile(t.Context(), config.RulesSchema)
			if err != nil {
				t.Fatal(err)
			}
			checkRules(t, rules, string(config.DefaultRules), "")
			checkRules(t, rules, `{}`, "rules.headers is missing")
			checkRules(t, rules, `{"headers": {"hello": 1}}`, "rules.headers.hello")
			checkRules(t, rules, `{"headers": {"hello": "a\nb"}}`, "rules.headers.hello")
			checkRules(t, rules, `{"headers": {"hello you": ""}}`, "rules.headers")
			checkRules(t, rules, `{"headers": {}, "x": 1}`, "rules.x")
			checkSample(t, files["plugin.yaml"], config)
		})
	}
}

func checkRules(t *testing.T, rules *schema.Schema, text, want string) {
	t.Helper()
	findings, err := rules.Validate(t.Context(), "rules", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if (want == "") != (len(findings.Problems) == 0) || !strings.Contains(findings.String(), want) {
		t.Errorf("%s: the schema says %q, want %q", text, findings, want)
	}
}

// checkSample: the sample has the rules that count without it, and the name that the plugin registers.
func checkSample(t *testing.T, text []byte, config *runtimeconfig.Config) {
	t.Helper()
	var sample wasmv1alpha1.WasmPlugin
	if err := yaml.UnmarshalStrict(text, &sample); err != nil {
		t.Fatal(err)
	}
	if sample.Name != name || len(config.RootIDs) != 1 || sample.Spec.PluginName != config.RootIDs[0] {
		t.Errorf("the sample is %s for plugin %q; root IDs are %q", sample.Name, sample.Spec.PluginName, config.RootIDs)
	}
	var want, got any
	if err := json.Unmarshal(config.DefaultRules, &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(sample.Spec.Rules.Raw, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rules of the sample (-default +sample):\n%s", diff)
	}
}

func TestCases(t *testing.T) {
	cases, err := httpcase.Parse("headers.http", filesOf(t, scaffold.Go)["testdata/headers.http"])
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) != 4 {
		t.Errorf("%d cases, want 4", len(cases))
	}
}

func TestNames(t *testing.T) {
	for name, good := range map[string]bool{
		"a": true, "basic-auth": true, "7up": true, strings.Repeat("a", 63): true,
		"": false, "A": false, "a_b": false, "-a": false, "a-": false, "a.b": false, "../a": false, "a/b": false, "é": false, "a b": false,
		strings.Repeat("a", 64): false,
	} {
		err := scaffold.CheckName(name)
		if (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
		if err != nil && !strings.Contains(err.Error(), "lower-case letters, digits and -") {
			t.Errorf("%q: %v: it doesn't say what to do", name, err)
		}
		if _, err := scaffold.Files(scaffold.Languages()[0], name); (err == nil) != good {
			t.Errorf("files of %q: %v", name, err)
		}
	}
}

func TestFind(t *testing.T) {
	if language, err := scaffold.Find("rust"); err != nil || language.Title != "Rust" {
		t.Errorf("rust: %v, %v", language, err)
	}
	if _, err := scaffold.Find("cobol"); err == nil || !strings.Contains(err.Error(), "go, tinygo, rust, assemblyscript, cpp") {
		t.Errorf("cobol: %v", err)
	}
}

func filesOf(t *testing.T, language string) map[string][]byte {
	t.Helper()
	found, err := scaffold.Find(language)
	if err != nil {
		t.Fatal(err)
	}
	files, err := scaffold.Files(found, name)
	if err != nil {
		t.Fatal(err)
	}
	contents := map[string][]byte{}
	for _, file := range files {
		contents[file.Path] = file.Content
	}
	return contents
}
