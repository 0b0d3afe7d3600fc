// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

func TestPointsAt(t *testing.T) {
	const url = "http://store.example.com"
	digest := "sha256:" + strings.Repeat("9f", 32)
	public, private := store.Path(digest, ""), store.Path(digest, strings.Repeat("c", 43))
	tests := map[string]struct {
		store, uri string
		want       bool
	}{
		"public":          {url, url + public, true},
		"private":         {url, url + private, true},
		"trailing slash":  {url + "/", url + public, true},
		"another store":   {"http://other.example.com", url + public, false},
		"a longer host":   {url, url + ".org" + public, false},
		"not of a module": {url, url + "/modules/x.wasm", false},
		"direct":          {url, "https://plugins.example.com/a.wasm", false},
		"no store":        {"", public, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := pointsAt(filter(t, tc.uri), tc.store); got != tc.want {
				t.Errorf("got %v", got)
			}
		})
	}
	if pointsAt(&unstructured.Unstructured{}, url) {
		t.Error("an empty EnvoyFilter points at the store")
	}
}

func filter(t *testing.T, uri string) *unstructured.Unstructured {
	t.Helper()
	object := &unstructured.Unstructured{}
	err := yaml.Unmarshal([]byte(`{spec: {configPatches: [{applyTo: EXTENSION_CONFIG, patch: {value: {typed_config: {config: {vm_config: {
		code: {remote: {http_uri: {cluster: _, uri: "`+uri+`"}}}}}}}}}]}}`), &object.Object)
	if err != nil {
		t.Fatal(err)
	}
	return object
}

func TestJudge(t *testing.T) {
	needed := remains{crd: true, plugins: 1, filters: 2, pointing: []string{"shop/a-config", "shop/b-config"}}
	tests := map[string]struct {
		force         bool
		found         installed
		left          remains
		refused, said string
	}{
		"nothing there":         {false, installed{}, remains{}, "", ""},
		"nobody points":         {false, installed{}, remains{crd: true, plugins: 3, filters: 6}, "", ""},
		"the CRD goes alone":    {false, installed{takesCRD: true}, remains{crd: true}, "", ""},
		"pairs point":           {false, installed{}, needed, "2 EnvoyFilters point at the store", "# EnvoyFilter shop/b-config: "},
		"one points":            {false, installed{}, remains{pointing: []string{"x/y"}}, "1 EnvoyFilter points at the store", "# EnvoyFilter x/y: "},
		"forced":                {true, installed{}, needed, "", "# EnvoyFilter shop/a-config: "},
		"plugins would go":      {false, installed{takesCRD: true}, needed, "so 1 WasmPlugin would go with it", ""},
		"not by force either":   {true, installed{takesCRD: true}, needed, "crds.keep: false", ""},
		"plugins without pairs": {true, installed{takesCRD: true}, remains{plugins: 12}, "so 12 WasmPlugins would go", ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var errOut bytes.Buffer
			err := (&uninstallOptions{force: tc.force}).judge(tc.found, tc.left, &errOut)
			_, isRefusal := errors.AsType[*cli.RefusedError](err)
			if isRefusal != (tc.refused != "") || isRefusal && !strings.Contains(err.Error(), tc.refused) || !strings.Contains(errOut.String(), tc.said) {
				t.Errorf("got %v\n%s", err, &errOut)
			}
		})
	}
}

func TestManifestsThatCannotBeRead(t *testing.T) {
	if _, err := readManifests("kind: [\n"); err == nil || !strings.Contains(err.Error(), "the manifests of the release") {
		t.Errorf("got %v", err)
	}
}

func TestSaid(t *testing.T) {
	options := uninstallOptions{releaseOptions: releaseOptions{name: "r", namespace: "n"}}
	got := options.said(installed{}, remains{crd: true, plugins: 1, filters: 2})
	const want = "r is uninstalled from namespace n.\nThere remain: the CRD wasmplugins.wasm.solarmesh.io, 1 WasmPlugin and 2 EnvoyFilters. " +
		"To remove all of them: kubectl delete crd wasmplugins.wasm.solarmesh.io\n"
	if got != want {
		t.Errorf("got %s", got)
	}
	if got := options.said(installed{takesCRD: true}, remains{crd: true}); strings.Contains(got, "remain") {
		t.Errorf("the CRD is gone: %s", got)
	}
}
