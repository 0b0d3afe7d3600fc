// SPDX-License-Identifier: Apache-2.0

//go:build long

// What takes minutes: make full runs it.
package e2e

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
	"github.com/solarmesh/wasmplugin-operator/test/conformance/ads"
	"github.com/solarmesh/wasmplugin-operator/test/story"
)

// crowdSize is the number of proxies of a large mesh.
const crowdSize = 2000

// crowd are proxies that speak for themselves, without an Envoy.
type crowd struct {
	space
	mutex sync.Mutex
	// guilty is the one that refuses whatever it is sent.
	guilty string
}

// join starts so many proxies, which take all that they are sent, but for the guilty one.
func (c *crowd) join(ctx context.Context, size int) (leave func()) {
	GinkgoHelper()
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	for i := range size / 100 {
		client, err := ads.NewClient(world.Istiod.DiscoveryAddress)
		Expect(err).NotTo(HaveOccurred())
		for j := range 100 {
			proxy := ads.Proxy{
				Kind: ads.Router, Name: fmt.Sprintf("crowd-%02d-%02d", i, j), Namespace: c.namespace, IP: "127.0.0.1",
				Labels: map[string]string{"istio": c.namespace + "-crowd"}, Version: "1.31.0",
			}
			group.Go(func() {
				c.live(ctx, client, proxy)
			})
		}
	}
	return func() {
		cancel()
		group.Wait()
	}
}

// live connects again and again, as agents do: istiod takes some 25 proxies in a second.
func (c *crowd) live(ctx context.Context, client *ads.Client, proxy ads.Proxy) {
	for ctx.Err() == nil {
		_ = client.Live(ctx, proxy, func(names []string) string { // whoever stays away is missed in the status
			c.mutex.Lock()
			defer c.mutex.Unlock()
			if c.guilty != proxy.String() || len(names) == 0 {
				return ""
			}
			return "Unable to create Wasm plugin " + names[0]
		})
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (c *crowd) blame(proxy string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.guilty = proxy
}

// peak is the most memory that a process has had.
func peak(p *chain.Process) string {
	GinkgoHelper()
	bytes, err := p.Memory("VmHWM")
	if err != nil {
		return "unknown"
	}
	return fmt.Sprint(bytes>>20, " MiB")
}

var _ = Describe("A mesh of 2,000 proxies", Ordered, func() {
	observing()

	It("is asked as a small one, and one refusal in it is found", func(ctx SpecContext) {
		c := &crowd{space: newSpace(ctx)}
		ports, err := chain.FreePorts(1)
		Expect(err).NotTo(HaveOccurred())
		g := story.Gateway{Namespace: c.namespace, Name: "crowd", Label: c.namespace + "-crowd", Ports: ports}
		Expect(chain.Apply(ctx, world.Cluster.Config, g.YAML())).To(Succeed())
		DeferCleanup(c.join(ctx, crowdSize))
		spec := helloWorld(selector("istio", g.Label))
		spec.Activation.DeadlineSeconds = 600
		all := fmt.Sprintf("%d/%d", crowdSize, crowdSize)
		took := map[string]time.Duration{}
		measure := func(what string, change func()) {
			took[what] = c.takes(ctx, "hello", 5*patience, change, func(g Gomega, plugin *wasmv1alpha1.WasmPlugin) {
				g.Expect(condition(plugin, wasmv1alpha1.ConditionReady).Reason).To(Equal(wasmv1alpha1.ReasonProgrammed))
				g.Expect(plugin.Status.Proxies.Summary).To(Equal(all))
			})
		}
		// All of them, and not those that have come by now.
		Eventually(ctx, func(g Gomega) {
			var clients struct{ TotalClients int }
			g.Expect(getJSON(ctx, world.Istiod.URL+"/debug/adsz", &clients)).To(Succeed())
			g.Expect(clients.TotalClients).To(BeNumerically(">=", crowdSize))
		}).WithTimeout(5 * patience).Should(Succeed())
		measure("new", func() { c.create(ctx, "hello", spec) })
		measure("other content", func() {
			c.edit(ctx, "hello", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Rules = rulesJSON(fields{"a": "b"}) })
		})

		guilty := fmt.Sprintf("crowd-07-42.%s", c.namespace)
		c.blame(guilty)
		Eventually(ctx, func() error {
			plugin := c.read(ctx, "hello")
			plugin.Spec.Rules = rulesJSON(fields{"a": "bad"})
			return api.Update(ctx, plugin)
		}).Should(Succeed())
		Eventually(ctx, func(g Gomega) {
			plugin := c.read(ctx, "hello")
			g.Expect(plugin.Status.ObservedGeneration).To(Equal(plugin.Generation))
			g.Expect(plugin.Status.Proxies.RejectedTotal).To(HaveValue(BeEquivalentTo(1)))
			g.Expect(plugin.Status.Proxies.Rejections[0].Proxy).To(Equal(guilty))
		}).WithTimeout(5 * patience).Should(Succeed())
		for what, time := range took {
			AddReportEntry(fmt.Sprintf("2,000 proxies, from kubectl apply to %s, %s: %s", all, what, time.Round(100_000_000)))
		}
		AddReportEntry("2,000 proxies: the operator's memory at most " + peak(world.Operator))
	})
})

var _ = Describe("A running plugin", Ordered, func() {
	observing()

	It("is in force where two istiods say so, of which one takes its time", func(ctx SpecContext) {
		f := newFleet(ctx)
		slow, err := chain.StartIstiod(ctx, world.Bin, world.Cluster, chain.IstiodOptions{
			Dir: filepath.Join(world.Dir, "istiod-slow"), Name: "istiod-slow", CA: true,
			Env: []string{"PILOT_DEBOUNCE_AFTER=5s", "REVISION=slow"},
		})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { Expect(slow.Stop()).To(Succeed()) })
		first := world.Istiod
		world.Istiod = slow
		late := f.labelled(ctx, "late", 1, map[string]string{"fleet": f.namespace})
		world.Istiod = first
		asked := func(ctx context.Context, addresses string) {
			Expect(world.RestartOperator(ctx, "--resolve-modules=false", "--store-url=", "--observe-proxies=true", "--istiod-addresses="+addresses)).To(Succeed())
		}
		asked(ctx, first.SecureAddress+","+slow.SecureAddress)
		DeferCleanup(func(ctx SpecContext) { asked(ctx, first.SecureAddress) })

		f.create(ctx, "auth", basicAuth(f.selector()))
		for i := range 3 {
			f.runs(ctx, "auth", 3)
			// Whoever is said to run it does.
			user := fmt.Sprintf("user:%d", i)
			for _, gw := range []gateway{f.stable, f.canary, late} {
				now(ctx, gw.get(protected, user), unauthorized)
			}
			f.edit(ctx, "auth", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Rules = rules(user) })
			// Another change, which both push in between.
			Expect(chain.Apply(ctx, world.Cluster.Config, fmt.Sprintf(`
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: other-%[2]d, namespace: %[1]s}
spec: {hosts: [other-%[2]d.example.com], ports: [{number: 80, name: http, protocol: HTTP}], resolution: NONE}
`, f.namespace, i))).To(Succeed())
			f.runs(ctx, "auth", 3)
			for _, gw := range []gateway{f.stable, f.canary, late} {
				now(ctx, gw.get(protected, user), served)
			}
		}
	})

	It("lets no request pass through 200 changes, with restarts of the gateway", func(ctx SpecContext) {
		s := newSpace(ctx)
		gw := s.labelled(ctx, "gateway", 1, map[string]string{"fleet": s.namespace})
		s.create(ctx, "auth", basicAuth(gw.selector()))
		s.runs(ctx, "auth", 1)
		copyOf := "/" + s.namespace + "/copy.wasm"
		Expect(world.Modules.ServeFile(copyOf, world.Plugin(story.BasicAuthPath))).To(Succeed())
		stream := newStream(gw.URL(protected), "", false)
		done, stop := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			ticker := time.NewTicker(5 * time.Millisecond)
			defer ticker.Stop()
			for {
				select {
				case <-stop:
					return
				case <-ticker.C:
					stream.send(ctx)
				}
			}
		}()
		changes := []func(spec *wasmv1alpha1.WasmPluginSpec, i int){
			func(spec *wasmv1alpha1.WasmPluginSpec, i int) { spec.Rules = rules(fmt.Sprintf("user:%d", i)) },
			func(spec *wasmv1alpha1.WasmPluginSpec, i int) {
				spec.URL = world.Modules.URL([]string{copyOf, story.BasicAuthPath}[i/4%2])
			},
			func(spec *wasmv1alpha1.WasmPluginSpec, i int) {
				spec.Selector = []wasmv1alpha1.WorkloadSelector{gw.selector(), selector("fleet", s.namespace)}[i/4%2]
				spec.VMConfig.Env = []wasmv1alpha1.EnvVar{{Name: "ROUND", Value: new(fmt.Sprint(i))}}
			},
			func(spec *wasmv1alpha1.WasmPluginSpec, i int) {
				spec.Activation.Mode = []wasmv1alpha1.ActivationMode{wasmv1alpha1.ActivationSafe, wasmv1alpha1.ActivationImmediate}[i/4%2]
				spec.Priority = new(int32(i))
			},
		}
		for i := range 200 {
			s.edit(ctx, "auth", func(spec *wasmv1alpha1.WasmPluginSpec) { changes[i%len(changes)](spec, i) })
			s.runs(ctx, "auth", 1)
			if i%50 == 49 {
				Expect(gw.Stop()).To(Succeed())
				Expect(gw.Start(ctx)).To(Succeed())
				eventually(ctx, gw.get(protected, ""), unauthorized)
			}
		}
		close(stop)
		<-done
		answers, sent, _ := stream.seen()
		// Nobody answers while the gateway restarts.
		passed := slices.DeleteFunc(slices.Clone(answers), func(answer string) bool {
			return answer == "401 Unauthorized" || !strings.HasPrefix(answer, fmt.Sprint(http.StatusOK))
		})
		Expect(passed).To(BeEmpty(), "%q", answers)
		AddReportEntry(fmt.Sprintf("200 changes and 4 restarts of the gateway: 0 of %d requests passed unfiltered", sent))
	})

	It("is in force soon, 50 times", func(ctx SpecContext) { timed(ctx, 50) })
})
