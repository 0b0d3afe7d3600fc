// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// denied is a policy by which the gateway's proxies deny a path to requests that one plugin, and no other, has seen.
const denied = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: denied, namespace: %s}
spec:
  selector: {matchLabels: {istio: %s}}
  action: DENY
  rules:
  - to: [{operation: {paths: [/denied]}}]
    when: [{key: "request.headers[probe-request]", values: [authn]}]
`

var _ = Describe("Several plugins", func() {
	It("run by phase, then priority, whatever their namespaces and their age", func(ctx SpecContext) {
		s, root := newSpace(ctx), space{chain.IstioNamespace}
		gw := s.gateway(ctx, "gateway", 1)
		inOrder := []struct {
			name     string
			space    space
			phase    wasmv1alpha1.Phase
			priority int32
		}{
			{"authn-root", root, wasmv1alpha1.PhaseAuthn, 1},
			{"authn", s, wasmv1alpha1.PhaseAuthn, 0},
			{"authz", s, wasmv1alpha1.PhaseAuthz, -7},
			{"stats-root", root, wasmv1alpha1.PhaseStats, 0},
			{"last", s, wasmv1alpha1.PhaseUnspecified, 2},
			{"last-root", root, wasmv1alpha1.PhaseUnspecified, 1},
		}
		var requests, responses []string
		for _, plugin := range inOrder {
			requests = append(requests, plugin.name)
		}
		responses = slices.Clone(requests)
		slices.Reverse(responses)
		for _, i := range []int{3, 0, 5, 1, 4, 2} {
			plugin := inOrder[i]
			spec := probe(gw.selector(), fields{"name": plugin.name})
			spec.Phase, spec.Priority = plugin.phase, &plugin.priority
			name := s.namespace + "-" + plugin.name // one of its own in the root namespace, too
			plugin.space.create(ctx, name, spec)
			if plugin.space == root {
				DeferCleanup(func(ctx SpecContext) { root.delete(ctx, name) })
			}
		}
		eventually(ctx, gw.get(open, ""), and(served, named(responses...),
			chain.Header("probe-request", strings.Join(requests, ","))))
	})

	It("stand before and after Istio's own authorization, as their phase says", func(ctx SpecContext) {
		s := newSpace(ctx)
		gw := s.gateway(ctx, "gateway", 1)
		for name, phase := range map[string]wasmv1alpha1.Phase{
			"authn": wasmv1alpha1.PhaseAuthn, "authz": wasmv1alpha1.PhaseAuthz, "rest": wasmv1alpha1.PhaseUnspecified,
		} {
			plugin := probe(gw.selector(), fields{"name": name})
			plugin.Phase = phase
			s.create(ctx, name, plugin)
		}
		all := and(served, named("rest", "authz", "authn"))
		eventually(ctx, gw.get("/denied", ""), all)
		Expect(chain.Apply(ctx, world.Cluster.Config, fmt.Sprintf(denied, s.namespace, gw.Label))).To(Succeed())
		// The policy sees what authn has set, and nobody else; its answer goes back through authn, and nobody else.
		eventually(ctx, gw.get("/denied", ""), []chain.Expect{chain.Status(http.StatusForbidden), named("authn")})
		now(ctx, gw.get(open, ""), all)
	})
})
