// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// heavyModule is a tiny one with a section of so many bytes that nobody reads.
func heavyModule(build string, size int) []byte {
	name := "\x07padding"
	module := append(tinyModule(build, true), 0)
	module = binary.AppendUvarint(module, uint64(len(name)+size)) //nolint:gosec // it is a length
	return append(append(module, name...), bytes.Repeat([]byte{0}, size)...)
}

// somebodysKey is a public key whose signatures don't matter.
func somebodysKey() string {
	GinkgoHelper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	encoded, err := x509.MarshalPKIXPublicKey(key.Public())
	Expect(err).NotTo(HaveOccurred())
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: encoded}))
}

// withoutSignatures is a registry that never answers what the signatures of its images are.
type withoutSignatures struct {
	*origin
	waiting, most *atomic.Int64
}

func (w *withoutSignatures) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	if !strings.HasSuffix(request.URL.Path, ".sig") {
		w.origin.ServeHTTP(writer, request)
		return
	}
	now := w.waiting.Add(1)
	defer w.waiting.Add(-1)
	for {
		if most := w.most.Load(); now <= most || w.most.CompareAndSwap(most, now) {
			break
		}
	}
	<-request.Context().Done()
}

var _ = Describe("Hostile: modules of registries that hang", Serial, func() {
	It("take half of the memory at most, while others' modules arrive", func(ctx SpecContext) {
		const limit, size, plugins = 192 << 20, 16 << 20, 16
		restartOperator(ctx, "--resolve-modules=true", "--allow-loopback-addresses", "--insecure-registries=127.0.0.1",
			"--module-cache-dir="+GinkgoT().TempDir(), fmt.Sprintf("GOMEMLIMIT=%d", limit))
		hostile, key := newNamespace(ctx), somebodysKey()
		var waiting, most atomic.Int64
		for i := range plugins {
			server := &withoutSignatures{startOrigin(), &waiting, &most}
			server.Config.Handler = server
			name := fmt.Sprintf("heavy-%d", i)
			plugin := newModulePlugin(hostile, name, server.image(name, wasmLayer, heavyModule(name, size)))
			plugin.Spec.Verification.Keys = []wasmv1alpha1.VerificationKey{{Inline: key}}
			Expect(k8s.Create(ctx, plugin)).To(Succeed())
		}
		// Of half of the limit for all, and half of that for this namespace, each takes its size.
		const mayBeHeld = limit / 4 / size
		busy := func(ctx SpecContext) int {
			return operator.metric(ctx, `wasmplugin_operator_module_resolutions_total{result="Busy"`)
		}
		Eventually(ctx, busy).Should(BeNumerically(">=", plugins-mayBeHeld), "all have tried")
		Expect(waiting.Load()).To(BeNumerically(">", 0))

		other := newModulePlugin(newNamespace(ctx), "other", startOrigin().image("other", wasmLayer, heavyModule("other", size)))
		createReady(ctx, other)
		Expect(most.Load()).To(BeNumerically("<=", mayBeHeld))
		// The limit is of Go's own memory; the pages of the binary come on top.
		binary, err := operator.Process.Memory("RssFile")
		Expect(err).NotTo(HaveOccurred())
		Expect(peakMemory(operator.Process) - binary).To(BeNumerically("<", limit))
	})
})
