// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/story"
)

// moduleBytes is the content of an example plugin.
func moduleBytes(path string) []byte {
	GinkgoHelper()
	content, err := os.ReadFile(world.Plugin(path))
	Expect(err).NotTo(HaveOccurred())
	return content
}

// The module at the plugin's URL is hello-world first and basic-auth later. hello-world takes no notice of the rules,
// whose change makes the agent look at the plugin again.
//
// All this where the operator leaves modules to the proxies; otherwise it looks at them itself.
var _ = Describe("A module that changed at the same URL", Ordered, ContinueOnFailure, func() {
	leftToProxies()
	var (
		s    space
		gw   gateway
		path string
	)
	BeforeEach(func(ctx SpecContext) {
		s = newSpace(ctx)
		gw = s.gateway(ctx, "gateway", 1)
		path = "/" + s.namespace + "/plugin.wasm"
		world.Modules.Serve(path, moduleBytes(story.HelloWorldPath))
	})

	swap := func(ctx SpecContext, policy wasmv1alpha1.ImagePullPolicy) {
		GinkgoHelper()
		plugin := helloWorld(gw.selector())
		plugin.URL = world.Modules.URL(path)
		plugin.ImagePullPolicy = policy
		s.create(ctx, "plugin", plugin)
		eventually(ctx, gw.get(protected, ""), and(served, greeted))
		world.Modules.Serve(path, moduleBytes(story.BasicAuthPath))
		s.edit(ctx, "plugin", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Rules = rules("ok:test") })
	}

	It("is fetched with the next change of the spec with Always", func(ctx SpecContext) {
		swap(ctx, wasmv1alpha1.PullAlways)
		eventually(ctx, gw.get(protected, ""), unauthorized)
		now(ctx, gw.get(protected, "ok:test"), and(served, ungreeted))
	})

	It("is not fetched with IfNotPresent", func(ctx SpecContext) {
		swap(ctx, wasmv1alpha1.PullIfNotPresent)
		gw.hasRules(ctx, s.filterName("plugin"), "ok:test")
		now(ctx, gw.get(protected, ""), and(served, greeted))
	})
})
