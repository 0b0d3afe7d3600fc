// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	gomegatypes "github.com/onsi/gomega/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// body is what servers say beside, and nobody repeats.
const body = "hunter2-is-nobodys-business"

// verdict is what becomes of a module that can't be had.
type verdict struct {
	reason string
	words  string
	// retries: the operator goes on by itself.
	retries bool
}

// badModules has the operator meet modules that can't be had. One plugin stands before, and each bad module is offered to
// that one and to a new one.
type badModules struct {
	*origin
	namespace string
	standing  *wasmv1alpha1.WasmPlugin
	count     int
}

// start needs an operator that fetches from this machine.
func (b *badModules) start(ctx context.Context) {
	GinkgoHelper()
	b.namespace, b.origin = newNamespace(ctx), startOrigin()
	b.standing = newModulePlugin(b.namespace, "standing", b.file("/good.wasm", tinyModule("good", true)))
	createReady(ctx, b.standing)
}

// meet asserts that a new plugin gets nothing, that one that stands loses nothing, and what both are told.
func (b *badModules) meet(ctx context.Context, spec string, want verdict) {
	GinkgoHelper()
	before := []applied{appliedTo(child(ctx, b.standing, wasmv1alpha1.RoleConfig)), appliedTo(child(ctx, b.standing, wasmv1alpha1.RoleFilter))}
	b.count++
	fresh := withFields(b.namespace, spec)
	fresh.SetName(fmt.Sprintf("fresh-%d", b.count))
	Expect(k8s.Create(ctx, fresh)).To(Succeed())
	// What can't be had is asked for again some time later, and isn't to be counted with what comes after it here.
	DeferCleanup(func(ctx SpecContext) { Expect(k8s.Delete(ctx, fresh)).To(Succeed()) })
	if !strings.Contains(spec, `"sha256"`) {
		// In one change with the rest: what comes in between may be good.
		spec = strings.Replace(spec, "{", `{"sha256": null, `, 1)
	}
	Expect(patchSpec(ctx, b.standing, spec)).To(Succeed())
	for _, plugin := range []*wasmv1alpha1.WasmPlugin{newModulePlugin(b.namespace, fresh.GetName(), ""), b.standing} {
		Eventually(ctx, stateOf(plugin)).Should(beUnresolved(want))
		status, err := json.Marshal(stateOf(plugin)(Default, ctx).Status)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(status)).NotTo(ContainSubstring(body))
	}
	Expect(conditionOf(refresh(ctx, b.standing), wasmv1alpha1.ConditionModuleResolved).Message).To(HaveSuffix("What was applied last stays in effect."))
	Expect(b.standing.Status.Module.Digest).To(Equal(digestOf(tinyModule("good", true))), "the one in effect")
	Expect([]applied{appliedTo(child(ctx, b.standing, wasmv1alpha1.RoleConfig)), appliedTo(child(ctx, b.standing, wasmv1alpha1.RoleFilter))}).To(Equal(before))
	Expect(versions(ctx, b.standing)).To(HaveLen(2), "nothing else is written")
}

func beUnresolved(want verdict) gomegatypes.GomegaMatcher {
	condition := wasmv1alpha1.ConditionStalled
	if want.retries {
		condition = wasmv1alpha1.ConditionReconciling
	}
	return And(
		haveCondition(wasmv1alpha1.ConditionModuleResolved, metav1.ConditionFalse, want.reason),
		haveCondition(wasmv1alpha1.ConditionReady, metav1.ConditionFalse, want.reason),
		haveCondition(condition, metav1.ConditionTrue, want.reason),
		WithTransform(func(plugin *wasmv1alpha1.WasmPlugin) string {
			return conditionOf(plugin, wasmv1alpha1.ConditionModuleResolved).Message
		}, ContainSubstring(want.words)),
	)
}

func urlOf(url string) string { return fmt.Sprintf(`{"url": %q}`, url) }

// imageLayer has a module under a name.
func imageLayer(name string) []byte {
	content := tinyModule("file", true)
	return gzipped(tarOf(tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content))}, content))
}

func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusMovedPermanently) }
}

var _ = Describe("Bad input: a module", Serial, Ordered, ContinueOnFailure, func() {
	var bad badModules
	BeforeAll(func(ctx SpecContext) {
		resolving(ctx, "--insecure-registries=127.0.0.1")
		bad = badModules{}
		bad.start(ctx)
	})

	DescribeTable("that leads astray is not followed", func(ctx SpecContext, path, to, words string) {
		bad.meet(ctx, urlOf(bad.handle(path, redirect(to))), verdict{"Blocked", words, false})
		Expect(bad.asked(path)).To(BeNumerically("<=", 8), "no storm")
	},
		Entry("row 3: to a metadata service", "/metadata", "http://169.254.169.254/latest/meta-data", "link-local"),
		Entry("row 3: to one in another spelling", "/spelled", "http://[::ffff:a9fe:a9fe]/latest/meta-data", "link-local"),
		Entry("row 3: to one of another cloud", "/other", "http://[fd00:ec2::254]/latest/meta-data", "metadata service"),
		Entry("row 4: to another scheme", "/scheme", "https://plugins.example.com/a.wasm", "another scheme"),
		Entry("row 13: round and round", "/loop", "/loop", "more than 3 times"),
	)

	DescribeTable("that isn't what was promised or isn't one is refused", func(ctx SpecContext, reason, words string, spec func(*badModules) string) {
		written := spec(&bad)
		bad.meet(ctx, written, verdict{reason, words, false})
		asked := bad.asked("/case")
		Consistently(func() int { return bad.asked("/case") }, 300*time.Millisecond).Should(Equal(asked), "no storm")
	},
		Entry("row 7: another digest", "DigestMismatch", "if the change is meant, set the new one", func(b *badModules) string {
			return fmt.Sprintf(`{"url": %q, "sha256": %q}`, b.file("/case-7.wasm", tinyModule("moved", true)), hex("9"))
		}),
		Entry("row 7: an image of another digest", "DigestMismatch", "", func(b *badModules) string {
			return fmt.Sprintf(`{"url": %q, "sha256": %q}`, b.image("case-7", wasmLayer, tinyModule("moved", true)), hex("9"))
		}),
		Entry("row 7: a digest that the registry doesn't keep to", "DigestMismatch", "", func(b *badModules) string {
			url := b.image("case-7b", wasmLayer, tinyModule("one", true))
			b.file("/v2/case-7b/blobs/"+digestOf(tinyModule("one", true)), tinyModule("evil", true))
			return urlOf(url)
		}),
		Entry("row 9: an image without layers", "BadArtifact", "", func(b *badModules) string { return urlOf(b.image("case-9a", wasmLayer)) }),
		Entry("row 9: an image of 1000 layers", "BadArtifact", "more than 128", func(b *badModules) string {
			layers := make([][]byte, 1000)
			for i := range layers {
				layers[i] = fmt.Append(nil, i)
			}
			return urlOf(b.image("case-9b", wasmLayer, layers...))
		}),
		Entry("row 9: an image of something else", "BadArtifact", "", func(b *badModules) string {
			return urlOf(b.image("case-9c", "application/vnd.cncf.helm.chart.content.v1.tar+gzip", []byte(body)))
		}),
		Entry("row 9: an index of indexes", "BadArtifact", "", func(b *badModules) string {
			inner := []byte(`{"schemaVersion":2,"mediaType":"` + ociIndex + `","manifests":[]}`)
			b.manifest("case-9d", ociIndex, inner)
			return urlOf(b.manifest("case-9d", ociIndex, fmt.Appendf(nil,
				`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`, ociIndex, ociIndex, digestOf(inner), len(inner))))
		}),
		Entry("row 9: a manifest of 50 MB", "BadArtifact", "larger than", func(b *badModules) string {
			return urlOf(b.manifest("case-9e", ociManifest, bytes.Repeat([]byte(" "), 50<<20)))
		}),
		Entry("row 9: a web page for a manifest", "BadArtifact", "", func(b *badModules) string {
			return urlOf(b.manifest("case-9f", "text/html", []byte("<html>"+body)))
		}),
		Entry("row 10: a gzip bomb", "TooLarge", "", func(b *badModules) string {
			return urlOf(b.handle("/case-10a.wasm.gz", func(w http.ResponseWriter, _ *http.Request) {
				packed := gzip.NewWriter(w)
				_, _ = packed.Write([]byte(wasmMagic))
				forever(packed, make([]byte, 1<<20))
			}))
		}),
		Entry("row 10: gzip in gzip in gzip", "BadArtifact", "", func(b *badModules) string {
			content := tinyModule("wrapped", true)
			for range 8 {
				content = gzipped(content)
			}
			return urlOf(b.file("/case-10b.gz", content))
		}),
		Entry("row 10: a header of 8 GiB without content", "TooLarge", "", func(b *badModules) string {
			return urlOf(b.file("/case-10c.tar.gz", gzipped(tarOf(tar.Header{Name: "plugin.wasm", Typeflag: tar.TypeReg, Size: 8 << 30}, nil))))
		}),
		Entry("row 11: only a link", "BadArtifact", "", func(b *badModules) string {
			return urlOf(b.image("case-11a", ociLayer, gzipped(tarOf(tar.Header{Name: "plugin.wasm", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, nil))))
		}),
		Entry("row 11: a file above the archive", "BadArtifact", "leads out of it", func(b *badModules) string {
			return urlOf(b.image("case-11b", ociLayer, imageLayer("../plugin.wasm")))
		}),
		Entry("row 11: a file of the system", "BadArtifact", "leads out of it", func(b *badModules) string {
			return urlOf(b.image("case-11c", ociLayer, imageLayer("/plugin.wasm")))
		}),
		Entry("row 12: a web page", "NotWasm", "", func(b *badModules) string {
			return urlOf(b.file("/case-12a.wasm", []byte("<html>"+body+"</html>")))
		}),
		Entry("row 12: a truncated module", "NotWasm", "", func(b *badModules) string {
			return urlOf(b.file("/case-12b.wasm", tinyModule("short", true)[:60]))
		}),
		Entry("row 12: a component", "NotWasm", "component", func(b *badModules) string {
			return urlOf(b.file("/case-12c.wasm", []byte("\x00asm\x0d\x00\x01\x00")))
		}),
		Entry("row 13: nothing", "NotWasm", "", func(b *badModules) string { return urlOf(b.file("/case-13.wasm", nil)) }),
		Entry("row 13: more than a module may be", "TooLarge", "", func(b *badModules) string {
			return urlOf(b.handle("/case-13b.wasm", func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(wasmMagic))
				forever(w, make([]byte, 1<<20))
			}))
		}),
	)

	It("row 11: in a folder of its image is found", func(ctx SpecContext) {
		plugin := newModulePlugin(bad.namespace, "folder", bad.image("folder", ociLayer, imageLayer("app/plugin.wasm")))
		createReady(ctx, plugin)
		Expect(refresh(ctx, plugin).Status.Module.Digest).To(Equal(digestOf(tinyModule("file", true))))
	})

	It("that comes after all of those is taken, and the operator held no more memory than it may", func(ctx SpecContext) {
		Expect(patchSpec(ctx, bad.standing, `{"sha256": null, "url": "`+bad.file("/better.wasm", tinyModule("better", true))+`"}`)).To(Succeed())
		Eventually(ctx, stateOf(bad.standing)).Should(beReady())
		Expect(refresh(ctx, bad.standing).Status.Module.Digest).To(Equal(digestOf(tinyModule("better", true))))
		Expect(strings.Contains(operator.Log(), body)).To(BeFalse(), "the log repeats what a server said")
		// Two modules at their bound, each twice for a moment; the bombs above would unpack to all that there is.
		Expect(peakMemory(operator.Process)).To(BeNumerically("<", 1280<<20))
	})
})

var _ = Describe("Bad input: a name that leads to this machine", Serial, func() {
	It("rows 3 and 4: is blocked when it is dialed, and not a byte arrives", func(ctx SpecContext) {
		restartOperator(ctx, "--resolve-modules=true", "--insecure-registries=localhost", "--module-cache-dir="+GinkgoT().TempDir())
		server := startModuleServer(ctx)
		port := server.address[strings.LastIndex(server.address, ":"):]
		ns := newNamespace(ctx)
		for name, url := range map[string]string{
			"name": "http://localhost" + port + "/a.wasm", "address": "http://127.0.0.1" + port + "/a.wasm",
			"wrapped": "http://[::ffff:127.0.0.1]" + port + "/a.wasm", "registry": "oci://localhost" + port + "/a:1",
		} {
			plugin := newModulePlugin(ns, name, url)
			if err := k8s.Create(ctx, plugin); err != nil {
				Expect(name).To(Equal("wrapped"), "only that form is refused before: %v", err)
				continue
			}
			Eventually(ctx, stateOf(plugin)).Should(Or(
				beUnresolved(verdict{"Blocked", "(loopback)", false}), beRejected(wasmv1alpha1.ReasonInvalidSpec)), name)
		}
		Consistently(server.connections.Load).Should(BeZero())
		Expect(versions(ctx, newPlugin(ns))).To(BeEmpty())
	})
})
