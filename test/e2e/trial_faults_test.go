// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// freeze has a process do nothing, until thaw.
func freeze(p *chain.Process) {
	GinkgoHelper()
	Expect(syscall.Kill(p.PID(), syscall.SIGSTOP)).To(Succeed())
	DeferCleanup(func() { _ = syscall.Kill(p.PID(), syscall.SIGCONT) }) // it may be gone
}

func thaw(p *chain.Process) {
	GinkgoHelper()
	Expect(syscall.Kill(p.PID(), syscall.SIGCONT)).To(Succeed())
}

// triesOnly waits until the trial of a plugin stands, and nothing else of it.
func (s space) triesOnly(ctx context.Context, name string) {
	GinkgoHelper()
	Eventually(ctx, func() ([]string, error) { return s.envoyFilters(ctx) }).WithTimeout(patience).
		Should(ConsistOf(name+"-config-trial", name+"-filter-trial"))
}

var _ = Describe("A change on trial, while something fails", Ordered, ContinueOnFailure, func() {
	observing()
	var f fleet
	BeforeEach(func(ctx SpecContext) { f = newFleet(ctx) })

	It("is refused for all if one of two proxies refuses it", func(ctx SpecContext) {
		ends := []func(){f.stable.untouched(ctx), f.canary.untouched(ctx)}
		path := "/" + f.namespace + "/once.wasm"
		Expect(world.Modules.ServeFile(path, world.Plugin("/hello-world.wasm"))).To(Succeed())
		world.Modules.AnswerOnce(path, http.StatusNotFound)
		spec := helloWorld(f.selector())
		spec.URL = world.Modules.URL(path)
		f.create(ctx, "once", spec)
		f.becomes(ctx, "once", wasmv1alpha1.ReasonRejected)
		Expect(f.envoyFilters(ctx)).To(ConsistOf("once-config-trial"))
		f.annotate(ctx, "once", wasmv1alpha1.AnnotationRefresh, "1")
		f.runs(ctx, "once", 2)
		for _, end := range ends {
			end()
		}
	})

	It("waits for a proxy that doesn't answer, and not for one that is gone", func(ctx SpecContext) {
		freeze(f.canary.Process)
		spec := basicAuth(f.selector())
		spec.Activation.DeadlineSeconds = 3
		f.create(ctx, "auth", spec)
		Eventually(ctx, func() string {
			return condition(f.becomes(ctx, "auth", wasmv1alpha1.ReasonNotEnforced), wasmv1alpha1.ConditionReady).Message
		}).WithTimeout(patience).Should(And(ContainSubstring(f.canary.ID), Not(ContainSubstring(f.stable.ID))))
		now(ctx, f.stable.get(protected, ""), served)
		Expect(f.canary.Kill()).To(Succeed())
		f.runs(ctx, "auth", 1)
		now(ctx, f.stable.get(protected, ""), unauthorized)
	})

	It("gives up its turn when its plugin is deleted", func(ctx SpecContext) {
		freeze(f.canary.Process)
		f.create(ctx, "auth", basicAuth(f.selector()))
		f.triesOnly(ctx, "auth")
		f.create(ctx, "hello", helloWorld(f.stable.selector()))
		Expect(condition(f.becomes(ctx, "hello", wasmv1alpha1.ReasonWaiting), wasmv1alpha1.ConditionProgrammed).Message).
			To(ContainSubstring("waits for its turn"))
		f.delete(ctx, "auth")
		f.runs(ctx, "hello", 1)
		Expect(f.envoyFilters(ctx)).To(ConsistOf("hello-config", "hello-filter"))
		now(ctx, f.stable.get(open, ""), and(served, greeted))
	})

	It("goes on when istiod has restarted, and when its EnvoyFilters were deleted", func(ctx SpecContext) {
		freeze(f.canary.Process)
		f.create(ctx, "auth", basicAuth(f.selector()))
		f.triesOnly(ctx, "auth")
		Expect(world.Istiod.Stop()).To(Succeed())
		_, err := world.Shell(ctx, "kubectl delete envoyfilter -n "+f.namespace+" auth-filter-trial auth-config-trial")
		Expect(err).NotTo(HaveOccurred())
		Expect(world.Istiod.Start(ctx)).To(Succeed())
		f.triesOnly(ctx, "auth")
		thaw(f.canary.Process)
		f.runs(ctx, "auth", 2)
		for _, gw := range []gateway{f.stable, f.canary} {
			now(ctx, gw.get(protected, ""), unauthorized)
		}
	})

	It("is in force where two istiods say so, of which one takes its time", func(ctx SpecContext) {
		slow, err := chain.StartIstiod(ctx, world.Bin, world.Cluster, chain.IstiodOptions{
			Dir: filepath.Join(world.Dir, "istiod-slow"), Name: "istiod-slow", CA: true,
			Env: []string{"PILOT_DEBOUNCE_AFTER=5s", "REVISION=slow"},
		})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { Expect(slow.Stop()).To(Succeed()) })
		first := world.Istiod
		world.Istiod = slow
		late := f.labelled(ctx, "late", 1, map[string]string{"fleet": f.namespace})
		world.Istiod = first
		asked := func(ctx context.Context, addresses string) {
			Expect(world.RestartOperator(ctx, "--resolve-modules=false", "--store-url=", "--observe-proxies=true", "--istiod-addresses="+addresses)).To(Succeed())
		}
		asked(ctx, first.SecureAddress+","+slow.SecureAddress)
		DeferCleanup(func(ctx SpecContext) { asked(ctx, first.SecureAddress) })

		f.create(ctx, "auth", basicAuth(f.selector()))
		for i := range 3 {
			f.runs(ctx, "auth", 3)
			// Whoever is said to run it does.
			user := fmt.Sprintf("user:%d", i)
			for _, gw := range []gateway{f.stable, f.canary, late} {
				now(ctx, gw.get(protected, user), unauthorized)
			}
			f.edit(ctx, "auth", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Rules = rules(user) })
			// Another change, which both push in between.
			Expect(chain.Apply(ctx, world.Cluster.Config, fmt.Sprintf(`
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: other-%[2]d, namespace: %[1]s}
spec: {hosts: [other-%[2]d.example.com], ports: [{number: 80, name: http, protocol: HTTP}], resolution: NONE}
`, f.namespace, i))).To(Succeed())
			f.runs(ctx, "auth", 3)
			for _, gw := range []gateway{f.stable, f.canary, late} {
				now(ctx, gw.get(protected, user), served)
			}
		}
	})
})
