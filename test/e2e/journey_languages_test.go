//go:build long

// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/solarmesh/wasmplugin-operator/internal/scaffold"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
	"github.com/solarmesh/wasmplugin-operator/test/compilers"
)

// The journey, in every language but Go, with which it begins: from an empty folder to a header in a response.
var _ = Describe("The journey of a plugin in", Ordered, ContinueOnFailure, func() {
	var (
		t  *terminal
		gw gateway
	)
	BeforeAll(func(ctx SpecContext) {
		found, err := compilers.Install(ctx, world.Root, GinkgoT().TempDir())
		Expect(err).NotTo(HaveOccurred())
		s := registrySpace(ctx, languagesSpace)
		gw = s.gateway(ctx, "polyglot", 1)
		t = newTerminal(ctx, s.namespace)
		t.uses(found)
	})

	for _, language := range scaffold.Languages() {
		if language.Name == scaffold.Go {
			continue
		}
		It(language.Name, func(ctx SpecContext) {
			name, home := "demo-"+language.Name, t.dir
			DeferCleanup(func() { t.dir = home })
			t.run(ctx, fmt.Sprintf("wasmctl init %s --language %s", name, language.Name))
			t.in(name)
			if language.Name == scaffold.TinyGo {
				// No registry has TinyGo. What its folder holds is at least what Go compiles.
				t.run(ctx, `sed -i 's/"language": "tinygo"/"language": "go"/' runtime-config.json`)
			}
			Expect(t.run(ctx, "wasmctl build")).To(ContainSubstring("filter.wasm"))
			Expect(t.run(ctx, "wasmctl test")).To(ContainSubstring("ok"))
			t.push(ctx, language.Name, gw)
			Expect(t.run(ctx, "cat plugin.yaml")).To(And(ContainSubstring("name: "+name+"\n"), ContainSubstring("hello: world")))
			now(ctx, gw.get(open, ""), and(served, ungreeted))
			t.run(ctx, "kubectl apply -f plugin.yaml")
			eventually(ctx, gw.get(open, ""), and(served, greeted))
			Expect(t.run(ctx, "curl -si "+gw.URL("/")+" | grep -i '^hello:'")).To(ContainSubstring("hello: world"))
			t.run(ctx, fmt.Sprintf(`kubectl patch wasmp %s --type merge -p '{"spec":{"rules":{"headers":{"hello":"%s"}}}}'`, name, language.Name))
			eventually(ctx, gw.get(open, ""), and(served, chain.Header("hello", language.Name)))
			t.run(ctx, "kubectl delete wasmp "+name)
			eventually(ctx, gw.get(open, ""), and(served, ungreeted))
		})
	}
})

// uses has the next lines find compilers.
func (t *terminal) uses(found compilers.Found) {
	for i, variable := range t.env {
		if path, ok := strings.CutPrefix(variable, "PATH="); ok {
			t.env[i] = "PATH=" + strings.Join(append(found.Path, path), ":")
		}
	}
	t.env = append(t.env, found.Env...)
}
