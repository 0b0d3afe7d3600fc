// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// answering is a server that answers with a status, and with what nobody repeats.
func answering(status int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"errors":[{"code":"X","message":%q}]}<html>%s</html>`, body, body)
	}
}

var _ = Describe("Bad input: a server of modules", Serial, Ordered, ContinueOnFailure, func() {
	var bad badModules
	BeforeAll(func(ctx SpecContext) {
		resolving(ctx, "--insecure-registries=127.0.0.1")
		bad = badModules{}
		bad.start(ctx)
	})

	DescribeTable("that has none is believed, and not asked again at once",
		func(ctx SpecContext, status int, want verdict, header ...string) {
			path := fmt.Sprintf("/answer-%d-%d.wasm", status, len(header))
			bad.meet(ctx, urlOf(bad.handle(path, answering(status, header...))), want)
			before := bad.asked(path)
			Expect(before).To(BeNumerically("<=", 4))
			if !want.retries {
				Consistently(func() int { return bad.asked(path) }).Should(Equal(before))
			}
		},
		Entry("401", 401, verdict{"Denied", "status 401", false}),
		Entry("401 with a challenge", 401, verdict{"Denied", "status 401", false}, "WWW-Authenticate", `Basic realm="hunter2"`),
		Entry("403", 403, verdict{"Denied", "status 403", false}),
		Entry("404", 404, verdict{"NotFound", "status 404", false}),
		Entry("410", 410, verdict{"NotFound", "status 410", false}),
		Entry("429", 429, verdict{"Unreachable", "status 429", true}),
		Entry("500", 500, verdict{"Unreachable", "status 500", true}),
		Entry("503", 503, verdict{"Unreachable", "status 503", true}),
		Entry("204", 204, verdict{"BadArtifact", "status 204", false}),
		Entry("200 with a web page", 200, verdict{"NotWasm", "", false}),
	)

	DescribeTable("that is a registry", func(ctx SpecContext, want verdict, answer func() http.HandlerFunc) {
		registry := startOrigin() // each with a login of its own
		registry.handle("/v2/", answer())
		bad.meet(ctx, urlOf("oci://"+registry.registryAs(answer())+"/team/auth:1"), want)
		Expect(registry.asked("")).To(BeNumerically("<=", 16), "two plugins, two attempts each, a few requests an attempt")
	},
		Entry("401 without a challenge", verdict{"Denied", "", false}, func() http.HandlerFunc { return answering(401) }),
		Entry("401 that wants a password", verdict{"Denied", "imagePullSecret", false}, func() http.HandlerFunc {
			return answering(401, "WWW-Authenticate", `Basic realm="hunter2"`)
		}),
		Entry("403", verdict{"Denied", "status 403", false}, func() http.HandlerFunc { return answering(403) }),
		Entry("404: it is none", verdict{"NotFound", "status 404", false}, func() http.HandlerFunc { return answering(404) }),
		Entry("429", verdict{"Unreachable", "status 429", true}, func() http.HandlerFunc { return answering(429) }),
		Entry("500", verdict{"Unreachable", "status 500", true}, func() http.HandlerFunc { return answering(500) }),
		Entry("a token realm at a link-local address", verdict{"Blocked", "token server at an internal address", false}, func() http.HandlerFunc {
			return answering(401, "WWW-Authenticate", `Bearer realm="http://169.254.169.254/token",service="r"`)
		}),
		Entry("a token realm at a private address", verdict{"Blocked", "token server at an internal address", false}, func() http.HandlerFunc {
			return answering(401, "WWW-Authenticate", `Bearer realm="https://10.0.0.1/token",service="r"`)
		}),
	)

	It("that says when to come again is not asked before, and then it is", func(ctx SpecContext) {
		const path, wait = "/later.wasm", 10 * time.Second
		var (
			mutex sync.Mutex
			times []time.Time
		)
		plugin := newModulePlugin(bad.namespace, "later", bad.handle(path, func(w http.ResponseWriter, r *http.Request) {
			mutex.Lock()
			times = append(times, time.Now())
			first := len(times) == 1
			mutex.Unlock()
			if first {
				answering(429, "Retry-After", "10")(w, r)
				return
			}
			_, _ = w.Write(tinyModule("later", true))
		}))
		Expect(k8s.Create(ctx, plugin)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(beUnresolved(verdict{"Unreachable", "status 429", true}))
		change(ctx, plugin, func(p *wasmv1alpha1.WasmPlugin) { p.Labels = map[string]string{"touched": "yes"} })
		Eventually(ctx, stateOf(plugin)).Should(beReady())
		Expect(times).To(HaveLen(2))
		Expect(times[1].Sub(times[0])).To(BeNumerically(">=", wait))
	})

	It("row 13: that hangs holds up nobody else, and is left when its time is over or nobody wants the module any more", func(ctx SpecContext) {
		gone := make(chan string, 20)
		hang := func(first string) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				if _, _ = w.Write([]byte(first)); first != "" {
					w.(http.Flusher).Flush()
				}
				<-r.Context().Done()
				gone <- r.URL.Path
			}
		}
		slow := startOrigin() // 8 at a time, so that the others of this machine have their turn
		var plugins []*wasmv1alpha1.WasmPlugin
		for i := range 10 {
			path := fmt.Sprintf("/drip-%d", i)
			plugins = append(plugins, newModulePlugin(bad.namespace, strings.Trim(path, "/"), slow.handle(path, hang(wasmMagic))))
		}
		silent := newModulePlugin(bad.namespace, "silent", bad.handle("/silent", hang("")))
		began := time.Now()
		for _, plugin := range append(plugins, silent) {
			Expect(k8s.Create(ctx, plugin)).To(Succeed())
		}
		Eventually(ctx, stateOf(silent)).Should(haveCondition(wasmv1alpha1.ConditionModuleResolved, metav1.ConditionUnknown, wasmv1alpha1.ReasonResolving))
		meanwhile := newModulePlugin(bad.namespace, "meanwhile", bad.file("/meanwhile.wasm", tinyModule("meanwhile", true)))
		createReady(ctx, meanwhile)
		Expect(time.Since(began)).To(BeNumerically("<", 8*time.Second), "others wait for those that hang")
		Expect(gone).To(BeEmpty(), "all of them hang yet")
		Expect(slow.asked("/drip")).To(Equal(8))

		Expect(k8s.Delete(ctx, plugins[0])).To(Succeed())
		if slow.asked("/drip-0") > 0 {
			Eventually(gone).Should(Receive(Equal("/drip-0")), "the connection of a plugin that is gone is closed")
		}
		Eventually(ctx, stateOf(silent)).WithTimeout(25 * time.Second).Should(beUnresolved(verdict{"TimedOut", "in time", true}))
	})
})

// registryAs has the registry answer everything so, and returns its host and port.
func (o *origin) registryAs(answer http.HandlerFunc) string {
	for _, path := range []string{"/v2/", "/v2/team/auth/manifests/1"} {
		o.handle(path, answer)
	}
	return strings.TrimPrefix(o.URL, "http://")
}

var _ = Describe("The tag of a module", Serial, func() {
	var (
		server *origin
		plugin *wasmv1alpha1.WasmPlugin
		flags  []string
	)
	push := func(content []byte) string {
		GinkgoHelper()
		url := server.image("auth", wasmLayer, content)
		return url
	}
	BeforeEach(func(ctx SpecContext) {
		flags = []string{"--resolve-modules=true", "--allow-loopback-addresses", "--insecure-registries=127.0.0.1", "--module-cache-dir=" + GinkgoT().TempDir()}
		restartOperator(ctx, flags...)
		server = startOrigin()
		plugin = newModulePlugin(newNamespace(ctx), "tagged", push(tinyModule("one", true)))
		createReady(ctx, plugin)
	})
	inEffect := func(ctx context.Context) func(Gomega) string {
		return func(g Gomega) string { return stateOf(plugin)(g, ctx).Status.Module.Digest }
	}
	It("is looked at when somebody asks, each time, and by itself only with imagePullPolicy Always", func(ctx SpecContext) {
		remote := []string{"patch", "value", "typed_config", "config", "vm_config", "code", "remote", "http_uri", "uri"}
		Expect(inConfig(ctx, plugin, remote...)).To(HavePrefix("oci://"+server.registry()+"/auth@sha256:"), "proxies never meet a tag")
		for i, build := range []string{"two", "three"} {
			push(tinyModule(build, true))
			Consistently(inEffect(ctx)).ShouldNot(Equal(digestOf(tinyModule(build, true))))
			refreshNow(ctx, plugin, fmt.Sprint(i))
			Eventually(inEffect(ctx)).Should(Equal(digestOf(tinyModule(build, true))))
			Eventually(ctx, stateOf(plugin)).Should(beReady())
		}
		relaunch(ctx, append(flags, "--module-resolve-interval=10s")...)
		Expect(patchSpec(ctx, plugin, `{"imagePullPolicy": "Always"}`)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(beReady())
		push(tinyModule("four", true))
		Eventually(inEffect(ctx)).Should(Equal(digestOf(tinyModule("four", true))))
	})

	It("that moves to what refuses the rules, to what is no module, or out of reach changes nothing that runs", func(ctx SpecContext) {
		before := []applied{appliedTo(child(ctx, plugin, wasmv1alpha1.RoleConfig)), appliedTo(child(ctx, plugin, wasmv1alpha1.RoleFilter))}
		stands := func() {
			GinkgoHelper()
			Expect([]applied{appliedTo(child(ctx, plugin, wasmv1alpha1.RoleConfig)), appliedTo(child(ctx, plugin, wasmv1alpha1.RoleFilter))}).To(Equal(before))
			Expect(inEffect(ctx)(Default)).To(Equal(digestOf(tinyModule("one", true))))
		}
		push(tinyModule("two", false))
		refreshNow(ctx, plugin, "refusing")
		Eventually(ctx, stateOf(plugin)).Should(beRejected(wasmv1alpha1.ReasonRulesRejected, "the plugin refuses them", "stays in effect"))
		stands()

		push([]byte("<html>" + body))
		refreshNow(ctx, plugin, "no module")
		Eventually(ctx, stateOf(plugin)).Should(beUnresolved(verdict{"NotWasm", "stays in effect", false}))
		stands()

		for _, path := range []string{"/v2/", "/v2/auth/manifests/1"} {
			server.handle(path, answering(http.StatusServiceUnavailable))
		}
		refreshNow(ctx, plugin, "unreachable")
		Eventually(ctx, stateOf(plugin)).Should(And(beReady(), WithTransform(func(p *wasmv1alpha1.WasmPlugin) string {
			return conditionOf(p, wasmv1alpha1.ConditionModuleResolved).Message
		}, ContainSubstring("newer module could not be found out"))))
		Expect(inEffect(ctx)(Default)).To(Equal(digestOf(tinyModule("one", true))))

		push(tinyModule("three", true))
		server.registry()
		refreshNow(ctx, plugin, "mended")
		Eventually(inEffect(ctx)).Should(Equal(digestOf(tinyModule("three", true))))
		Eventually(ctx, stateOf(plugin)).Should(beReady())
	})

	It("that leads to what is known, good or bad, is not tried again by another process", func(ctx SpecContext) {
		refused := newModulePlugin(plugin.Namespace, "refused", server.image("refused", wasmLayer, tinyModule("bad", false)))
		Expect(k8s.Create(ctx, refused)).To(Succeed())
		Eventually(ctx, stateOf(refused)).Should(beRejected(wasmv1alpha1.ReasonRulesRejected))
		Expect(dryStarts(ctx)).To(Equal(2))
		Expect(versions(ctx, plugin)).To(HaveLen(2))

		relaunch(ctx, flags...)
		change(ctx, refused, func(p *wasmv1alpha1.WasmPlugin) { p.Spec.Priority = new(int32(3)) })
		Eventually(ctx, stateOf(refused)).Should(beRejected(wasmv1alpha1.ReasonRulesRejected))
		Expect(k8s.Delete(ctx, plugin)).To(Succeed())
		again := newModulePlugin(plugin.Namespace, "again", plugin.Spec.URL)
		createReady(ctx, again)
		Expect(dryStarts(ctx)).To(BeZero())
	})
})
