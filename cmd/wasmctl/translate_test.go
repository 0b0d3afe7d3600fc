// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/internal/rules"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// TestRenderEqualsGoldensOfTranslate gives the inputs of translate's golden files to render, as a user would write them:
// the same comes out, byte by byte, and what is refused there is refused here with the same words.
func TestRenderEqualsGoldensOfTranslate(t *testing.T) {
	accepted, refused := 0, 0
	for _, path := range glob(t, "../../internal/translate/testdata/*.in.yaml") {
		if strings.Contains(read(t, path), "\nmodule: ") {
			continue // what the operator found on a server, and wasmctl finds with --fetch
		}
		name := strings.TrimSuffix(filepath.Base(path), ".in.yaml")
		if strings.HasPrefix(name, "trial-") || strings.HasPrefix(name, "canary-") {
			continue // those stand only while a cluster's proxies are asked
		}
		t.Run(name, func(t *testing.T) {
			stream, args := asStream(t, read(t, path))
			got := call(t, strings.NewReader(stream), append([]string{"render", "-f", "-"}, args...)...)
			golden := read(t, strings.TrimSuffix(path, ".in.yaml")+".out.yaml")
			var refusal struct{ Reason, Message string }
			if yaml.UnmarshalStrict([]byte(golden), &refusal) == nil && refusal.Reason != "" {
				refused++
				message := refusal.Message
				if refusal.Reason == wasmv1alpha1.ReasonReferenceNotPermitted {
					message, _, _ = strings.Cut(message, "isn't read: ") // the case has words of its own for why
				}
				if got.code != cli.ExitRefused || !strings.Contains(got.errOut, refusal.Reason) || !strings.Contains(got.errOut, cli.Printable(message)) {
					t.Errorf("got %s, want %s: %s", got, refusal.Reason, refusal.Message)
				}
				return
			}
			accepted++
			want, _, _ := strings.Cut(golden, "---\nnotes:\n")
			if diff := cmp.Diff(want, got.out); diff != "" || got.code != cli.ExitGood {
				t.Errorf("exit %d (-want +got):\n%s%s", got.code, diff, got.errOut)
			}
		})
	}
	if accepted < 50 || refused < 50 {
		t.Errorf("only %d accepted and %d refused cases were seen", accepted, refused)
	}
}

// asStream turns a case of translate into documents and flags: its second document has the sources and options.
func asStream(t *testing.T, content string) (string, []string) {
	t.Helper()
	first, second, _ := strings.Cut(content, "\n---\n")
	var plugin map[string]any
	if err := yaml.Unmarshal([]byte(first), &plugin); err != nil {
		t.Fatal(err)
	}
	metadata, _ := plugin["metadata"].(map[string]any)
	metadata["uid"] = "00000000-0000-0000-0000-000000000001" // so that the owner reference is there, too
	var more struct {
		translate.Options `json:",inline"`

		ConfigMaps, Secrets map[string]map[string]string
		Denied              map[string]string
		Ties                []string
	}
	if err := yaml.UnmarshalStrict([]byte(second), &more); err != nil {
		t.Fatal(err)
	}
	documents := []any{plugin}
	add := func(kind, name string, data map[string]string, labels map[string]string) {
		field := map[string]string{"ConfigMap": "data", "Secret": "stringData"}[kind]
		documents = append(documents, map[string]any{
			"apiVersion": "v1", "kind": kind, field: data,
			"metadata": map[string]any{"name": name, "namespace": metadata["namespace"], "labels": labels},
		})
	}
	for name, data := range more.ConfigMaps {
		add("ConfigMap", name, data, nil)
	}
	for name, data := range more.Secrets {
		add("Secret", name, data, map[string]string{wasmv1alpha1.LabelRules: wasmv1alpha1.RulesAllowed})
	}
	for name := range more.Denied {
		add("Secret", name, nil, nil)
	}
	args := []string{
		"--resolve-modules=" + strconv.FormatBool(more.ResolveModules), "--store-url=" + more.StoreURL,
		"--require-digest=" + strconv.FormatBool(more.RequireDigest), "--require-signature=" + strconv.FormatBool(more.RequireSignature),
	}
	if more.RootNamespace != "" {
		args = append(args, "--root-namespace", more.RootNamespace)
	}
	if more.IstioVersion != "" {
		args = append(args, "--istio-version", more.IstioVersion)
	}
	if more.AllowRootNamespaceScope {
		args = append(args, "--allow-root-namespace-scope")
	}
	return stream(t, first, documents), args
}

// stream writes documents; the first one's text stays as it is but for what was added to it.
func stream(t *testing.T, original string, documents []any) string {
	t.Helper()
	var parts []string
	for i, document := range documents {
		raw, err := yaml.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 { // numbers of rules must not pass through Go's
			raw = []byte(strings.Replace(original, "metadata:\n", "metadata:\n  uid: 00000000-0000-0000-0000-000000000001\n", 1))
			if !bytes.Contains(raw, []byte("uid:")) {
				raw = []byte(strings.Replace(original, "metadata: {", "metadata: {uid: 00000000-0000-0000-0000-000000000001, ", 1))
			}
		}
		parts = append(parts, string(raw))
	}
	return strings.Join(parts, "\n---\n")
}

// sampleStore is the store that some samples need.
const sampleStore = "http://store.example.com"

func TestRenderEqualsTranslateOfTheSamples(t *testing.T) {
	seen := 0
	for _, path := range glob(t, "../../config/samples/*.yaml") {
		if filepath.Base(path) == "kustomization.yaml" {
			continue
		}
		seen++
		t.Run(filepath.Base(path), func(t *testing.T) {
			got := call(t, nil, "render", "-f", path, "-o", "json", "--store-url", sampleStore)
			if diff := cmp.Diff(translated(t, read(t, path)), got.out); diff != "" || got.code != cli.ExitGood {
				t.Errorf("exit %d (-translate +render):\n%s%s", got.code, diff, got.errOut)
			}
		})
	}
	if seen < 10 {
		t.Errorf("only %d samples were seen", seen)
	}
}

// translated is what translate makes of a sample's documents, without the owner reference.
func translated(t *testing.T, sample string) string {
	t.Helper()
	sources, items := rules.Sources{}, []any{}
	for document := range strings.SplitSeq(sample, "\n---\n") {
		var object struct {
			Kind     string
			Metadata struct{ Name string }
			Data     map[string]string
		}
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			t.Fatal(err)
		}
		if object.Kind == "ConfigMap" {
			sources[rules.Object{Kind: rules.ConfigMap, Name: object.Metadata.Name}] = rules.Content{Data: rules.Texts(object.Data, nil)}
			continue
		}
		plugin := &wasmv1alpha1.WasmPlugin{}
		if err := yaml.UnmarshalStrict([]byte(document), plugin); err != nil {
			t.Fatal(err)
		}
		plugin.Generation = 1
		if plugin.Namespace == "" {
			plugin.Namespace = "default"
		}
		pair, err := translate.Translate(translate.Input{Plugin: plugin, Sources: sources, Options: translate.Options{
			RootNamespace: "istio-system", ResolveModules: true, StoreURL: sampleStore,
		}})
		if err != nil {
			t.Fatal(err)
		}
		for _, half := range pair.EnvoyFilters() {
			half.Object.SetOwnerReferences(nil)
			items = append(items, half.Object.Object)
		}
	}
	out, err := cli.JSON(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
	if err != nil || !json.Valid(out) {
		t.Fatal(err)
	}
	return string(out)
}
