// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/store"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

func remembered() Module {
	return Module{
		Digest: digestOf("one"), Manifest: manifestOf("one"), Resolved: manifestOf("index"), Source: "oci://registry.example.com/auth@" + manifestOf("one"),
		Size: 3, ABI: "0.2.1", VerifiedBy: "cosign key \"a\"", Capability: strings.Repeat("c", 43), Stored: true, Request: "r", Check: "c",
		Unsure: "proxy_http_call", Refresh: "2026-01-01", Always: true,
	}
}

func TestParse(t *testing.T) {
	for _, module := range []Module{remembered(), {Digest: digestOf("one")}, {}} {
		if diff := cmp.Diff(module, Parse(module.String())); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	good := remembered().String()
	with := func(change func(*Module)) string {
		module := remembered()
		change(&module)
		return module.String()
	}
	for name, annotation := range map[string]string{
		"nothing":                 "",
		"no JSON":                 "sha256:" + digestOf("one"),
		"half of it":              good[:len(good)/2],
		"a list":                  "[" + good + "]",
		"null":                    "null",
		"edited":                  strings.Replace(good, digestOf("one"), digestOf("two"), 1),
		"another size":            strings.Replace(good, `"size":3`, `"size":4`, 1),
		"without the checksum":    strings.Replace(good, `"sum":`, `"some":`, 1),
		"a short digest":          with(func(m *Module) { m.Digest = m.Digest[:70] }),
		"a digest in capitals":    with(func(m *Module) { m.Digest = "sha256:" + strings.ToUpper(m.Digest[7:]) }),
		"a path for a digest":     with(func(m *Module) { m.Digest = "sha256:../../../../etc/passwd" }),
		"a path for a capability": with(func(m *Module) { m.Capability = strings.Repeat("../", 14) + "a" }),
		"a number for a text":     strings.Replace(good, `"request":"r"`, `"request":1`, 1),
		"a text for a number":     strings.Replace(good, `"size":3`, `"size":"3"`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			if annotation == good {
				t.Fatal("the case changes nothing")
			}
			if got := Parse(annotation); got != (Module{}) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// FuzzParse: whatever stands in the annotation, which others can write, is no module or one whose names lead nowhere else,
// and what is written of it is read as the same.
func FuzzParse(f *testing.F) {
	f.Add(remembered().String())
	f.Add(Module{Digest: digestOf("one")}.String())
	f.Add(`{"digest":"sha256:..","capability":"/"}`)
	f.Fuzz(func(t *testing.T, annotation string) {
		module := Parse(annotation)
		if module == (Module{}) {
			return
		}
		if again := Parse(module.String()); again != module {
			t.Fatalf("%+v is read as %+v", module, again)
		}
		if (store.Reference{Digest: module.Digest, Capability: module.Capability}).Check() != nil {
			t.Fatalf("%+v is no module", module)
		}
	})
}

// TestLocated: proxies fetch by digest wherever they fetch.
func TestLocated(t *testing.T) {
	hex := strings.TrimPrefix(digestOf("one"), "sha256:")
	image := remembered()
	file := Module{Digest: digestOf("one"), Source: "https://plugins.example.com/auth.wasm@" + digestOf("one")}
	tests := map[string]struct {
		module Module
		spec   wasmv1alpha1.WasmPluginSpec
		want   translate.Module
	}{
		"an image of the store, private": {image, wasmv1alpha1.WasmPluginSpec{}, translate.Module{
			Digest: image.Digest, URL: "http://store.example.com/modules/private/" + image.Capability + "/" + hex + ".wasm", Checksum: hex,
		}},
		"a file of the store": {file, wasmv1alpha1.WasmPluginSpec{}, translate.Module{
			Digest: file.Digest, URL: "http://store.example.com/modules/sha256/" + hex + ".wasm", Checksum: hex,
		}},
		"an image itself": {image, wasmv1alpha1.WasmPluginSpec{Delivery: wasmv1alpha1.DeliveryDirect, URL: imageURL}, translate.Module{
			Digest: image.Digest, URL: "oci://registry.example.com/auth@" + manifestOf("one"), Checksum: strings.TrimPrefix(manifestOf("one"), "sha256:"),
		}},
		"a file itself, with its query": {file, wasmv1alpha1.WasmPluginSpec{Delivery: wasmv1alpha1.DeliveryDirect, URL: webURL + "?signature=x"}, translate.Module{
			Digest: file.Digest, URL: webURL + "?signature=x", Checksum: hex,
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			in := translate.Input{
				Plugin:  &wasmv1alpha1.WasmPlugin{Spec: test.spec},
				Options: translate.Options{ResolveModules: true, StoreURL: "http://store.example.com"},
			}
			if diff := cmp.Diff(test.want, test.module.Located(in)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
