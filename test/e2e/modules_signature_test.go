// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
	"github.com/solarmesh/wasmplugin-operator/test/story"
)

var _ = Describe("A module without the signature that is asked for", Ordered, ContinueOnFailure, func() {
	var s space
	BeforeAll(func(ctx SpecContext) {
		s = registrySpace(ctx, signaturesSpace)
		s.signingKey(ctx, "release")
		s.signingKey(ctx, "strangers")
	})

	// distinct is an image with a digest of its own: images of one digest share their signatures.
	distinct := func(ctx context.Context, name, path string) string {
		GinkgoHelper()
		// A custom section, which nobody reads: its kind, its size, and its name.
		module := append(moduleBytes(path), 0, byte(len(name)+1), byte(len(name)))
		digest, err := world.Registry.Push(ctx, "unproven:"+name, chain.DockerImage, append(module, name...))
		Expect(err).NotTo(HaveOccurred())
		return "unproven@" + digest
	}

	// transplant puts the signature of another image where that of the image belongs.
	transplant := func(layout chain.Layout) func(context.Context, string) {
		return func(ctx context.Context, image string) {
			GinkgoHelper()
			other := distinct(ctx, "other-"+string(layout), story.HelloWorldPath)
			s.sign(ctx, other, "release", layout)
			Expect(world.Registry.Copy(ctx, chain.SignatureOf(other, layout), chain.SignatureOf(image, layout))).To(Succeed())
		}
	}

	DescribeTable("is refused before anything is written",
		func(ctx SpecContext, name string, sign func(ctx context.Context, image string)) {
			sign(ctx, distinct(ctx, name, story.BasicAuthPath))
			s.create(ctx, name, signedBy(pulled(basicAuth(selector("app", name)), "unproven:"+name), "release"))
			DeferCleanup(func(ctx SpecContext) { s.delete(ctx, name) })
			plugin := s.has(ctx, name, wasmv1alpha1.ConditionModuleResolved, metav1.ConditionFalse, "NotSigned")
			Expect(condition(plugin, wasmv1alpha1.ConditionReady).Status).To(Equal(metav1.ConditionFalse))
			Expect(plugin.Status.EnvoyFilters).To(BeEmpty())
			Expect(s.envoyFilters(ctx)).To(BeEmpty())
		},
		Entry("if nobody signed it", "unsigned", func(context.Context, string) {}),
		Entry("if the signature is of another module, as cosign 2 keeps it", "moved-tag", transplant(chain.SignatureTag)),
		Entry("if the signature is of another module, as cosign 3 keeps it", "moved-bundle", transplant(chain.SignatureBundle)),
		Entry("if a stranger signed it", "stranger", func(ctx context.Context, image string) {
			s.sign(ctx, image, "strangers", chain.SignatureTag)
			s.sign(ctx, image, "strangers", chain.SignatureBundle)
		}),
	)
})
