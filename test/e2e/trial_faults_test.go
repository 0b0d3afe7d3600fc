// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"net/http"
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
		f.refresh(ctx, "once")
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
})
