// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// now is when the plugins of testdata are looked at.
var now = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// pluginsIn reads testdata/NAME.yaml: documents of WasmPlugins with a status.
func pluginsIn(t *testing.T, path string) []*wasmv1alpha1.WasmPlugin {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var plugins []*wasmv1alpha1.WasmPlugin
	for document := range strings.SplitSeq(string(content), "\n---\n") {
		plugin := &wasmv1alpha1.WasmPlugin{}
		if err := yaml.UnmarshalStrict([]byte(document), plugin); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		plugins = append(plugins, plugin)
	}
	return plugins
}

// TestViews compares every form of testdata/*.yaml with *.golden.
func TestViews(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no input: %v", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			var views []view
			for _, plugin := range pluginsIn(t, path) {
				views = append(views, viewOf(plugin))
			}
			var got strings.Builder
			got.WriteString("=== text\n" + printer{now: now}.table(views, true))
			got.WriteString("=== wide\n" + printer{now: now, wide: true}.table(views, true))
			for _, v := range views {
				got.WriteString("=== detail\n" + printer{now: now}.detail(v))
				got.WriteString("=== on a terminal\n" + strings.ReplaceAll(printer{now: now, colours: true}.detail(v), "\x1b", "ESC"))
			}
			json, err := cli.Encode(views, cli.FormYAML)
			if err != nil {
				t.Fatal(err)
			}
			got.WriteString("=== yaml\n" + string(json))
			golden := strings.TrimSuffix(path, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("differs from %s (-want +got), rewrite with -update:\n%s", golden, diff)
			}
		})
	}
}
