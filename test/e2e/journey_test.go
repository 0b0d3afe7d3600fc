// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
	"github.com/solarmesh/wasmplugin-operator/test/story"
)

// The page that people copied from, with our commands in the place of its own: from an empty folder to a header in a
// response, and on. With JOURNEY_RECORDING=FILE the terminal is written there (make recording).
var _ = Describe("The journey of a plugin", Ordered, func() {
	var (
		t  *terminal
		gw gateway
	)
	BeforeAll(func(ctx SpecContext) {
		takingPushes(ctx)
		s := registrySpace(ctx, journeySpace)
		gw = s.gateway(ctx, "traveller", 1)
		t = newTerminal(ctx, s.namespace)
		t.hide(world.Registry.CAFile, "registry-ca.crt")
		t.hide(world.Registry.Address, "registry.example.com")
		t.hide(world.Store.UploadURL(), "https://store.example.com")
		t.hide(world.StoreCAFile(), "store-ca.crt")
		t.hide(fmt.Sprintf("127.0.0.1:%d", gw.Ports[0]), "gateway.example.com")
		t.hide(gw.Label, "my-gateway")
		t.hide(s.namespace, "demo")
	})

	It("begins with an empty folder, and ends with a header in a response", func(ctx SpecContext) {
		menu := t.choose(ctx, "wasmctl init demo", "\r")
		Expect(menu).To(ContainSubstring("What language do you wish to use for the filter:"))
		Expect(t.run(ctx, "cd demo && find . -type f | sort")).To(ContainSubstring("./runtime-config.json"))
		t.in("demo")
		Expect(t.run(ctx, "wasmctl build")).To(ContainSubstring("filter.wasm"))
		Expect(t.run(ctx, "wasmctl test")).To(ContainSubstring("ok"))
		t.push(ctx, "0.1", gw)
		Expect(t.run(ctx, "cat plugin.yaml")).To(ContainSubstring("hello: world"))
		now(ctx, gw.get(open, ""), served)
		Expect(t.fails(ctx, "wasmctl diff -f plugin.yaml --fetch --allow-loopback --ca-file "+world.Registry.CAFile+" --pull-secret-file ../docker/config.json > changes.diff", 1)).
			To(ContainSubstring("2 of 2 EnvoyFilters differ"))
		t.run(ctx, "kubectl apply -f plugin.yaml")
		t.run(ctx, "kubectl wait --for=condition=Ready wasmp/demo --timeout=60s")
		Expect(t.run(ctx, "wasmctl status demo")).To(ContainSubstring("1/1"))
		Expect(t.run(ctx, "curl -si "+gw.URL("/")+" | grep -i -e '^HTTP' -e '^hello'")).To(ContainSubstring("hello: world"))
		now(ctx, gw.get(open, ""), and(served, chain.Header("hello", "world")))
	})

	It("is changed, and rolled out", func(ctx SpecContext) {
		t.run(ctx, `sed -i 's/Header(h.name, h.value)/Header(h.name, h.value+"!")/' main.go`)
		t.run(ctx, "wasmctl build")
		Expect(t.fails(ctx, "wasmctl test", 1)).To(ContainSubstring("world!"))
		t.run(ctx, `sed -i 's/^\(hello: world\|hello: moon\|x-team: red\)$/&!/' testdata/headers.http`)
		t.run(ctx, "wasmctl test")
		t.push(ctx, "0.2", gw)
		t.run(ctx, "kubectl apply -f plugin.yaml")
		eventually(ctx, gw.get(open, ""), and(served, chain.Header("hello", "world!")))
		Eventually(func() error { return t.exit(ctx, "wasmctl status demo") }).WithTimeout(patience).Should(Succeed())
		t.run(ctx, "wasmctl status")
		Expect(t.run(ctx, "curl -si "+gw.URL("/")+" | grep -i '^hello:'")).To(ContainSubstring("hello: world!"))
	})

	It("is refused by the schema that it carries, and goes back", func(ctx SpecContext) {
		t.run(ctx, `kubectl patch wasmp demo --type merge -p '{"spec":{"rules":{"headers":{"hello":7}}}}'`)
		Eventually(func() (string, error) { return t.quiet(ctx, "wasmctl status demo || true") }).WithTimeout(patience).
			Should(And(ContainSubstring("RulesRejected"), ContainSubstring("spec.rules.headers.hello")))
		Expect(t.fails(ctx, "wasmctl status demo", 1)).To(ContainSubstring("RulesRejected"))
		now(ctx, gw.get(open, ""), and(served, chain.Header("hello", "world!")))
		t.run(ctx, "wasmctl rollback demo")
		Eventually(func() error { return t.exit(ctx, "wasmctl status demo") }).WithTimeout(patience).Should(Succeed())
	})

	It("is switched off and on", func(ctx SpecContext) {
		t.run(ctx, "wasmctl off demo")
		eventually(ctx, gw.get(open, ""), []chain.Expect{chain.Body(story.Served), chain.Header("hello", "")})
		// The status is written after the pair, which the proxy may have by then.
		Eventually(func() (string, error) { return t.quiet(ctx, "wasmctl status demo || true") }).WithTimeout(patience).
			Should(ContainSubstring("Activation      Off"))
		Expect(t.fails(ctx, "wasmctl status demo", 1)).To(ContainSubstring("Off"))
		t.run(ctx, "wasmctl on demo")
		eventually(ctx, gw.get(open, ""), and(served, chain.Header("hello", "world!")))
		t.run(ctx, "kubectl delete wasmp demo")
		eventually(ctx, gw.get(open, ""), []chain.Expect{chain.Body(story.Served), chain.Header("hello", "")})
	})

	It("comes from the operator's store, too", func(ctx SpecContext) {
		t.run(ctx, "kubectl create serviceaccount module-pusher")
		t.run(ctx, "kubectl create rolebinding push --clusterrole="+story.Release+"-module-pusher --serviceaccount="+journeySpace+":module-pusher")
		push := fmt.Sprintf("wasmctl push store://demo:0.2 --store-upload-url %s --ca-file %s > stored.yaml", world.Store.UploadURL(), world.StoreCAFile())
		// The API server knows of a new RoleBinding a little later than the one who made it.
		Eventually(func() error { return t.exit(ctx, push) }).WithTimeout(patience).Should(Succeed())
		t.run(ctx, push)
		t.run(ctx, "sed 's/istio: ingressgateway/istio: "+gw.Label+"/' stored.yaml | kubectl apply -f -")
		eventually(ctx, gw.get(open, ""), and(served, chain.Header("hello", "world!")))
		t.run(ctx, "kubectl delete wasmp demo")
	})

	It("may begin with the EnvoyFilters of the page", func(ctx SpecContext) {
		seed, err := os.ReadFile(filepath.Join(world.Root, "internal", "convert", "testdata", "import", "seed.in.yaml"))
		Expect(err).NotTo(HaveOccurred())
		// The server of the page is not for us; ours has the plugin that its rules are for.
		page := strings.ReplaceAll(string(seed), "http://release.solarmesh.cn/wasm/auth.wasm", world.Modules.URL(story.BasicAuthPath))
		Expect(os.WriteFile(filepath.Join(t.dir, "page.yaml"), []byte(page), 0o600)).To(Succeed())
		t.hide(world.Modules.URL(story.BasicAuthPath), "http://release.solarmesh.cn/wasm/auth.wasm")
		t.run(ctx, "wasmctl import -f page.yaml --selector istio="+gw.Label+" > imported.yaml")
		Expect(t.run(ctx, "cat imported.yaml")).To(ContainSubstring("envoy.http_connection_manager"))
		t.run(ctx, "sed -i 's/namespace: istio-system/namespace: "+journeySpace+"/' imported.yaml && kubectl apply -f imported.yaml")
		eventually(ctx, gw.get(protected, ""), unauthorized)
		now(ctx, gw.get(protected, "ok:test"), served)
		t.run(ctx, "curl -si "+gw.URL(protected)+" | head -n 1")
		t.run(ctx, "curl -si -u ok:test "+gw.URL(protected)+" | head -n 1")
		t.record()
	})
})

// takingPushes has the operator observe proxies, and use a store into which users may push, as one that the chart installs with
// store.durable.
func takingPushes(ctx context.Context) {
	GinkgoHelper()
	// The one that the chart has with store.durable; a spec of test/helm holds it to what the store asks for.
	Expect(chain.Apply(ctx, world.Cluster.Config, `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: `+story.Release+`-module-pusher}
rules: [{apiGroups: [wasm.solarmesh.io], resources: [modules], verbs: [delete, get, push]}]
`)).To(Succeed())
	before := world.Store
	durable, err := world.NewDurableStore(ctx)
	Expect(err).NotTo(HaveOccurred())
	world.Store = durable
	Expect(world.RestartOperator(ctx, "--observe-proxies=true")).To(Succeed())
	DeferCleanup(func(ctx SpecContext) {
		world.Store = before
		Expect(world.RestartOperator(ctx)).To(Succeed())
		Expect(durable.Stop()).To(Succeed())
	})
}

// dockerConfig is what docker login writes, for the registry.
func dockerConfig() []byte {
	auth := base64.StdEncoding.EncodeToString([]byte("puller:" + world.PullPassword))
	return fmt.Appendf(nil, `{"auths": {%q: {"auth": %q}}}`, world.Registry.Address, auth)
}

// push pushes the module with a tag, and makes plugin.yaml of what that prints.
func (t *terminal) push(ctx context.Context, tag string, gw gateway) {
	GinkgoHelper()
	t.run(ctx, fmt.Sprintf("wasmctl push %s/plugins/demo:%s --ca-file %s > pushed.yaml", world.Registry.Address, tag, world.Registry.CAFile))
	t.run(ctx, `sed -e 's/^  selector:.*/  imagePullSecret: regcred\n  selector:/' -e 's/istio: ingressgateway/istio: `+gw.Label+`/' pushed.yaml > plugin.yaml`)
}

func (t *terminal) hide(text, instead string) { t.hidden = append(t.hidden, text, instead) }

// exit runs a line that isn't recorded, and returns how it fails.
func (t *terminal) exit(ctx context.Context, line string) error {
	_, err := t.quiet(ctx, line)
	return err
}
