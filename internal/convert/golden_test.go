// SPDX-License-Identifier: Apache-2.0

package convert_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/convert"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const root = "istio-system"

// TestImportGolden converts testdata/import/*.in.yaml and compares with *.out.yaml, byte by byte.
func TestImportGolden(t *testing.T) {
	for _, path := range glob(t, "testdata/import/*.in.yaml") {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".in.yaml"), func(t *testing.T) {
			result := convert.Import(readObjects(t, path), convert.Options{RootNamespace: root})
			out, err := convert.YAML(result.Plugins)
			if err != nil {
				t.Fatal(err)
			}
			for _, plugin := range result.Plugins {
				translates(t, plugin.Plugin)
			}
			out = append(out, remarks("skipped", result.Skipped)...)
			out = append(out, remarks("refused", result.Refused)...)
			golden(t, strings.TrimSuffix(path, ".in.yaml")+".out.yaml", out)
			again, err := convert.YAML(convert.Import(readObjects(t, path), convert.Options{RootNamespace: root}).Plugins)
			if err != nil || !bytes.HasPrefix(out, again) {
				t.Errorf("a second run differs: %v", err)
			}
		})
	}
	orphans(t, "testdata/import")
}

// translates reads the plugin back from YAML as the API server would get it.
func translates(t *testing.T, plugin *wasmv1alpha1.WasmPlugin) translate.Pair {
	t.Helper()
	raw, err := yaml.Marshal(plugin)
	if err != nil {
		t.Fatal(err)
	}
	read := &wasmv1alpha1.WasmPlugin{}
	if err := yaml.UnmarshalStrict(raw, read); err != nil {
		t.Fatalf("%v in\n%s", err, raw)
	}
	read.UID, read.Generation = "00000000-0000-0000-0000-000000000001", 1
	pair, err := translate.Translate(translate.Input{Plugin: read, Options: translate.Options{
		RootNamespace: root, AllowRootNamespaceScope: true, IstioVersion: "1.31", ResolveModules: true, StoreURL: "http://store.example.com",
	}})
	if err != nil {
		t.Errorf("%s/%s can't be rendered: %v", plugin.Namespace, plugin.Name, err)
	}
	return pair
}

func remarks(kind string, all []convert.Remark) []byte {
	var out bytes.Buffer
	for _, r := range all {
		fmt.Fprintf(&out, "# %s: %s: %s: %s\n", kind, r.Place, r.About, r.Why)
	}
	return out.Bytes()
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("differs from %s (-want +got), rewrite with -update:\n%s", path, diff)
	}
}

func orphans(t *testing.T, folder string) {
	t.Helper()
	for _, path := range glob(t, folder+"/*.out.yaml") {
		if _, err := os.Stat(strings.TrimSuffix(path, ".out.yaml") + ".in.yaml"); err != nil {
			t.Errorf("%s has no input", path)
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

func readObjects(t *testing.T, path string) []convert.Object {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return parseObjects(t, filepath.Base(path), string(raw))
}

func parseObjects(t *testing.T, file, text string) []convert.Object {
	t.Helper()
	var objects []convert.Object
	for i, document := range strings.Split(text, "\n---\n") {
		content, err := yaml.YAMLToJSONStrict([]byte(document))
		if err != nil {
			t.Fatalf("%s, document %d: %v", file, i, err)
		}
		var head struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
			Metadata   struct {
				Name      string `json:"name"`
				Namespace string `json:"namespace"`
			} `json:"metadata"`
		}
		if err := json.Unmarshal(content, &head); err != nil {
			t.Fatal(err)
		}
		objects = append(objects, convert.Object{
			Place: fmt.Sprintf("%s#%d", file, i), APIVersion: head.APIVersion, Kind: head.Kind,
			Namespace: head.Metadata.Namespace, Name: head.Metadata.Name, JSON: content,
		})
	}
	return objects
}
