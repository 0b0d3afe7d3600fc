// SPDX-License-Identifier: Apache-2.0

package module

import (
	"archive/tar"
	"bytes"
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

func TestWebFormats(t *testing.T) {
	content := plugin{}.bytes()
	folder := &tarEntry{header: tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755}}
	tests := map[string][]byte{
		"plain":                        content,
		"gzip":                         zipped(content),
		"gzip in gzip":                 zipped(zipped(content)),
		"tar":                          tarred(file("auth.wasm", content)),
		"tar.gz":                       zipped(tarred(file("auth.wasm", content))),
		"tar.gz of a folder":           zipped(tarred(folder, file("./auth.wasm", content))),
		"tar of a gzip":                tarred(file("auth.wasm.gz", zipped(content))),
		"tar.gz, first of files":       zipped(tarred(file("auth.wasm", content), file("README", []byte("hello")))),
		"tar.gz, a link before":        zipped(tarred(link("a"), file("auth.wasm", content))),
		"gzip of two members":          append(zipped(content[:20]), zipped(content[20:])...),
		"row 11: duplicate, first one": tarred(file("a.wasm", content), file("a.wasm", ofSize(1))),
	}
	for name, served := range tests {
		t.Run(name, func(t *testing.T) {
			web := server(t, serving(served))
			got, err := newFetcher(t, trusting(web)).Fetch(t.Context(), parse(t, web.URL+"/auth?"+secret), nil)
			if err != nil {
				t.Fatal(err)
			}
			want := Facts{Digest: digestOf(content), Size: int64(len(content)), ABI: "0.2.1", Source: web.URL + "/auth@" + digestOf(content)}
			if got.Facts != want || !bytes.Equal(got.Content, content) {
				t.Errorf("got %+v, want %+v", got.Facts, want)
			}
		})
	}
}

func TestTheServersOwnCompressionIsBoundedToo(t *testing.T) {
	content := plugin{}.bytes()
	web := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "" {
			t.Errorf("asks for %q, which net/http would unpack without a bound", r.Header.Get("Accept-Encoding"))
		}
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(zipped(content))
	}))
	got, err := newFetcher(t, trusting(web)).Fetch(t.Context(), parse(t, web.URL), nil)
	if err != nil || !bytes.Equal(got.Content, content) {
		t.Error(err)
	}
}

func link(name string) *tarEntry {
	return &tarEntry{header: tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}}
}

// bomb is 10 GiB of gzip members in 10 MB, after what begins as a module.
func bomb() []byte {
	zeros := zipped(make([]byte, 16*mib))
	return append(zipped(plugin{}.bytes()), bytes.Repeat(zeros, 640)...)
}

// claiming is a file whose header promises more than there is.
func claiming(name string, size int64) *tarEntry {
	return &tarEntry{header: tar.Header{Name: name, Typeflag: tar.TypeReg, Size: size}}
}

// sparse is a file of 8 GiB in the form of GNU tar, most of which is a hole.
func sparse(name string) []byte {
	// The first number of a record is its own length.
	records := []byte("22 GNU.sparse.major=0\n22 GNU.sparse.minor=1\n30 GNU.sparse.size=8589934592\n26 GNU.sparse.numblocks=1\n22 GNU.sparse.map=0,8\n")
	archive := tarred(&tarEntry{tar.Header{Name: "x", Typeflag: tar.TypeReg, Size: int64(len(records))}, records}, file(name, plugin{}.bytes()[:8]))
	archive[156] = tar.TypeXHeader
	return withChecksum(archive)
}

// withChecksum mends the first header's checksum after a change.
func withChecksum(archive []byte) []byte {
	copy(archive[148:156], "        ")
	sum := 0
	for _, b := range archive[:tarBlock] {
		sum += int(b)
	}
	digits := []byte("000000")
	for i := range digits {
		digits[len(digits)-1-i] += byte(sum & 7)
		sum >>= 3
	}
	copy(archive[148:156], append(digits, 0, ' '))
	return archive
}

// outcome is what became of something that was served as a file and as a layer, and the most that a fetch allocated.
type outcome struct {
	web, oci error
	bytes    uint64
}

func fetchBoth(t *testing.T, served []byte, limits Limits) (got outcome) {
	t.Helper()
	files, registry := server(t, serving(served)), newImages(t)
	registry.push(t, image(types.OCIManifestSchema1, layer(types.OCILayer, served)))
	options := trusting(files, registry.Server)
	options.Limits = limits
	fetcher := newFetcher(t, options)
	file, tagged := parse(t, files.URL), parse(t, registry.url(":1"))
	web := allocated(func() { _, got.web = fetcher.Fetch(t.Context(), file, nil) })
	oci := allocated(func() { _, got.oci = fetcher.Fetch(t.Context(), tagged, nil) })
	got.bytes = max(web, oci)
	return got
}

func TestRow10Bombs(t *testing.T) {
	small := Limits{Module: 8 * mib}
	random := make([]byte, 9*mib)
	must(rand.Read(random))
	large := append(plugin{}.bytes(), section(0, append(text("x"), random...))...)
	sparseFile := sparse("a/" + moduleFile)
	tests := map[string]struct {
		served   []byte
		limits   Limits
		web, oci Kind
	}{
		"row 10: gzip bomb, default limits": {bomb(), Limits{}, TooLarge, BadArtifact},
		"row 10: gzip bomb, by size":        {bomb(), Limits{Module: 8 * mib, Ratio: 1 << 40}, TooLarge, BadArtifact},
		"row 10: nested gzip bomb":          {zipped(bomb()), Limits{}, TooLarge, BadArtifact},
		"row 10: gzip bomb in tar.gz":       {zipped(tarred(file(moduleFile, bomb()))), Limits{}, TooLarge, NotWasm},
		"row 10: bomb beside the module":    {zipped(tarred(file("a", make([]byte, 40*mib)), file(moduleFile, plugin{}.bytes()))), Limits{}, NotWasm, TooLarge},
		"row 10: large files beside the module": {
			zipped(tarred(file(moduleFile, plugin{}.bytes()), file("a", make([]byte, 40*mib)))), Limits{Module: 8 * mib, Ratio: 1 << 40}, "", TooLarge,
		},
		"row 10: tar that claims 8 GiB":       {zipped(tarred(claiming(moduleFile, 8<<30))), Limits{}, TooLarge, TooLarge},
		"row 10: other file claims 8 GiB":     {zipped(tarred(claiming("other", 8<<30))), Limits{}, TooLarge, BadArtifact},
		"row 10: claims 1 MiB":                {zipped(tarred(claiming(moduleFile, mib))), Limits{}, BadArtifact, BadArtifact},
		"row 10: sparse, in gzip":             {zipped(sparseFile), Limits{}, BadArtifact, BadArtifact},
		"row 10: PAX header of 8 GiB":         {zipped(paxClaiming(8<<30 - 1)), Limits{}, BadArtifact, BadArtifact},
		"row 10: module above the limit":      {zipped(tarred(file(moduleFile, large))), small, TooLarge, TooLarge},
		"row 10: download above the limit":    {large, Limits{Compressed: 8 * mib}, TooLarge, TooLarge},
		"row 10: more wrappings than allowed": {zipped(zipped(zipped(zipped(plugin{}.bytes())))), Limits{}, BadArtifact, BadArtifact},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := fetchBoth(t, tc.served, tc.limits)
			wantKind(t, got.web, tc.web)
			wantKind(t, got.oci, tc.oci)
			if strings.Contains(name, "sparse") && (got.web == nil || !strings.Contains(got.web.Error(), "holes")) {
				t.Errorf("not refused for its holes: %v", got.web)
			}
			limit := tc.limits.Module
			if limit == 0 {
				limit = 16 * mib // what the ratio lets through
			}
			if got.bytes > uint64(limit)+32*mib {
				t.Errorf("allocated %d MiB", got.bytes/mib)
			}
		})
	}
}

// paxClaiming is an extended header whose size is a lie.
func paxClaiming(size int64) []byte {
	archive := tarred(claiming("x", size))
	archive[156] = tar.TypeXHeader
	return withChecksum(archive)
}

func TestLimitsAreInclusive(t *testing.T) {
	content := ofSize(1000)
	exactly := Limits{Module: int64(len(content)), Compressed: int64(len(content))}
	web := server(t, serving(content))
	options := trusting(web)
	options.Limits = exactly
	if _, err := newFetcher(t, options).Fetch(t.Context(), parse(t, web.URL), nil); err != nil {
		t.Errorf("a module as large as may be: %v", err)
	}
	options.Limits.Module--
	_, err := newFetcher(t, options).Fetch(t.Context(), parse(t, web.URL), nil)
	wantKind(t, err, TooLarge)
}

func TestRow11Tars(t *testing.T) {
	good, evil := plugin{}.bytes(), plugin{exports: []string{"evil"}}.bytes()
	hard := &tarEntry{header: tar.Header{Name: moduleFile, Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}}
	tests := map[string]struct {
		entries  []*tarEntry
		web, oci Kind
	}{
		"row 11: path that leads out":            {[]*tarEntry{file("../"+moduleFile, good)}, BadArtifact, BadArtifact},
		"row 11: path that leads out, later":     {[]*tarEntry{file("a/../../"+moduleFile, good)}, BadArtifact, BadArtifact},
		"row 11: absolute path":                  {[]*tarEntry{file("/"+moduleFile, good)}, BadArtifact, BadArtifact},
		"row 11: symbolic link":                  {[]*tarEntry{link(moduleFile)}, BadArtifact, BadArtifact},
		"row 11: hard link":                      {[]*tarEntry{hard}, BadArtifact, BadArtifact},
		"row 11: symbolic link, then the module": {[]*tarEntry{link(moduleFile), file(moduleFile, good)}, "", BadArtifact},
		"row 11: duplicate":                      {[]*tarEntry{file(moduleFile, good), file(moduleFile, evil)}, "", BadArtifact},
		"row 11: duplicate in a folder":          {[]*tarEntry{file(moduleFile, good), file("a/"+moduleFile, evil)}, "", BadArtifact},
		"row 11: nothing":                        {nil, BadArtifact, BadArtifact},
		"row 11: another name":                   {[]*tarEntry{file("auth.wasm", good)}, "", BadArtifact},
		"row 11: no module in the file":          {[]*tarEntry{file(moduleFile, []byte(secret))}, NotWasm, NotWasm},
		"row 11: empty file":                     {[]*tarEntry{file(moduleFile, nil)}, NotWasm, NotWasm},
		"row 11: too many files":                 {slices.Repeat([]*tarEntry{link("a")}, 1001), BadArtifact, BadArtifact},
		"1000 files":                             {append(slices.Repeat([]*tarEntry{link("a")}, 999), file(moduleFile, good)), "", ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			archive := tarred(tc.entries...)
			if len(tc.entries) == 0 {
				archive = make([]byte, 2*tarBlock) // an end and nothing before it
				copy(archive[tarMagicAt:], tarMagic)
			}
			got := fetchBoth(t, zipped(archive), Limits{})
			wantKind(t, got.web, tc.web)
			wantKind(t, got.oci, tc.oci)
		})
	}
}

func TestRow12WhatIsNoModule(t *testing.T) {
	good := plugin{}.bytes()
	tests := map[string]struct {
		content []byte
		want    Kind
	}{
		"row 12: HTML":                   {[]byte("<!DOCTYPE html><html>" + secret), NotWasm},
		"row 12: HTML after blanks":      {[]byte("\n  <html>" + secret), NotWasm},
		"row 12: JSON":                   {[]byte(`{"a":"` + secret + `"}`), NotWasm},
		"row 12: half of the magic":      {good[:3], NotWasm},
		"row 12: magic only":             {good[:4], NotWasm},
		"row 12: no sections":            {good[:8], Unsupported},
		"row 12: truncated":              {good[:len(good)-1], NotWasm},
		"row 12: truncated in a section": {good[:20], NotWasm},
		"row 12: component":              {append([]byte("\x00asm\x0d\x00\x01\x00"), good[8:]...), NotWasm},
		"row 12: version 2":              {append([]byte("\x00asm\x02\x00\x00\x00"), good[8:]...), NotWasm},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			web, registry := server(t, serving(tc.content)), newImages(t)
			fetcher := newFetcher(t, trusting(web, registry.Server))
			_, err := fetcher.Fetch(t.Context(), parse(t, web.URL), nil)
			wantKind(t, err, tc.want)
			for _, pushed := range []v1.Image{
				image(types.OCIManifestSchema1, layer(wasmLayer, tc.content)), ociImage(file(moduleFile, tc.content)),
			} {
				registry.push(t, pushed)
				_, err := fetcher.Fetch(t.Context(), parse(t, registry.url(":1")), nil)
				wantKind(t, err, tc.want)
			}
		})
	}
}
