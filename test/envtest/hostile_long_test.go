//go:build long

// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

var _ = Describe("Hostile: a mesh of large objects", Serial, func() {
	It("row 15: 60 plugins near the bounds of each field leave all others as they are, also at a start", func(ctx SpecContext) {
		survives(ctx, 30, 15)
	}, SpecTimeout(8*time.Minute))
})

// Istio's own kind takes what Kubernetes can't read again. Then nobody can list that kind; the garbage collector, which
// follows all kinds, waits for it when it starts, and goes on without it after half a minute.
var _ = Describe("Hostile: an object of another kind that the API server can't read again", Serial, func() {
	It("row 15: stops no plugin, and delays deletions once", func(ctx SpecContext) {
		bin, err := chain.Install(ctx, GinkgoWriter, chain.Kubernetes)
		Expect(err).NotTo(HaveOccurred())
		first, firstClient, firstConfig := shared, k8s, restConfig
		DeferCleanup(func() { shared, k8s, restConfig = first, firstClient, firstConfig })
		poisoned := newCluster(ctx, bin, chain.ClusterOptions{Dir: filepath.Join(stateDir, "poisoned")})
		DeferCleanup(poisoned.Stop)
		Expect(poisoned.StartControllerManager(ctx)).To(Succeed())
		k8s, restConfig = clientFor(poisoned.Config), poisoned.Config

		through, err := chain.StartCountingProxy(operatorConfig(ctx, poisoned))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(through.Close)
		kubeconfig := filepath.Join(stateDir, "poisoned.kubeconfig")
		Expect(through.WriteKubeconfig(kubeconfig)).To(Succeed())
		restartOperator(ctx, "--kubeconfig="+kubeconfig)

		comesAndGoes := func(ctx context.Context, within time.Duration) {
			GinkgoHelper()
			plugin := newPlugin(newNamespace(ctx))
			createReady(ctx, plugin)
			Expect(k8s.Delete(ctx, plugin)).To(Succeed())
			Eventually(ctx, func() map[string]string { return versions(ctx, plugin) }).WithTimeout(within).Should(BeEmpty())
		}
		comesAndGoes(ctx, 20*time.Second)
		ns := newNamespace(ctx)
		Expect(post(ctx, pathOfNativePlugins, ns, nativePluginOf("deep", deepestNative+1))).To(MatchError(ContainSubstring("object not decodable")))
		comesAndGoes(ctx, 20*time.Second)
		relaunch(ctx, "--kubeconfig="+kubeconfig)
		comesAndGoes(ctx, 20*time.Second)
		Expect(poisoned.ControllerManager.Stop()).To(Succeed())
		Expect(poisoned.ControllerManager.Start(ctx)).To(Succeed())
		comesAndGoes(ctx, 2*time.Minute)
		comesAndGoes(ctx, 20*time.Second)
	}, SpecTimeout(6*time.Minute))
})
