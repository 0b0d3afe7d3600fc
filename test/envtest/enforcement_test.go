// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// As on OpenShift: who sets blockOwnerDeletion needs a right to the owner's finalizers.
var _ = Describe("An API server with OwnerReferencesPermissionEnforcement", Serial, func() {
	It("lets the operator write its pairs", func(ctx SpecContext) {
		bin, err := chain.Install(ctx, GinkgoWriter, chain.Kubernetes)
		Expect(err).NotTo(HaveOccurred())
		first, firstClient := shared, k8s
		DeferCleanup(func() { shared, k8s = first, firstClient })
		strict := newCluster(ctx, bin, chain.ClusterOptions{
			Dir:           filepath.Join(stateDir, "strict"),
			APIServerArgs: []string{"--enable-admission-plugins=OwnerReferencesPermissionEnforcement"},
		})
		DeferCleanup(strict.Stop)
		k8s = clientFor(strict.Config)

		through, err := chain.StartCountingProxy(operatorConfig(ctx, strict))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(through.Close)
		kubeconfig := filepath.Join(stateDir, "strict.kubeconfig")
		Expect(through.WriteKubeconfig(kubeconfig)).To(Succeed())
		restartOperator(ctx, "--kubeconfig="+kubeconfig)

		plugin := newPlugin(newNamespace(ctx))
		createReady(ctx, plugin)
		Expect(patchSpec(ctx, plugin, `{"priority": 5}`)).To(Succeed())
		Eventually(ctx, stateOf(plugin)).Should(beReady())
		Expect(k8s.Delete(ctx, child(ctx, plugin, wasmv1alpha1.RoleFilter))).To(Succeed())
		Eventually(ctx, func() map[string]string { return versions(ctx, plugin) }).Should(HaveKey("basic-auth-filter"))
	})
})
