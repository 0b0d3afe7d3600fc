// SPDX-License-Identifier: Apache-2.0

package translate_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/rules"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// refusal is what a golden file holds for a spec that can't be used.
type refusal struct {
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// TestGolden renders testdata/*.in.yaml and compares with *.out.yaml, byte by byte. A case is two files and no code. What
// begins with trial- or canary- is rendered as one.
func TestGolden(t *testing.T) {
	inputs := glob(t, "testdata/*.in.yaml")
	for _, path := range inputs {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".in.yaml"), func(t *testing.T) {
			golden := strings.TrimSuffix(path, ".in.yaml") + ".out.yaml"
			got := render(t, path)
			if *update {
				if err := os.WriteFile(golden, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("differs from %s (-want +got), rewrite with -update:\n%s", golden, diff)
			}
		})
	}
	for _, golden := range glob(t, "testdata/*.out.yaml") {
		if _, err := os.Stat(strings.TrimSuffix(golden, ".out.yaml") + ".in.yaml"); err != nil {
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

// extras are what else a case is made of, in a second document.
type extras struct {
	translate.Options `json:",inline"`

	ConfigMaps map[string]map[string]string `json:"configMaps"`
	Secrets    map[string]map[string]string `json:"secrets"`
	// Denied are Secrets that may not be read, and why.
	Denied map[string]string `json:"denied"`
	Ties   []string          `json:"ties"`
	// Module is what the URL led to.
	Module translate.Module `json:"module"`
	// Stable are the names of what a canary replaces.
	Stable []string `json:"stable"`
}

func (e extras) sources() rules.Sources {
	sources := rules.Sources{}
	add := func(kind rules.Kind, objects map[string]map[string]string) {
		for name, data := range objects {
			content := rules.Content{Data: map[string][]byte{}}
			for key, value := range data {
				content.Data[key] = []byte(value)
			}
			sources[rules.Object{Kind: kind, Name: name}] = content
		}
	}
	add(rules.ConfigMap, e.ConfigMaps)
	add(rules.Secret, e.Secrets)
	for name, why := range e.Denied {
		sources[rules.Object{Kind: rules.Secret, Name: name}] = rules.Content{Denied: why}
	}
	return sources
}

// readInput decodes strictly, so that a typing error in a case fails it.
func readInput(t testing.TB, path string) translate.Input {
	t.Helper()
	in, _ := readCase(t, path)
	return in
}

func readCase(t testing.TB, path string) (translate.Input, extras) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	documents := bytes.Split(raw, []byte("\n---\n"))
	plugin, more := &wasmv1alpha1.WasmPlugin{}, extras{Options: translate.Options{RootNamespace: "istio-system"}}
	if err := yaml.UnmarshalStrict(documents[0], plugin); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if len(documents) > 1 {
		if err := yaml.UnmarshalStrict(documents[1], &more); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	// What the API server adds.
	plugin.UID, plugin.Generation = "00000000-0000-0000-0000-000000000001", max(plugin.Generation, 1)
	return translate.Input{Plugin: plugin, Options: more.Options, Sources: more.sources(), Ties: more.Ties, Module: more.Module}, more
}

func render(t *testing.T, path string) []byte {
	t.Helper()
	in, more := readCase(t, path)
	pair, err := translate.Translate(in)
	kind, _, _ := strings.Cut(filepath.Base(path), "-")
	switch kind {
	case "trial":
		pair, err = translate.Trial(in, "a.0")
	case "canary":
		pair, err = translate.Canary(in, more.Stable, 0)
	}
	if err != nil {
		var invalid *translate.InvalidSpecError
		if !errors.As(err, &invalid) {
			t.Fatalf("not an InvalidSpecError: %v", err)
		}
		return document(t, refusal{Reason: invalid.Reason, Message: err.Error()})
	}
	var documents [][]byte
	for _, half := range pair.EnvoyFilters() {
		documents = append(documents, document(t, half.Object.Object))
	}
	if kind == "trial" || kind == "canary" {
		documents = append(documents, document(t, map[string]any{"content": pair.Content, "expectation": pair.Expectation}))
	}
	if len(pair.Notes) > 0 {
		documents = append(documents, document(t, map[string]any{"notes": pair.Notes}))
	}
	return bytes.Join(documents, []byte("---\n"))
}

func document(t *testing.T, value any) []byte {
	t.Helper()
	raw, err := yaml.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
