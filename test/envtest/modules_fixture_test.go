// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// wasmMagic begins a core module.
const wasmMagic = "\x00asm\x01\x00\x00\x00"

// tinyModule is a plugin that does nothing. It takes any rules, or none. Builds with other names have other digests.
func tinyModule(build string, accepts bool) []byte {
	verdict := byte(0)
	if accepts {
		verdict = 1
	}
	text := func(content string) string { return string(binary.AppendUvarint(nil, uint64(len(content)))) + content }
	section := func(id byte, content string) string { return string([]byte{id}) + text(content) }
	exported := func(name string, kind, index byte) string { return text(name) + string([]byte{kind, index}) }
	return []byte(wasmMagic +
		section(1, "\x03\x60\x00\x00\x60\x01\x7f\x01\x7f\x60\x02\x7f\x7f\x01\x7f") +
		section(3, "\x03\x00\x01\x02") +
		section(5, "\x01\x00\x01") +
		section(7, "\x04"+exported("memory", 2, 0)+exported("proxy_abi_version_0_2_1", 0, 0)+
			exported("malloc", 0, 1)+exported("proxy_on_configure", 0, 2)) +
		section(10, "\x03\x02\x00\x0b\x05\x00\x41\x80\x20\x0b\x04\x00\x41"+string([]byte{verdict})+"\x0b") +
		section(0, "\x05build"+build))
}

// origin is a web server and an image registry of the spec, good or bad, that counts what it is asked for. It speaks plain
// HTTP.
type origin struct {
	*httptest.Server

	mutex    sync.Mutex
	handlers map[string]http.HandlerFunc
	requests map[string]int
}

func startOrigin() *origin {
	o := &origin{handlers: map[string]http.HandlerFunc{}, requests: map[string]int{}}
	o.Server = httptest.NewServer(o)
	DeferCleanup(func() {
		o.CloseClientConnections() // some answers have no end
		o.Close()
	})
	return o
}

// ServeHTTP implements http.Handler.
func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mutex.Lock()
	o.requests[r.URL.Path]++
	handler := o.handlers[r.URL.Path]
	o.mutex.Unlock()
	if handler == nil {
		http.NotFound(w, r)
		return
	}
	handler(w, r)
}

// handle has a path answered so, and returns its URL.
func (o *origin) handle(path string, handler http.HandlerFunc) string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.handlers[path] = handler
	return o.URL + path
}

// file serves bytes, and returns their URL.
func (o *origin) file(path string, content []byte) string {
	return o.handle(path, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) })
}

// asked is how often paths with these words were asked for.
func (o *origin) asked(words string) int {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	total := 0
	for path, count := range o.requests {
		if strings.Contains(path, words) {
			total += count
		}
	}
	return total
}

// registry answers what a registry's clients ask first.
func (o *origin) registry() string {
	o.handle("/v2/", func(http.ResponseWriter, *http.Request) {})
	return strings.TrimPrefix(o.URL, "http://")
}

// manifest serves a document as an image's manifest under the tag 1, and returns the image's URL.
func (o *origin) manifest(repository, mediaType string, document []byte) string {
	serve := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", mediaType)
		w.Header().Set("Docker-Content-Digest", digestOf(document))
		if r.Method != http.MethodHead {
			_, _ = w.Write(document)
		}
	}
	for _, name := range []string{"1", digestOf(document)} {
		o.handle("/v2/"+repository+"/manifests/"+name, serve)
	}
	return "oci://" + o.registry() + "/" + repository + ":1"
}

// image serves an artifact with these layers of a media type.
func (o *origin) image(repository, layerType string, layers ...[]byte) string {
	type descriptor struct {
		MediaType string `json:"mediaType"`
		Digest    string `json:"digest"`
		Size      int    `json:"size"`
	}
	list := []descriptor{}
	for _, layer := range layers {
		list = append(list, descriptor{layerType, digestOf(layer), len(layer)})
		o.file("/v2/"+repository+"/blobs/"+digestOf(layer), layer)
	}
	document, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": ociManifest, "config": descriptor{"application/vnd.oci.empty.v1+json", digestOf([]byte("{}")), 2}, "layers": list,
	})
	Expect(err).NotTo(HaveOccurred())
	return o.manifest(repository, ociManifest, document)
}

const (
	ociManifest = "application/vnd.oci.image.manifest.v1+json"
	ociIndex    = "application/vnd.oci.image.index.v1+json"
	ociLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
	wasmLayer   = "application/wasm"
)

func digestOf(content []byte) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256(content))
}

func gzipped(content []byte) []byte {
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	_, err := writer.Write(content)
	Expect(err).NotTo(HaveOccurred())
	Expect(writer.Close()).To(Succeed())
	return packed.Bytes()
}

// tarOf has a file, or what its header says of it.
func tarOf(header tar.Header, content []byte) []byte {
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	Expect(writer.WriteHeader(&header)).To(Succeed())
	_, err := writer.Write(content)
	Expect(err).NotTo(HaveOccurred())
	_ = writer.Close() // it misses what a header promised too much
	return archive.Bytes()
}

// metric sums up the operator's metrics whose lines begin so.
func (o *operatorProcess) metric(ctx context.Context, prefix string) int {
	GinkgoHelper()
	answer, err := chain.Probe{URL: o.metricsURL}.Do(ctx)
	Expect(err).NotTo(HaveOccurred())
	total := 0.0
	for lines := bufio.NewScanner(strings.NewReader(answer.Body)); lines.Scan(); {
		if line := lines.Text(); strings.HasPrefix(line, prefix) {
			value, err := strconv.ParseFloat(line[strings.LastIndex(line, " ")+1:], 64)
			Expect(err).NotTo(HaveOccurred())
			total += value
		}
	}
	return int(total)
}

// dryStarts is how many plugins the running operator has started on trial.
func dryStarts(ctx context.Context) int {
	GinkgoHelper()
	return operator.metric(ctx, "wasmplugin_operator_dry_starts_total{")
}

// newModulePlugin is a good plugin with a module from a URL.
func newModulePlugin(namespace, name, url string) *wasmv1alpha1.WasmPlugin {
	plugin := newPlugin(namespace)
	plugin.Name, plugin.Spec.URL = name, url
	return plugin
}

// forever writes until the client goes.
func forever(w io.Writer, chunk []byte) {
	for {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

// peakMemory is the most that a process had in memory, in bytes.
func peakMemory(p *chain.Process) int64 {
	GinkgoHelper()
	bytes, err := p.Memory("VmHWM")
	Expect(err).NotTo(HaveOccurred())
	AddReportEntry("peak memory of the operator", fmt.Sprint(bytes>>20, " MiB"), ReportEntryVisibilityFailureOrVerbose)
	return bytes
}
