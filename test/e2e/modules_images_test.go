// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
	"github.com/solarmesh/wasmplugin-operator/test/story"
)

// The registry asks for a password and speaks TLS by an authority that only the operator trusts: no proxy could fetch
// anything from it.
var _ = Describe("A signed module in a registry", Ordered, func() {
	const (
		team = "team"
		// longest bounds a spec: a proxy that gets no module asks for it no more, and is waited for in vain.
		longest = 4 * time.Minute
	)
	var (
		s     space
		first gateway
	)
	// join starts a gateway for which the plugins of the namespace are meant.
	join := func(ctx context.Context, name string) gateway {
		GinkgoHelper()
		return s.labelled(ctx, name, 1, map[string]string{team: imagesSpace})
	}
	enforced := func(ctx context.Context, gw gateway) {
		GinkgoHelper()
		eventually(ctx, gw.get(protected, ""), unauthorized)
		now(ctx, gw.get(protected, "ok:test"), served)
	}

	// lose ends a replica of the store with all that it kept. After the spec it runs, also where that failed: others need it.
	lose := func(replica *story.Replica, end func() error) {
		GinkgoHelper()
		DeferCleanup(func(ctx SpecContext) {
			if !replica.Runs() {
				Expect(replica.Start(ctx)).To(Succeed())
			}
		})
		Expect(end()).To(Succeed())
		Expect(replica.LoseFolder()).To(Succeed())
	}

	BeforeAll(func(ctx SpecContext) {
		s = registrySpace(ctx, imagesSpace)
		s.signingKey(ctx, "release")
		first = join(ctx, "first")
	})

	DescribeTable("is verified, served by the store, and run",
		func(ctx SpecContext, format chain.Format, layout chain.Layout) {
			name := string(format)
			image := push(ctx, "plugins/"+name+":1.4", format, story.BasicAuthPath)
			s.sign(ctx, image, "release", layout)
			s.create(ctx, name, signedBy(pulled(basicAuth(selector(team, imagesSpace)), "plugins/"+name+":1.4"), "release"))
			DeferCleanup(func(ctx SpecContext) {
				s.delete(ctx, name)
				eventually(ctx, first.get(protected, ""), served)
			})
			enforced(ctx, first)

			plugin := s.has(ctx, name, wasmv1alpha1.ConditionModuleResolved, metav1.ConditionTrue, wasmv1alpha1.ReasonResolved)
			digest := hexDigest(story.BasicAuthPath)
			Expect(plugin.Status.Module).To(Equal(wasmv1alpha1.ModuleStatus{
				Digest: "sha256:" + digest, ShortDigest: digest[:8], Size: int64(len(moduleBytes(story.BasicAuthPath))),
				ABI: plugin.Status.Module.ABI, Source: imageURL(image), VerifiedBy: plugin.Status.Module.VerifiedBy,
			}))
			Expect(plugin.Status.Module.ABI).To(HavePrefix("0.2."))
			Expect(plugin.Status.Module.VerifiedBy).To(And(ContainSubstring("cosign"), ContainSubstring("spec.verification.keys[0]")))

			// Pulled with a Secret, so its path can't be guessed.
			config := s.configOf(ctx, name)
			Expect(config).To(MatchRegexp(`"uri":"` + regexp.QuoteMeta(world.Store.URL()) + `/modules/private/[-_A-Za-z0-9]{43}/` + digest + `\.wasm"`))
			Expect(config).To(ContainSubstring(`"sha256":"` + digest + `"`))
			Expect(config).NotTo(ContainSubstring(world.Registry.Address))
		},
		Entry("as Docker's image, signed as cosign 2 does", chain.DockerImage, chain.SignatureTag),
		Entry("as the OCI's image, signed as cosign 3 does", chain.OCIImage, chain.SignatureBundle),
		Entry("as an artifact, signed as cosign 3 does", chain.Artifact, chain.SignatureBundle),
	)

	Context("that runs", func() {
		BeforeAll(func(ctx SpecContext) {
			image := push(ctx, "plugins/running:1.4", chain.OCIImage, story.BasicAuthPath)
			s.sign(ctx, image, "release", chain.SignatureBundle)
			s.create(ctx, "running", signedBy(pulled(basicAuth(selector(team, imagesSpace)), "plugins/running:1.4"), "release"))
			enforced(ctx, first)
		})

		It("reaches new proxies while the registry is down", func(ctx SpecContext) {
			Expect(world.Registry.Stop()).To(Succeed())
			DeferCleanup(func(ctx SpecContext) { Expect(world.Registry.Start(ctx)).To(Succeed()) })
			enforced(ctx, join(ctx, "without-registry"))
			Expect(condition(s.read(ctx, "running"), wasmv1alpha1.ConditionReady).Status).To(Equal(metav1.ConditionTrue))
		}, SpecTimeout(longest))

		// Before the manager tells the store what is in use: the store itself sees to it that a new module is in all replicas.
		It("reaches new proxies after either replica of the store was lost with all that it kept", func(ctx SpecContext) {
			for i, lost := range world.Store.Replicas {
				lose(lost, lost.Kill)
				enforced(ctx, join(ctx, fmt.Sprintf("without-replica-%d", i)))
				// Ready again, it has got everything from the other one, which is lost next.
				Expect(lost.Start(ctx)).To(Succeed())
			}
		}, SpecTimeout(longest))

		It("reaches new proxies while the manager is down", func(ctx SpecContext) {
			Expect(world.Operator.Stop()).To(Succeed())
			DeferCleanup(func(ctx SpecContext) { Expect(world.StartOperator(ctx)).To(Succeed()) })
			enforced(ctx, join(ctx, "without-manager"))
		}, SpecTimeout(longest))

		It("goes on running, and reaches new proxies, while all is updated", func(ctx SpecContext) {
			refused, admitted := watch(ctx, first.get(protected, "")), watch(ctx, first.get(protected, "ok:test"))
			for i, replica := range world.Store.Replicas {
				// A new pod has a new folder.
				lose(replica, replica.Stop)
				enforced(ctx, join(ctx, fmt.Sprintf("update-replica-%d", i)))
				Expect(replica.Start(ctx)).To(Succeed())
			}
			Expect(world.RestartOperator(ctx)).To(Succeed())
			enforced(ctx, join(ctx, "updated"))
			refused.saw(http.StatusUnauthorized)
			admitted.saw(http.StatusOK)
			Expect(condition(s.read(ctx, "running"), wasmv1alpha1.ConditionReady).Status).To(Equal(metav1.ConditionTrue))
		}, SpecTimeout(longest))
	})
})
