// SPDX-License-Identifier: Apache-2.0

package module

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/solarmesh/wasmplugin-operator/internal/proxywasm"
)

// tight limits make a bomb of a few kilobytes.
var tight = Limits{Module: 64 * kib, Compressed: 64 * kib, Layers: 8, Entries: 16, Ratio: 200, Manifest: 64 * kib, InFlight: 8 * mib}

// fuzzCeiling is what the readers may allocate for a small input: their buffers, gzip's window and a tar's extended headers.
const fuzzCeiling = 16 * mib

func FuzzArchive(f *testing.F) {
	content := plugin{}.bytes()
	for _, seed := range [][]byte{
		content, zipped(content), tarred(file(moduleFile, content)), zipped(tarred(file("a/"+moduleFile, content))), zipped(zipped(content)),
		zipped(make([]byte, mib)), sparse(moduleFile), paxClaiming(1 << 40), zipped(tarred(link(moduleFile))), []byte("<html>"), nil,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, archive []byte) {
		for name, read := range map[string]func(unpacker) error{
			"web":   func(u unpacker) error { return u.anything(bytes.NewReader(archive), maxWrappings) },
			"layer": func(u unpacker) error { return u.layer(bytes.NewReader(archive)) },
			"raw":   func(u unpacker) error { return u.raw(bytes.NewReader(archive)) },
		} {
			memory := NewMemory(tight)
			content := newBuffer(tight.Module, memory, "shop")
			var err error
			if bytes := allocated(func() { err = read(unpacker{tight, content}) }); bytes > fuzzCeiling {
				t.Errorf("%s: allocated %d bytes", name, bytes)
			}
			if err != nil && KindOf(err) == "" {
				t.Errorf("%s: %v is not a sentence for users", name, err)
			}
			if err == nil && (content.size > tight.Module || !bytes.HasPrefix(content.chunks[0], []byte(proxywasm.Magic))) {
				t.Errorf("%s: accepted %d bytes that are no module", name, content.size)
			}
			content.release()
			if memory.Held() != 0 || len(memory.byNamespace) != 0 {
				t.Errorf("%s: %d bytes are not given back", name, memory.Held())
			}
		}
	})
}

func FuzzInspect(f *testing.F) {
	f.Add(plugin{}.bytes())
	f.Add(plugin{imports: []string{"env.abort", "a.b"}, exports: []string{"proxy_abi_version_0_1_0", "malloc"}}.bytes())
	f.Add(ofSize(10)[:60])
	f.Add([]byte("\x00asm\x0d\x00\x01\x00"))
	f.Fuzz(func(t *testing.T, module []byte) {
		abi, err := Inspect(module)
		if (err == nil) != (proxywasm.HostFunctions(proxywasm.ABI(abi), proxywasm.ModuleEnv) != nil) {
			t.Errorf("ABI %q, error %v", abi, err)
		}
		if kind := KindOf(err); err != nil && kind != NotWasm && kind != Unsupported {
			t.Errorf("kind %q of %v", kind, err)
		}
		if err != nil && len(err.Error()) > 4*kib {
			t.Errorf("a message of %d bytes", len(err.Error()))
		}
	})
}

func FuzzManifest(f *testing.F) {
	good := `{"mediaType":"` + string(types.OCILayer) + `","size":10,"digest":"sha256:` + someHex + `","platform":{"os":"linux","architecture":"amd64"}}`
	f.Add(listing("layers", good, 2))
	f.Add(listing("manifests", good, 2))
	f.Add(listing("layers", "{}", 9))
	f.Add([]byte(`{"layers":null,"manifests":{}}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		parsed, err := parseManifest(content, tight.Layers)
		if err != nil {
			if KindOf(err) != BadArtifact {
				t.Errorf("kind %q of %v", KindOf(err), err)
			}
			return
		}
		if len(parsed.Layers.list) > tight.Layers || len(parsed.Manifests.list) > tight.Layers {
			t.Errorf("%d layers, %d images", len(parsed.Layers.list), len(parsed.Manifests.list))
		}
		if digest, err := parsed.forProxies(); err == nil && !hexDigest.MatchString(strings.TrimPrefix(digest, sha256Prefix)) {
			t.Errorf("leads to %q", digest)
		}
		if layer, _, err := parsed.module(); err == nil && layer.MediaType == "" {
			t.Errorf("a layer without a type: %+v", layer)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"oci://registry.example.com/a:1", "registry.example.com/a@sha256:" + someHex, "https://example.com/a?b", "http://[::1]:1/", "https://u:p@h/", "store://a",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, rawURL string) {
		ref, err := Parse(rawURL, "")
		if err != nil {
			if kind := KindOf(err); kind != InvalidReference && kind != Unsupported {
				t.Errorf("kind %q of %v", kind, err)
			}
			return
		}
		if again, err := Parse(ref.String(), ""); err != nil || again.String() != ref.String() || again.host() != ref.host() {
			t.Errorf("%q reads as %s, and that as %s (%v)", rawURL, ref, again, err)
		}
		if ref.host() == "" || strings.Contains(ref.host(), "@") {
			t.Errorf("%q has the host %q", rawURL, ref.host())
		}
	})
}
