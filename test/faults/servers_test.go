// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
	"github.com/solarmesh/wasmplugin-operator/test/faults/inject"
)

var _ = Describe("An operator whose servers go", Ordered, ContinueOnFailure, func() {
	var (
		o *operator
		s *scene
	)
	BeforeAll(func(ctx SpecContext) { o = newOperator(ctx) })
	BeforeEach(func(ctx SpecContext) {
		s = newScene(ctx, o)
		s.create(ctx, s.newPlugin(bystander))
		s.create(ctx, s.newPlugin(subject))
		s.settle(ctx, func(g Gomega) { s.asWished(ctx, g, asSpec) })
		s.mayNotTouch(ctx)
	})

	// comesBack has a plugin changed after a server was killed and started, and the operator follow.
	comesBack := func(ctx context.Context, what string) {
		GinkgoHelper()
		s.settle(ctx, func(g Gomega) { s.asWished(ctx, g, asSpec) })
		s.patch(ctx, subject, `{"spec": {"priority": 8}}`)
		s.create(ctx, s.newPlugin("later"))
		s.settle(ctx, func(g Gomega) { s.asWished(ctx, g, asSpec) })
		s.judge(ctx, what)
	}

	It("goes on when nothing answers for some seconds", func(ctx SpecContext) {
		everything := func(*http.Request) bool { return true }
		o.layer.Set(inject.Where(everything, o.layer.Reset))
		o.proxy.Cut()
		s.patch(ctx, subject, `{"spec": {"priority": 7}}`)
		s.writtenIn(ctx, 5*window)
		o.layer.Set()
		comesBack(ctx, "nothing answers")
	})

	It("goes on when the API server was killed in the middle of a change", func(ctx SpecContext) {
		o.layer.Set(o.layer.Kill(1, inject.WritesOf(s.namespace), func() {
			_ = cluster.APIServer.Kill() // its start says what is wrong
		}))
		s.patch(ctx, subject, `{"spec": {"priority": 7}}`)
		Eventually(ctx, o.layer.Injected).Should(BeNumerically(">", 0))
		Eventually(ctx, func() error { return cluster.APIServer.Start(ctx) }).Should(Succeed())
		comesBack(ctx, "the API server was killed")
	})

	if long {
		It("goes on when etcd was killed", func(ctx SpecContext) {
			Expect(cluster.Etcd.Kill()).To(Succeed())
			Expect(cluster.Etcd.Start(ctx)).To(Succeed())
			Eventually(ctx, func() error {
				_, err := chain.Probe{URL: o.metricsURL}.Do(ctx)
				return err
			}).Should(Succeed())
			comesBack(ctx, "etcd was killed")
		})
	}
})
