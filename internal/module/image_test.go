// SPDX-License-Identifier: Apache-2.0

package module

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

func TestImageFormats(t *testing.T) {
	content := plugin{}.bytes()
	packed := zipped(tarred(file(moduleFile, content)))
	other := ociImage(file(moduleFile, ofSize(3)))
	good := ociImage(file(moduleFile, content))
	tests := map[string]remote.Taggable{
		"docker v2 layer": image(types.DockerManifestSchema2, layer(types.DockerLayer, packed)),
		"docker v2, last of layers": image(types.DockerManifestSchema2,
			layer(types.DockerLayer, zipped(tarred(file("etc/os-release", nil)))), layer(types.DockerLayer, packed)),
		"OCI layer":              good,
		"OCI layer, ./ before":   ociImage(file("./"+moduleFile, content)),
		"OCI layer, in a folder": ociImage(file("README", []byte("hello")), file("app/"+moduleFile, content)),
		"artifact as Istio has it": image(types.OCIManifestSchema1,
			layer(istioLayer, content), layer("application/vnd.module.wasm.config.v1+json", []byte("{}"))),
		"artifact of one layer": image(types.OCIManifestSchema1, layer(istioLayer, content)),
		"artifact of the CNCF":  image(types.OCIManifestSchema1, layer(wasmLayer, content)),
		"index": indexOf(types.OCIImageIndex, map[string]mutate.Appendable{"linux/arm64": other, "linux/amd64": good},
			"linux/arm64", "linux/amd64"),
		"index without a platform": indexOf(types.OCIImageIndex, map[string]mutate.Appendable{"": good, "linux/amd64": other},
			"", "linux/amd64"),
		"docker manifest list": indexOf(types.DockerManifestList, map[string]mutate.Appendable{"windows/amd64": other, "linux/amd64": good},
			"windows/amd64", "linux/amd64"),
	}
	registry := newImages(t)
	fetcher := newFetcher(t, trusting(registry.Server))
	for title, pushed := range tests {
		t.Run(title, func(t *testing.T) {
			resolved := registry.push(t, pushed)
			manifest := resolved
			if _, ok := pushed.(v1.ImageIndex); ok {
				manifest = must(good.Digest()).String()
			}
			want := Facts{
				Digest: digestOf(content), ManifestDigest: manifest, ResolvedDigest: resolved, Size: int64(len(content)), ABI: "0.2.1",
				Source: registry.url("@" + manifest),
			}
			for _, rawURL := range []string{registry.url(":1"), registry.url("@" + resolved)} {
				got, err := fetcher.Fetch(t.Context(), parse(t, rawURL), nil)
				if err != nil {
					t.Fatal(err)
				}
				if got.Facts != want || !bytes.Equal(got.Content, content) {
					t.Errorf("%s: got %+v, %d bytes, want %+v", rawURL, got.Facts, len(got.Content), want)
				}
			}
			again, err := fetcher.Fetch(t.Context(), parse(t, want.Source), nil)
			if err != nil || again.Digest != want.Digest {
				t.Errorf("the source does not lead to the same module: %v", err)
			}
		})
	}
}

func TestRow6And7SHA256(t *testing.T) {
	content := plugin{}.bytes()
	registry := newImages(t)
	web := server(t, serving(zipped(tarred(file("a.wasm", content)))))
	good := ociImage(file(moduleFile, content))
	child := must(good.Digest()).Hex
	index := strings.TrimPrefix(registry.push(t, indexOf(types.OCIImageIndex, map[string]mutate.Appendable{"linux/amd64": good}, "linux/amd64")), sha256Prefix)
	module := strings.TrimPrefix(digestOf(content), sha256Prefix)
	fetcher := newFetcher(t, trusting(registry.Server, web))
	tests := map[string]struct {
		url, sha256 string
		want        Kind
	}{
		"http: of the unpacked module":    {web.URL, module, ""},
		"row 7: http, another":            {web.URL, someHex, DigestMismatch},
		"oci: of the image":               {registry.url(":1"), child, ""},
		"oci: of the index":               {registry.url(":1"), index, ""},
		"row 7: oci, another":             {registry.url(":1"), someHex, DigestMismatch},
		"row 7: oci, the module's":        {registry.url(":1"), module, DigestMismatch},
		"oci: the index, and twice so":    {registry.url("@sha256:" + index), index, ""},
		"row 7: a digest nobody serves":   {registry.url("@sha256:" + someHex), "", NotFound},
		"row 7: a tag that nobody serves": {registry.url(":2"), child, NotFound},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			ref, err := Parse(tc.url, tc.sha256)
			if err != nil {
				t.Fatal(err)
			}
			_, err = fetcher.Fetch(t.Context(), ref, nil)
			wantKind(t, err, tc.want)
			if tc.want == "" && err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRow7TheRegistryServesSomethingElse(t *testing.T) {
	content := plugin{}.bytes()
	evil := plugin{exports: []string{"proxy_abi_version_0_2_1", "malloc", "evil"}}.bytes()
	tests := map[string]struct {
		pushed v1.Image
		kind   string
		served []byte
	}{
		"row 7: manifest":                    {ociImage(file(moduleFile, content)), "manifests", []byte(`{"layers":[]}`)},
		"row 7: layer":                       {ociImage(file(moduleFile, content)), "blobs", zipped(tarred(file(moduleFile, evil)))},
		"row 7: layer that is no archive":    {ociImage(file(moduleFile, content)), "blobs", []byte("<html>" + secret)},
		"row 7: layer with bytes behind":     {ociImage(file(moduleFile, content)), "blobs", append(zipped(tarred(file(moduleFile, content))), 0)},
		"row 7: artifact":                    {image(types.OCIManifestSchema1, layer(wasmLayer, content)), "blobs", evil},
		"row 7: artifact that is no module":  {image(types.OCIManifestSchema1, layer(wasmLayer, content)), "blobs", []byte("{}")},
		"row 7: artifact, the first of many": {image(types.OCIManifestSchema1, layer(wasmLayer, content)), "blobs", append(content, 0, 0)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			registry := newImages(t)
			digest := registry.push(t, tc.pushed)
			registry.before = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, "/"+tc.kind+"/") {
					return false
				}
				_, _ = w.Write(tc.served)
				return true
			}
			_, err := newFetcher(t, trusting(registry.Server)).Fetch(t.Context(), parse(t, registry.url("@"+digest)), nil)
			wantKind(t, err, DigestMismatch)
		})
	}
}

// listing is a manifest as a list of descriptors.
func listing(field, descriptor string, times int) []byte {
	return []byte(`{"schemaVersion":2,"` + field + `":[` + strings.TrimSuffix(strings.Repeat(descriptor+",", times), ",") + `]}`)
}

func TestRow9Manifests(t *testing.T) {
	descriptor := func(media types.MediaType, more string) string {
		return fmt.Sprintf(`{"mediaType":%q,"size":10,"digest":"sha256:%s"%s}`, media, someHex, more)
	}
	oci := descriptor(types.OCILayer, "")
	for name, tc := range map[string]struct {
		manifest []byte
		want     Kind
	}{
		"row 9: 0 layers":                       {listing("layers", oci, 0), BadArtifact},
		"row 9: no list":                        {[]byte(`{"layers":null}`), BadArtifact},
		"row 9: 1000 layers":                    {listing("layers", oci, 1000), BadArtifact},
		"row 9: a million empty layers":         {listing("layers", "{}", 1_000_000), BadArtifact},
		"row 9: a million empty images":         {listing("manifests", "{}", 1_000_000), BadArtifact},
		"row 9: wrong media type":               {listing("layers", descriptor("text/plain", ""), 1), BadArtifact},
		"row 9: zstd":                           {listing("layers", descriptor(types.OCILayerZStd, ""), 1), BadArtifact},
		"row 9: two modules":                    {listing("layers", descriptor(wasmLayer, ""), 2), BadArtifact},
		"row 9: index of indexes":               {listing("manifests", descriptor(types.OCIImageIndex, ""), 1), BadArtifact},
		"row 9: index for others":               {listing("manifests", descriptor(types.OCIManifestSchema1, `,"platform":{"os":"linux","architecture":"arm64"}`), 1), BadArtifact},
		"row 9: index that leads nowhere":       {listing("manifests", descriptor(types.OCIManifestSchema1, ""), 1), NotFound},
		"row 9: index without a digest":         {listing("manifests", `{}`, 1), BadArtifact},
		"row 9: image and index":                {[]byte(`{"layers":[` + oci + `],"manifests":[` + oci + `]}`), BadArtifact},
		"row 9: manifest of 50 MB":              {bytes.Repeat([]byte(" "), 50_000_000), BadArtifact},
		"row 9: layer of 8 GiB":                 {[]byte(strings.Replace(string(listing("layers", oci, 1)), "10", "8589934592", 1)), TooLarge},
		"row 9: layer of less than nothing":     {[]byte(strings.Replace(string(listing("layers", oci, 1)), "10", "-10", 1)), NotFound},
		"row 9: digest of SHA-512":              {listing("layers", strings.Replace(oci, "sha256:", "sha512:"+someHex, 1), 1), BadArtifact},
		"row 9: digest that is a path":          {listing("layers", strings.Replace(oci, someHex, "../../../v1", 1), 1), BadArtifact},
		"row 9: layer elsewhere is not fetched": {listing("layers", descriptor(types.OCILayer, `,"urls":["https://169.254.169.254/"]`), 1), NotFound},
		"row 9: schema 1":                       {[]byte(`{"schemaVersion":1,"fsLayers":[{}]}`), BadArtifact},
		"row 9: nested 5000 deep":               {[]byte(`{"layers":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`), BadArtifact},
		"row 9: layers that are no list":        {[]byte(`{"layers":{"a":1}}`), BadArtifact},
		"row 9: a number":                       {[]byte(`7`), BadArtifact},
		"row 9: cut short":                      {[]byte(`{"layers":[`), BadArtifact},
		"row 12: HTML":                          {[]byte("<html>" + secret), BadArtifact},
	} {
		t.Run(name, func(t *testing.T) {
			registry := newImages(t)
			tag := "/manifests/1"
			registry.before = func(w http.ResponseWriter, r *http.Request) bool {
				if strings.HasSuffix(r.URL.Path, tag) {
					_, _ = w.Write(tc.manifest)
					return true
				}
				return false
			}
			fetcher, ref := newFetcher(t, trusting(registry.Server)), parse(t, registry.url(":1"))
			var err error
			bytes := allocated(func() { _, err = fetcher.Fetch(t.Context(), ref, nil) })
			wantKind(t, err, tc.want)
			if bytes > 48*mib {
				t.Errorf("allocated %d MiB", bytes/mib)
			}
			if tc.want == BadArtifact || tc.want == TooLarge {
				if asked := registry.asked(); len(asked) != 1 {
					t.Errorf("went on asking: %v", asked)
				}
			}
		})
	}
}

func TestDescriptorsReadTheLastOfTwoLists(t *testing.T) {
	// As encoding/json does, which Istio's agent reads manifests with.
	var list descriptors
	list.limit = 9
	check(json.Unmarshal([]byte(`[{"size":1},{"size":2}]`), &list))
	check(json.Unmarshal([]byte(`[{"size":3}]`), &list))
	if len(list.list) != 1 || list.list[0].Size != 3 {
		t.Errorf("got %+v", list.list)
	}
}
