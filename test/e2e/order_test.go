// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// Where hello-world stands in front of basic-auth, a 401 passes it on its way out and gets its header. Behind it,
// hello-world never sees the request. Each step below edits one plugin and turns the order round, so that no step can be
// taken for done before its change is in force.
var _ = Describe("The order of two plugins", func() {
	const hello, auth = "hello-world", "basic-auth"
	var (
		s  space
		gw gateway
	)
	BeforeEach(func(ctx SpecContext) {
		s = newSpace(ctx)
		gw = s.gateway(ctx, "gateway", 1)
	})

	// inForce waits until both run, hello-world in front or not.
	inForce := func(ctx context.Context, helloFirst bool) {
		GinkgoHelper()
		eventually(ctx, gw.get(open, ""), and(served, greeted))
		if helloFirst {
			eventually(ctx, gw.get(protected, ""), and(unauthorized, greeted))
		} else {
			eventually(ctx, gw.get(protected, ""), and(unauthorized, ungreeted))
		}
		now(ctx, gw.get(protected, "ok:test"), and(served, greeted))
	}

	It("follows phase, then priority", func(ctx SpecContext) {
		first := helloWorld(gw.selector())
		first.Priority = new(int32(1))
		s.create(ctx, hello, first)
		s.create(ctx, auth, basicAuth(gw.selector()))
		inForce(ctx, true)
		helloFirst := true
		for _, step := range []struct {
			text, plugin string
			phase        wasmv1alpha1.Phase
			priority     int32
		}{
			{"no phase: -1 after 0", hello, "", -1},
			{"AUTHN before no phase, whatever the priority", hello, wasmv1alpha1.PhaseAuthn, -1000},
			{"both AUTHN: 0 before -1000", auth, wasmv1alpha1.PhaseAuthn, 0},
			{"both AUTHN: 1 before 0", hello, wasmv1alpha1.PhaseAuthn, 1},
			{"both AUTHN: 1000 before 1", auth, wasmv1alpha1.PhaseAuthn, 1000},
			{"UNSPECIFIED after AUTHN, whatever the priority", auth, wasmv1alpha1.PhaseUnspecified, 1000},
			{"no phase is UNSPECIFIED: -1000 after 1000", hello, "", -1000},
			{"AUTHZ before UNSPECIFIED, whatever the priority", hello, wasmv1alpha1.PhaseAuthz, -1000},
			{"both AUTHZ: 1000 before -1000", auth, wasmv1alpha1.PhaseAuthz, 1000},
			{"STATS after AUTHZ, whatever the priority", auth, wasmv1alpha1.PhaseStats, 1000},
		} {
			By(step.text)
			s.edit(ctx, step.plugin, func(spec *wasmv1alpha1.WasmPluginSpec) {
				spec.Phase, spec.Priority = step.phase, &step.priority
			})
			helloFirst = !helloFirst
			inForce(ctx, helloFirst)
		}
	})

	It("follows a placement next to a filter of Envoy", func(ctx SpecContext) {
		first, second := helloWorld(gw.selector()), basicAuth(gw.selector())
		first.Placement.Before = "envoy.filters.http.grpc_stats"
		second.Placement.Before = "envoy.filters.http.fault"
		s.create(ctx, hello, first)
		s.create(ctx, auth, second)
		inForce(ctx, true)
		helloFirst := true
		for _, placement := range []wasmv1alpha1.Placement{
			{Before: "envoy.filters.http.router"},
			{After: "envoy.filters.http.grpc_stats"},
			{After: "envoy.filters.http.fault"},
			{Before: "envoy.filters.http.grpc_stats"},
		} {
			By("before " + placement.Before + ", or after " + placement.After)
			s.edit(ctx, hello, func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Placement = placement })
			helloFirst = !helloFirst
			inForce(ctx, helloFirst)
			names := gw.hasFilter(ctx, s.filterName(hello))
			at := slices.Index(names, s.filterName(hello))
			if placement.Before != "" {
				Expect(names[at+1]).To(Equal(placement.Before))
			} else {
				Expect(names[at-1]).To(Equal(placement.After))
			}
		}
	})

	It("stays when one of equal priority is deleted and made again", func(ctx SpecContext) {
		specs := map[string]wasmv1alpha1.WasmPluginSpec{hello: helloWorld(gw.selector()), auth: basicAuth(gw.selector())}
		bothRun := func() []string {
			GinkgoHelper()
			eventually(ctx, gw.get(protected, ""), unauthorized)
			eventually(ctx, gw.get(open, ""), and(served, greeted))
			names, err := filters(ctx, gw.Proxy, gw.Ports[0])
			Expect(err).NotTo(HaveOccurred())
			return names
		}
		for name, spec := range specs {
			s.create(ctx, name, spec)
		}
		before := bothRun()
		for name, spec := range specs {
			s.delete(ctx, name)
			Eventually(ctx, filters).WithArguments(gw.Proxy, gw.Ports[0]).WithTimeout(patience).
				ShouldNot(ContainElement(s.filterName(name)))
			Eventually(ctx, s.envoyFilters).WithTimeout(patience).Should(HaveLen(2))
			s.create(ctx, name, spec)
			Expect(bothRun()).To(Equal(before), "after %s was made again", name)
		}
	})
})
