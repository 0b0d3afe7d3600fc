// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// Virtual hosts of testdata/hosts.yaml; unknown is served by the gateway's own, which takes all hosts.
const (
	shop, docs, status, partner = "shop.example.com", "docs.example.com", "status.example.com", "partner.example.com"
	wildcard, below, unknown    = "*.example.com", "anything.example.com", "unknown.example.org"
)

// virtualHosts gives gateways those of testdata/hosts.yaml, and waits for the one of them that comes last.
func (s space) virtualHosts(ctx context.Context, gateways ...gateway) {
	GinkgoHelper()
	yaml, err := os.ReadFile("testdata/hosts.yaml")
	Expect(err).NotTo(HaveOccurred())
	var names []string
	for _, gw := range gateways {
		names = append(names, gw.Name)
	}
	filled := strings.NewReplacer("NAMESPACE", s.namespace, "[gateway]", "["+strings.Join(names, ", ")+"]").Replace(string(yaml))
	Expect(chain.Apply(ctx, world.Cluster.Config, filled)).To(Succeed())
	for _, gw := range gateways {
		routes := chain.Probe{URL: gw.AdminURL + "/config_dump?resource=dynamic_route_configs"}
		for _, host := range []string{shop, docs, status, partner, wildcard} {
			eventually(ctx, routes, []chain.Expect{chain.Body(`"` + host + `"`)})
		}
	}
}

func override(behavior fields, match wasmv1alpha1.OverrideMatch) wasmv1alpha1.Override {
	GinkgoHelper()
	return wasmv1alpha1.Override{Match: match, Rules: rulesJSON(fields{"probe": behavior})}
}

func disable(match wasmv1alpha1.OverrideMatch) wasmv1alpha1.Override {
	return wasmv1alpha1.Override{Match: match, Mode: wasmv1alpha1.OverrideDisable}
}

func hosts(names ...string) wasmv1alpha1.OverrideMatch {
	return wasmv1alpha1.OverrideMatch{Hosts: names}
}

func routes(names ...string) wasmv1alpha1.OverrideMatch {
	return wasmv1alpha1.OverrideMatch{Routes: names}
}

func routesOf(host string, names ...string) wasmv1alpha1.OverrideMatch {
	return wasmv1alpha1.OverrideMatch{Hosts: []string{host}, Routes: names}
}

// request is a host and a path.
type request struct{ host, path string }

var _ = Describe("Overrides", Ordered, ContinueOnFailure, func() {
	var (
		s       space
		gateway hall
	)
	BeforeAll(func(ctx SpecContext) {
		s = newSpace(ctx)
		gateway.gateway = s.gateway(ctx, "gateway", 8)
		s.virtualHosts(ctx, gateway.gateway)
	})

	// answer waits for what each request is answered; "" is an answer from behind the plugin.
	answer := func(ctx context.Context, d door, want map[request]string) {
		GinkgoHelper()
		for request, name := range want {
			expect := served
			if name != "" {
				expect = answered(name)
			}
			eventually(ctx, d.get(request.host, request.path), expect)
		}
		for request, name := range want {
			if name != "" {
				now(ctx, d.get(request.host, request.path), answered(name))
			}
		}
	}

	It("give hosts, routes and routes of hosts rules of their own", func(ctx SpecContext) {
		d := gateway.door()
		plugin := d.probe(answering("base"))
		plugin.Overrides = []wasmv1alpha1.Override{
			override(answering("wild"), hosts(wildcard)),
			override(answering("shop"), hosts(shop)),
			override(answering("audit"), routes("audit")),
			override(answering("docs admin"), routesOf(docs, "admin")),
			disable(hosts(status)),
			disable(routesOf(shop, "admin")),
		}
		s.create(ctx, "all-kinds", plugin)
		answer(ctx, d, map[request]string{
			{unknown, "/"}:   "base",
			{shop, "/"}:      "shop",
			{shop, "/admin"}: "",
			{shop, "/audit"}: "audit", // what a route says counts before what its virtual host says
			{docs, "/"}:      "base",  // the wildcard is the virtual host of that very name
			{docs, "/admin"}: "docs admin",
			{docs, "/audit"}: "audit",
			{below, "/"}:     "wild",
			{status, "/"}:    "",
			// istiod makes one virtual host of the hosts of a VirtualService, and what is said of one is said of all.
			{partner, "/"}: "",
		})

		By("removing some")
		s.edit(ctx, "all-kinds", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Overrides = spec.Overrides[1:3] })
		answer(ctx, d, map[request]string{
			{unknown, "/"}: "base", {below, "/"}: "base", {status, "/"}: "base", {docs, "/admin"}: "base",
			{shop, "/"}: "shop", {shop, "/admin"}: "shop", {shop, "/audit"}: "audit", {docs, "/audit"}: "audit",
		})

		By("removing all")
		s.edit(ctx, "all-kinds", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Overrides = nil })
		answer(ctx, d, map[request]string{{shop, "/"}: "base", {shop, "/audit"}: "base", {docs, "/audit"}: "base"})
		Eventually(ctx, d.instances).WithArguments(s.filterName("all-kinds")).WithTimeout(patience).
			Should(ConsistOf(s.filterName("all-kinds")))
	})

	It("with equal rules share an instance", func(ctx SpecContext) {
		d := gateway.door()
		plugin := d.probe(answering("one"))
		plugin.Overrides = []wasmv1alpha1.Override{
			override(answering("two"), hosts(shop)),
			override(answering("one"), hosts(wildcard)),
			override(answering("two"), routesOf(docs, "admin", "audit")),
		}
		s.create(ctx, "equal", plugin)
		answer(ctx, d, map[request]string{
			{unknown, "/"}: "one", {below, "/"}: "one", {docs, "/"}: "one",
			{shop, "/"}: "two", {docs, "/admin"}: "two", {docs, "/audit"}: "two",
		})
		// The rules of all other requests are an instance of their own, since they change by themselves.
		Expect(d.instances(ctx, s.filterName("equal"))).To(HaveLen(3))
	})

	// Each change below is made while requests come, on one connection and on many. None of them may pass without the
	// plugin, and none may meet the rules of other hosts. A proxy takes its filters and its routes from istiod one after the
	// other, and a connection keeps the filters that it met. So while the set of overrides changes, requests of hosts with
	// an override may run with the base rules; where only rules change, the hosts that it isn't about don't notice.
	DescribeTable("change under load, and no request passes unfiltered:",
		func(ctx SpecContext, name, before, after string, meanwhile ...string) {
			overrides := func(name string) []wasmv1alpha1.Override {
				list := []wasmv1alpha1.Override{override(answering("docs"), hosts(docs))}
				if name != "base" {
					list = append(list, override(answering(name), hosts(shop)))
				}
				return list
			}
			d := gateway.door()
			plugin := d.probe(answering("base"))
			plugin.Overrides = overrides(before)
			s.create(ctx, name, plugin)
			answer(ctx, d, map[request]string{{shop, "/"}: before, {docs, "/"}: "docs", {unknown, "/"}: "base"})

			idle := d.stream(shop, true)
			defer idle.client.CloseIdleConnections()
			idle.send(ctx)
			want := map[*stream][]string{}
			for _, oneConnection := range []bool{true, false} {
				want[d.stream(shop, oneConnection)] = []string{"418 " + before, "418 " + after}
				want[d.stream(docs, oneConnection)] = append([]string{"418 docs"}, meanwhile...)
				want[d.stream(unknown, oneConnection)] = []string{"418 base"}
			}
			load := startTraffic(ctx, slices.Collect(maps.Keys(want))...)
			defer load.stop()
			load.more(ctx)
			s.edit(ctx, name, func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Overrides = overrides(after) })
			eventually(ctx, d.get(shop, "/"), answered(after))
			eventually(ctx, d.get(docs, "/"), answered("docs"))
			load.more(ctx)
			load.stop()
			idle.send(ctx)
			idle.send(ctx)

			var wrong []string
			for stream, want := range want {
				answers, sent, _ := stream.seen()
				unnoticed := stream.host == docs && slices.Equal(answers, want[:1])
				if !slices.Equal(answers, want) && !unnoticed {
					wrong = append(wrong, fmt.Sprintf("%s answered %q to %d requests, want %q", stream.host, answers, sent, want))
				}
			}
			Expect(wrong).To(BeEmpty())
			answers, _, _ := idle.seen()
			Expect(answers).To(HaveEach(HavePrefix("418 ")), "on a connection that was idle")
		},
		Entry("new rules", "new-rules", "old", "new"),
		Entry("an override more", "more", "base", "new", "418 base", "418 docs"),
		Entry("an override less", "less", "old", "base", "418 base", "418 docs"),
	)
})
