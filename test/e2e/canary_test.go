// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

const track = "track"

// fleet are two gateways that one selector picks, of which one is the canary.
type fleet struct {
	space
	stable, canary gateway
}

func newFleet(ctx context.Context) fleet {
	GinkgoHelper()
	f := fleet{space: newSpace(ctx)}
	f.stable = f.labelled(ctx, "stable", 1, map[string]string{"fleet": f.namespace})
	f.canary = f.labelled(ctx, "canary", 1, map[string]string{"fleet": f.namespace, track: "canary"})
	return f
}

func (f fleet) selector() wasmv1alpha1.WorkloadSelector { return selector("fleet", f.namespace) }

// rollout sends changes to the canary first, for so many seconds.
func rollout(seconds int32) wasmv1alpha1.Rollout {
	return wasmv1alpha1.Rollout{Canary: wasmv1alpha1.Canary{Selector: selector(track, "canary"), HoldSeconds: seconds}}
}

// inForce has both gateways run a plugin whose changes go to the canary first, for so many seconds.
func (f fleet) inForce(ctx context.Context, name string, seconds int32) {
	GinkgoHelper()
	spec := basicAuth(f.selector())
	spec.Rollout = rollout(seconds)
	f.create(ctx, name, spec)
	f.runs(ctx, name, 2)
}

// onCanary waits until canary proxies run a change, and returns its name.
func (f fleet) onCanary(ctx context.Context, name string, others ...string) string {
	GinkgoHelper()
	var plugin *wasmv1alpha1.WasmPlugin
	Eventually(ctx, func(g Gomega) {
		plugin = f.becomes(ctx, name, wasmv1alpha1.ReasonOnCanary)
		g.Expect(condition(plugin, wasmv1alpha1.ConditionProgrammed).Message).To(ContainSubstring("in 1 proxies; the others get it at"))
		want := []string{name + "-config", name + "-filter", name + "-config-canary", name + "-filter-canary"}
		for _, other := range others {
			want = append(want, other+"-config", other+"-filter")
		}
		g.Expect(f.envoyFilters(ctx)).To(ConsistOf(want))
	}).WithTimeout(patience).Should(Succeed())
	return strings.Fields(condition(plugin, wasmv1alpha1.ConditionProgrammed).Message)[1]
}

// baseFilter is what a plugin's first filter is called in the stable proxy.
func (f fleet) baseFilter(ctx context.Context, name string) string {
	GinkgoHelper()
	names, err := filters(ctx, f.stable.Proxy, f.stable.Ports[0])
	Expect(err).NotTo(HaveOccurred())
	at := slices.IndexFunc(names, func(filter string) bool { return strings.HasPrefix(filter, f.filterName(name)) })
	Expect(at).To(BeNumerically(">=", 0), "%v", names)
	return names[at]
}

// neverWithout looks at both chains all the time, and says at the end that each had so many of the plugin's filters, one base
// filter among them.
func (f fleet) neverWithout(ctx context.Context, name string, instances int) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var (
		group sync.WaitGroup
		mutex sync.Mutex
		wrong []string
		looks int
	)
	for _, gw := range []gateway{f.stable, f.canary} {
		group.Go(func() {
			for ctx.Err() == nil {
				names, err := filters(ctx, gw.Proxy, gw.Ports[0])
				if err != nil {
					continue
				}
				ours := slices.DeleteFunc(names, func(filter string) bool { return !strings.HasPrefix(filter, f.filterName(name)) })
				mutex.Lock()
				looks++
				if len(ours) != instances || slices.ContainsFunc(ours[1:], func(filter string) bool { return !strings.HasPrefix(filter, ours[0]+".") }) {
					wrong = append(wrong, fmt.Sprintf("%s: %v", gw.Name, ours))
				}
				mutex.Unlock()
			}
		})
	}
	return func() {
		GinkgoHelper()
		cancel()
		group.Wait()
		Expect(looks).To(BeNumerically(">", 100))
		Expect(wrong).To(BeEmpty(), "of %d looks", looks)
	}
}

var _ = Describe("A canary", Ordered, ContinueOnFailure, func() {
	observing()
	var f fleet
	BeforeEach(func(ctx SpecContext) { f = newFleet(ctx) })

	It("gets a change first, and the others after a time, with never a request unfiltered", func(ctx SpecContext) {
		f.inForce(ctx, "auth", 15) // it is looked at meanwhile
		ends := []func(){
			f.neverWithout(ctx, "auth", 1), f.stable.answering(ctx, protected, "401 Unauthorized"), f.canary.answering(ctx, protected, "401 Unauthorized"),
		}
		f.edit(ctx, "auth", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Rules = rules("new:secret") })
		f.onCanary(ctx, "auth")
		now(ctx, f.canary.get(protected, "new:secret"), served)
		now(ctx, f.canary.get(protected, "ok:test"), unauthorized)
		now(ctx, f.stable.get(protected, "ok:test"), served)
		now(ctx, f.stable.get(protected, "new:secret"), unauthorized)
		Expect(f.read(ctx, "auth").Status.Proxies.Summary).To(Equal("1/2"))

		f.runs(ctx, "auth", 2)
		Expect(f.envoyFilters(ctx)).To(ConsistOf("auth-config", "auth-filter"))
		for _, gw := range []gateway{f.stable, f.canary} {
			now(ctx, gw.get(protected, "new:secret"), served)
			now(ctx, gw.get(protected, "ok:test"), unauthorized)
		}
		for _, end := range ends {
			end()
		}
	})

	It("is promoted and aborted by hand, also after a restart of the operator", func(ctx SpecContext) {
		f.inForce(ctx, "auth", 86400)
		f.edit(ctx, "auth", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Rules = rules("second:secret") })
		change := f.onCanary(ctx, "auth")
		Expect(world.RestartOperator(ctx, "--resolve-modules=false", "--store-url=", "--observe-proxies=true")).To(Succeed())
		f.annotate(ctx, "auth", wasmv1alpha1.AnnotationPromote, change)
		f.runs(ctx, "auth", 2)
		now(ctx, f.stable.get(protected, "second:secret"), served)

		f.edit(ctx, "auth", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Rules = rules("third:secret") })
		next := f.onCanary(ctx, "auth")
		Expect(next).NotTo(Equal(change), "so that the last word doesn't count for it")
		f.annotate(ctx, "auth", wasmv1alpha1.AnnotationAbort, next)
		f.becomes(ctx, "auth", wasmv1alpha1.ReasonTakenBack)
		Expect(f.envoyFilters(ctx)).To(ConsistOf("auth-config", "auth-filter", "auth-config-canary"))
		eventually(ctx, f.canary.get(protected, "second:secret"), served)
		now(ctx, f.canary.get(protected, "third:secret"), unauthorized)

		By("forgetting it when the spec goes back")
		f.edit(ctx, "auth", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Rules = rules("second:secret") })
		f.runs(ctx, "auth", 2)
		Expect(f.envoyFilters(ctx)).To(ConsistOf("auth-config", "auth-filter"))
	})

	It("is replaced by a second change, and ended by switching off", func(ctx SpecContext) {
		f.inForce(ctx, "auth", 86400)
		f.edit(ctx, "auth", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Rules = rules("second:secret") })
		f.onCanary(ctx, "auth")
		f.edit(ctx, "auth", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Rules = badRules() })
		f.becomes(ctx, "auth", wasmv1alpha1.ReasonRejected)
		eventually(ctx, f.canary.get(protected, "ok:test"), served)
		Expect(f.envoyFilters(ctx)).To(ConsistOf("auth-config", "auth-filter", "auth-config-trial"))
		f.edit(ctx, "auth", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Rules = rules("third:secret") })
		f.onCanary(ctx, "auth")
		now(ctx, f.canary.get(protected, "third:secret"), served)
		f.edit(ctx, "auth", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Activation.Mode = wasmv1alpha1.ActivationOff })
		for _, gw := range []gateway{f.stable, f.canary} {
			eventually(ctx, gw.get(protected, ""), served)
		}
		f.becomes(ctx, "auth", wasmv1alpha1.ReasonOff)
		Expect(f.envoyFilters(ctx)).To(ConsistOf("auth-config", "auth-filter"))
	})

	It("keeps order and overrides, also new ones", func(ctx SpecContext) {
		f.virtualHosts(ctx, f.stable, f.canary)
		front := probe(f.selector(), fields{"name": "one"})
		front.Priority, front.Rollout = new(int32(10)), rollout(86400)
		front.Overrides = []wasmv1alpha1.Override{override(answering("shop-one"), hosts(shop))}
		f.create(ctx, "front", front)
		f.create(ctx, "behind", probe(f.selector(), fields{"name": "behind"}))
		// It is anchored to the filter that canary proxies don't have.
		next := probe(f.selector(), fields{"name": "next"})
		f.runs(ctx, "front", 2)
		next.Placement.After = f.baseFilter(ctx, "front")
		f.create(ctx, "next", next)
		f.runs(ctx, "behind", 2)
		f.runs(ctx, "next", 2)
		is := func(gw gateway, host string, want ...chain.Expect) {
			eventually(ctx, chain.Probe{URL: gw.URL("/"), Host: host}, want)
		}
		through := func(names string) []chain.Expect { return []chain.Expect{chain.Header("probe-request", names)} }
		for _, gw := range []gateway{f.stable, f.canary} {
			is(gw, shop, answered("shop-one")...)
			is(gw, docs, through("one,next,behind")...)
		}
		end := f.neverWithout(ctx, "front", 2)
		f.edit(ctx, "front", func(spec *wasmv1alpha1.WasmPluginSpec) {
			spec.Rules = rulesJSON(fields{"probe": fields{"name": "two"}})
			spec.Overrides = []wasmv1alpha1.Override{override(answering("docs-two"), hosts(docs))}
		})
		change := f.onCanary(ctx, "front", "behind", "next")
		is(f.canary, docs, answered("docs-two")...)
		is(f.canary, shop, through("two,next,behind")...)
		is(f.stable, shop, answered("shop-one")...)
		is(f.stable, docs, through("one,next,behind")...)
		end()
		f.annotate(ctx, "front", wasmv1alpha1.AnnotationPromote, change)
		f.runs(ctx, "front", 2)
		for _, gw := range []gateway{f.stable, f.canary} {
			is(gw, docs, answered("docs-two")...)
			is(gw, shop, chain.Header("probe-request", "two,behind")) // the anchor's name went with the old hosts
		}
	})

	It("is taken back when the plugin traps at requests, which no trial sees", func(ctx SpecContext) {
		f.create(ctx, "probe", probe(f.selector(), fields{"name": "first"}))
		f.runs(ctx, "probe", 2)
		for _, gw := range []gateway{f.stable, f.canary} {
			now(ctx, gw.get(open, ""), served)
		}
		end := f.stable.untouched(ctx)
		f.edit(ctx, "probe", func(spec *wasmv1alpha1.WasmPluginSpec) {
			spec.Rules, spec.Rollout = rulesJSON(fields{"probe": fields{"trap": true}}), rollout(86400)
		})
		f.onCanary(ctx, "probe")
		Eventually(ctx, func(g Gomega) {
			_, err := f.canary.get(open, "").Do(ctx)
			g.Expect(err).NotTo(HaveOccurred())
			plugin := f.read(ctx, "probe")
			ready := condition(plugin, wasmv1alpha1.ConditionReady)
			g.Expect(ready.Reason).To(Equal(wasmv1alpha1.ReasonTakenBack), ready.Message)
			g.Expect(ready.Message).To(ContainSubstring("more of their requests failed"))
		}).WithTimeout(patience).WithPolling(50 * time.Millisecond).Should(Succeed())
		eventually(ctx, f.canary.get(open, ""), served)
		end()
	})
})
