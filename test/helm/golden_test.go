// SPDX-License-Identifier: Apache-2.0

package helm

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "rewrite testdata/*.out.yaml")

const (
	inSuffix  = ".in.yaml"
	outSuffix = ".out.yaml"
)

// TestGolden compares what the chart makes of testdata/CASE.in.yaml, which are values, with testdata/CASE.out.yaml.
func TestGolden(t *testing.T) {
	for _, in := range cases(t) {
		t.Run(strings.TrimSuffix(filepath.Base(in), inSuffix), func(t *testing.T) {
			got := encode(t, render(t, in))
			out := strings.TrimSuffix(in, inSuffix) + outSuffix
			if *update {
				if err := os.WriteFile(out, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(out)
			if err != nil {
				t.Fatalf("%v; write it with: go test ./test/helm -update", err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("rendered otherwise (-want +got); if that is meant: go test ./test/helm -update\n%s", diff)
			}
		})
	}
}

// TestGoldenWithoutCase finds what a renamed or deleted case left behind.
func TestGoldenWithoutCase(t *testing.T) {
	outs, err := filepath.Glob("testdata/*" + outSuffix)
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range outs {
		if in := strings.TrimSuffix(out, outSuffix) + inSuffix; !slices.Contains(cases(t), in) {
			t.Errorf("%s has no %s", out, filepath.Base(in))
		}
	}
}

// cases are the files with values.
func cases(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*" + inSuffix)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no testdata/*" + inSuffix)
	}
	return files
}

// encode writes objects with sorted keys. Of a CRD only the metadata: its content is compared with that of config/crd; of
// a Secret only the keys: each run makes other values (see TestStoreCertificate); of a dashboard too (see TestDashboard).
func encode(t *testing.T, objects []*unstructured.Unstructured) []byte {
	t.Helper()
	var out bytes.Buffer
	for _, object := range objects {
		if object.GetKind() == "CustomResourceDefinition" {
			delete(object.Object, "spec")
		}
		if kind := object.GetKind(); kind == "Secret" || kind == "ConfigMap" {
			data := object.Object["data"].(map[string]any)
			for key := range data {
				data[key] = "…"
			}
		}
		document, err := yaml.Marshal(object.Object)
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString("---\n")
		out.Write(document)
	}
	return out.Bytes()
}
