// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// basicAuth is the compiled example.
var basicAuth = sync.OnceValue(func() []byte {
	file := filepath.Join(stateDir, "basic-auth.wasm")
	build := exec.Command("go", "build", "-buildmode=c-shared", "-buildvcs=false", "-trimpath", "-ldflags=-s -w", "-o", file, ".")
	build.Dir = filepath.Join(repository, "examples", "basic-auth")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	out, err := build.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
	content, err := os.ReadFile(file)
	Expect(err).NotTo(HaveOccurred())
	return content
})

// goodRules are some that it takes.
const goodRules = `{"basic_auth_rules": [{"prefix": "/productpage", "request_methods": ["GET"], "credentials": ["ok:test"]}]}`

// resolving runs the operator so that it resolves modules, also those of this machine.
func resolving(ctx context.Context, flags ...string) {
	GinkgoHelper()
	restartOperator(ctx, append([]string{
		"--resolve-modules=true", "--allow-loopback-addresses", "--module-cache-dir=" + filepath.Join(stateDir, "modules"),
	}, flags...)...)
}

// serveModules starts a web server of modules for the spec.
func serveModules() *chain.ModuleServer {
	GinkgoHelper()
	server, err := chain.StartModuleServer()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(server.Stop)
	return server
}

// quietSince is quiet about a module that was asked for then and has come. Where that took a second or more, as on a busy
// machine, it may have been said in the status before.
func quietSince(began time.Time, namespace string, expected ...string) {
	GinkgoHelper()
	status := expected[len(expected)-1]
	if late := time.Since(began) >= time.Second; late && writes(namespace)[0] == status {
		expected = append([]string{status}, expected...)
	}
	quiet(namespace, expected...)
}

var _ = Describe("The module of a plugin", Serial, func() {
	var (
		plugin *wasmv1alpha1.WasmPlugin
		ns     string
		server *chain.ModuleServer
	)

	BeforeEach(func(ctx SpecContext) {
		resolving(ctx)
		ns, server = newNamespace(ctx), serveModules()
		server.Serve("/basic-auth.wasm", basicAuth())
		plugin = newPlugin(ns)
		plugin.Spec.URL = server.URL("/basic-auth.wasm")
		plugin.Spec.Rules = rulesOf(goodRules)
	})

	It("is fetched, tried and pinned, and costs no write more", func(ctx SpecContext) {
		proxy.Reset()
		began := time.Now()
		createReady(ctx, plugin)
		quietSince(began, ns, "PATCH envoyfilters/basic-auth-config", "PATCH envoyfilters/basic-auth-filter", "PATCH wasmplugins/basic-auth/status")
		refresh(ctx, plugin)
		sum := sha256.Sum256(basicAuth())
		digest := fmt.Sprintf("%x", sum)
		Expect(plugin).To(haveCondition(wasmv1alpha1.ConditionModuleResolved, metav1.ConditionTrue, wasmv1alpha1.ReasonResolved))
		Expect(plugin.Status.Module).To(Equal(wasmv1alpha1.ModuleStatus{
			Digest: "sha256:" + digest, ShortDigest: digest[:8], Size: int64(len(basicAuth())), ABI: "0.2.0",
			Source: plugin.Spec.URL + "@sha256:" + digest,
		}))
		Expect(plugin.Status.Delivery).To(Equal(wasmv1alpha1.DeliveryDirect))
		remote := []string{"patch", "value", "typed_config", "config", "vm_config", "code", "remote"}
		Expect(inConfig(ctx, plugin, append(remote, "sha256")...)).To(Equal(digest))
		Expect(inConfig(ctx, plugin, append(remote, "http_uri", "uri")...)).To(Equal(plugin.Spec.URL))
	})

	It("is fetched again neither for other rules nor by a restart", func(ctx SpecContext) {
		createReady(ctx, plugin)
		proxy.Reset()
		began := time.Now()
		Expect(patchSpec(ctx, plugin, `{"rules": {"basic_auth_rules": []}}`)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(beReady())
		quietSince(began, ns, "PATCH envoyfilters/basic-auth-config", "PATCH wasmplugins/basic-auth/status")
		relaunch(ctx, "--resolve-modules=true", "--allow-loopback-addresses", "--module-cache-dir="+GinkgoT().TempDir())
		var looked int
		Eventually(func(g Gomega) { looked = operator.reconciles(g) }).Should(Succeed())
		proxy.Reset()
		change(ctx, plugin, func(p *wasmv1alpha1.WasmPlugin) { p.Labels = map[string]string{"team": "a"} })
		Eventually(operator.reconciles).Should(BeNumerically(">", looked))
		Consistently(func() []string { return append(writes(ns), reads(ns)...) }).Should(BeEmpty())
		Expect(server.Requests("/basic-auth.wasm")).To(Equal(1))
	})

	It("that refuses its rules changes nothing that stands", func(ctx SpecContext) {
		createReady(ctx, plugin)
		before := child(ctx, plugin, wasmv1alpha1.RoleConfig)
		Expect(patchSpec(ctx, plugin, `{"rules": {"basic_auth_rules": [{"prefix": "/x", "request_methods": ["GET"], "credentials": ["hunter2"]}]}}`)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(And(
			haveCondition(wasmv1alpha1.ConditionAccepted, metav1.ConditionFalse, wasmv1alpha1.ReasonRulesRejected),
			haveCondition(wasmv1alpha1.ConditionModuleResolved, metav1.ConditionTrue, wasmv1alpha1.ReasonResolved),
			haveCondition(wasmv1alpha1.ConditionReady, metav1.ConditionFalse, wasmv1alpha1.ReasonRulesRejected),
		))
		Expect(conditionOf(refresh(ctx, plugin), wasmv1alpha1.ConditionAccepted).Message).To(And(
			HavePrefix("spec.rules: "), ContainSubstring("the plugin said:"), Not(ContainSubstring("hunter2")), HaveSuffix("stays in effect."),
		))
		Expect(child(ctx, plugin, wasmv1alpha1.RoleConfig)).To(Equal(before))
		Expect(patchSpec(ctx, plugin, `{"rules": {"basic_auth_rules": []}}`)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(beReady())
	})

	It("that can't be had is waited for, and what stands stays", func(ctx SpecContext) {
		createReady(ctx, plugin)
		before := child(ctx, plugin, wasmv1alpha1.RoleConfig)
		server.Answer("/other.wasm", http.StatusServiceUnavailable)
		other := server.URL("/other.wasm")
		Expect(patchSpec(ctx, plugin, `{"url": "`+other+`"}`)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(And(
			haveCondition(wasmv1alpha1.ConditionModuleResolved, metav1.ConditionFalse, "Unreachable"),
			haveCondition(wasmv1alpha1.ConditionReconciling, metav1.ConditionTrue, "Unreachable"),
		))
		Expect(child(ctx, plugin, wasmv1alpha1.RoleConfig)).To(Equal(before))
		Expect(refresh(ctx, plugin).Status.Module.Source).To(HavePrefix(server.URL("/basic-auth.wasm")), "the one in effect")
		server.Serve("/other.wasm", basicAuth())
		server.Answer("/other.wasm", 0)
		Eventually(ctx, stateOf(plugin)).Should(beReady())
		Expect(refresh(ctx, plugin).Status.Module.Source).To(HavePrefix(other))
	})
})
