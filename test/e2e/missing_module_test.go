// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/story"
)

// Where the agent cannot fetch a module, it hands Envoy an RBAC filter under the plugin's name: one that allows every
// request under FAIL_OPEN, one that denies every request otherwise. What then happens hangs on the types that the
// operator listed for that name.
//
// FAIL_CLOSE lists Wasm alone, so Envoy refuses the RBAC filter and tells istiod ("filter config has type URL … but
// expect …"). A plugin that ran goes on as it was. A new one has no configuration at all: Envoy takes its listener
// into force nevertheless and answers each request with 500.
//
// FAIL_OPEN lists RBAC too, so the filter that allows everything takes the plugin's place, also of one that ran.
//
// The agent fetches again when Envoy is sent the plugin again, so a change of the spec heals it.
//
// All this where the operator leaves modules to the proxies; otherwise no proxy meets such a module.
var _ = Describe("A module that answers 404", Ordered, ContinueOnFailure, func() {
	leftToProxies()
	const refusal = "envoy.extensions.filters.http.rbac.v3.RBAC but expect"
	var (
		s    space
		gw   gateway
		path string
	)
	BeforeEach(func(ctx SpecContext) {
		s = newSpace(ctx)
		gw = s.gateway(ctx, "gateway", 1)
		path = "/" + s.namespace + "/basic-auth.wasm"
		Expect(world.Modules.ServeFile(path, world.Plugin(story.BasicAuthPath))).To(Succeed())
	})

	// heal puts the module in place, and changes the spec.
	heal := func(ctx context.Context, name string) {
		GinkgoHelper()
		world.Modules.Answer(path, 0)
		s.edit(ctx, name, func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Rules = rules("new:secret") })
		eventually(ctx, gw.get(protected, "ok:test"), unauthorized)
		now(ctx, gw.get(protected, ""), unauthorized)
		now(ctx, gw.get(protected, "new:secret"), served)
	}

	It("fails every request of a new plugin with FAIL_CLOSE", func(ctx SpecContext) {
		world.Modules.Answer(path, http.StatusNotFound)
		plugin := basicAuth(gw.selector())
		plugin.URL = world.Modules.URL(path)
		plugin.FailStrategy = wasmv1alpha1.FailClose
		s.create(ctx, "missing", plugin)
		eventually(ctx, gw.get(protected, "ok:test"), broken)
		now(ctx, gw.get(open, ""), broken)
		refuses(ctx, gw.Proxy, refusal)
		heal(ctx, "missing")
	})

	It("lets requests pass a new plugin with FAIL_OPEN", func(ctx SpecContext) {
		world.Modules.Answer(path, http.StatusNotFound)
		plugin := basicAuth(gw.selector())
		plugin.URL = world.Modules.URL(path)
		plugin.FailStrategy = wasmv1alpha1.FailOpen
		s.create(ctx, "missing", plugin)
		gw.hasFilter(ctx, s.filterName("missing"))
		now(ctx, gw.get(protected, ""), served)
		Expect(world.Modules.Requests(path)).To(BeNumerically(">", 0))
		heal(ctx, "missing")
	})

	It("leaves a running plugin in force with FAIL_CLOSE", func(ctx SpecContext) {
		s.create(ctx, "moved", basicAuth(gw.selector()))
		eventually(ctx, gw.get(protected, ""), unauthorized)
		world.Modules.Answer(path, http.StatusNotFound)
		s.edit(ctx, "moved", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.URL = world.Modules.URL(path) })
		refuses(ctx, gw.Proxy, refusal)
		now(ctx, gw.get(protected, ""), unauthorized)
		now(ctx, gw.get(protected, "ok:test"), served)
		heal(ctx, "moved")
	})

	It("takes a running plugin out of force with FAIL_OPEN", func(ctx SpecContext) {
		plugin := basicAuth(gw.selector())
		plugin.FailStrategy = wasmv1alpha1.FailOpen
		s.create(ctx, "moved", plugin)
		eventually(ctx, gw.get(protected, ""), unauthorized)
		world.Modules.Answer(path, http.StatusNotFound)
		s.edit(ctx, "moved", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.URL = world.Modules.URL(path) })
		eventually(ctx, gw.get(protected, ""), served)
		heal(ctx, "moved")
	})
})

var _ = Describe("A module that is not the one that sha256 names", Ordered, func() {
	leftToProxies()
	It("never runs, and runs once sha256 is mended", func(ctx SpecContext) {
		s := newSpace(ctx)
		gw := s.gateway(ctx, "gateway", 1)
		plugin := basicAuth(gw.selector())
		plugin.SHA256 = strings.Repeat("0", sha256.Size*2)
		s.create(ctx, "pinned", plugin)
		eventually(ctx, gw.get(protected, "ok:test"), broken)
		s.edit(ctx, "pinned", func(spec *wasmv1alpha1.WasmPluginSpec) {
			sum := sha256.Sum256(moduleBytes(story.BasicAuthPath))
			spec.SHA256 = hex.EncodeToString(sum[:])
		})
		eventually(ctx, gw.get(protected, ""), unauthorized)
		now(ctx, gw.get(protected, "ok:test"), served)
	})
})
