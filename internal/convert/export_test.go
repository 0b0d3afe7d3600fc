// SPDX-License-Identifier: Apache-2.0

package convert_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"istio.io/api/extensions/v1alpha1"
	"sigs.k8s.io/yaml"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/convert"
)

// TestExportGolden makes Istio's WasmPlugin of ours, and ours of that again: equal where nothing was lost or noted.
func TestExportGolden(t *testing.T) {
	for _, path := range glob(t, "testdata/export/*.in.yaml") {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".in.yaml"), func(t *testing.T) {
			var documents []convert.Document
			for _, object := range readObjects(t, path) {
				plugin := &wasmv1alpha1.WasmPlugin{}
				if err := yaml.UnmarshalStrict(object.JSON, plugin); err != nil {
					t.Fatal(err)
				}
				exported := convert.ToIstio(plugin)
				notes := exported.Notes
				for _, lost := range exported.Lost {
					notes = append(notes, "LOST "+lost)
				}
				if exported.Impossible != "" {
					notes = append(notes, "IMPOSSIBLE "+exported.Impossible)
				}
				documents = append(documents, convert.Document{Notes: notes, Object: exported.Object})
				isIstios(t, exported.Object)
				if exported.Impossible == "" {
					roundTrip(t, plugin, exported)
				}
			}
			out, err := convert.Documents(documents)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, strings.TrimSuffix(path, ".in.yaml")+".out.yaml", out)
		})
	}
	orphans(t, "testdata/export")
}

// isIstios reads it as istiod does, which takes no field that it doesn't know.
func isIstios(t *testing.T, object map[string]any) {
	t.Helper()
	raw, err := json.Marshal(object["spec"])
	if err != nil {
		t.Fatal(err)
	}
	if err := new(v1alpha1.WasmPlugin).UnmarshalJSON(raw); err != nil {
		t.Errorf("istiod can't read %s: %v", raw, err)
	}
}

func roundTrip(t *testing.T, plugin *wasmv1alpha1.WasmPlugin, exported convert.Exported) {
	t.Helper()
	raw, err := yaml.Marshal(exported.Object)
	if err != nil {
		t.Fatal(err)
	}
	result := convert.Import(parseObjects(t, "exported.yaml", string(raw)), convert.Options{RootNamespace: root})
	if len(result.Plugins) != 1 {
		t.Fatalf("not one plugin: %+v", result)
	}
	translates(t, result.Plugins[0].Plugin)
	if lossless := len(exported.Lost) == 0 && len(exported.Notes) == 0; !lossless {
		return
	}
	plugin.Spec.Activation = wasmv1alpha1.Activation{} // Immediate is all that Istio has, and no field there
	if diff := cmp.Diff(document(t, plugin), document(t, result.Plugins[0].Plugin)); diff != "" {
		t.Errorf("%s comes back another (-ours +again):\n%s", plugin.Name, diff)
	}
	if again := convert.ToIstio(result.Plugins[0].Plugin); fmt.Sprint(again.Object) != fmt.Sprint(exported.Object) {
		t.Errorf("%s is another the second time: %v, then %v", plugin.Name, exported.Object, again.Object)
	}
}

func document(t *testing.T, value any) string {
	t.Helper()
	raw, err := yaml.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
