// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
	"github.com/solarmesh/wasmplugin-operator/test/faults/inject"
	"github.com/solarmesh/wasmplugin-operator/test/faults/oracle"
)

// operator is the operator's binary as a process, behind a proxy of its own.
type operator struct {
	*chain.Process
	// layer is where faults are put.
	layer *inject.Layer
	proxy *chain.CountingProxy

	metricsURL string
	// died counts how often it was killed on purpose, revived how often it was started again after that.
	died    atomic.Int64
	revived int64
}

var (
	operators atomic.Int64
	// running are those that a container or a spec has.
	running []*operator
)

// What an operator said last is what explains a failure.
var _ = JustAfterEach(func() {
	if !CurrentSpecReport().Failed() {
		return
	}
	for _, o := range running {
		log := o.Log()
		AddReportEntry("end of the log of "+o.LogFile(), log[max(0, len(log)-6000):], ReportEntryVisibilityFailureOrVerbose)
	}
})

// newOperator starts one with the rights that config/default gives, until the container or the spec ends that calls it.
// Of flags of one name the last one counts.
func newOperator(ctx context.Context, flags ...string) *operator {
	GinkgoHelper()
	token, err := cluster.ServiceAccountToken(ctx, "wasmplugin-system", "wasmplugin-operator")
	Expect(err).NotTo(HaveOccurred())
	proxy, err := chain.StartCountingProxy(cluster.ConfigFor(token))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(proxy.Close()).To(Succeed()) })
	name := fmt.Sprintf("operator-%d", operators.Add(1))
	kubeconfig := filepath.Join(stateDir, name+".kubeconfig")
	Expect(proxy.WriteKubeconfig(kubeconfig)).To(Succeed())
	ports, err := chain.FreePorts(2)
	Expect(err).NotTo(HaveOccurred())
	probes, metrics := fmt.Sprintf("127.0.0.1:%d", ports[0]), fmt.Sprintf("127.0.0.1:%d", ports[1])
	o := &operator{proxy: proxy, layer: inject.New(proxy), metricsURL: "http://" + metrics + "/metrics"}
	o.Process, err = chain.Start(ctx, chain.Command{
		Name: name,
		Path: operatorBinary(),
		Args: append([]string{
			"--kubeconfig=" + kubeconfig,
			"--health-probe-bind-address=" + probes,
			"--metrics-bind-address=" + metrics,
			"--metrics-secure=false",
			"--resolve-modules=false",
		}, flags...),
		LogFile: filepath.Join(stateDir, name+".log"),
		Ready: func(ctx context.Context) error {
			_, err := chain.Probe{URL: "http://" + probes + "/readyz"}.Until(ctx, chain.Status(http.StatusOK))
			return err
		},
	})
	Expect(err).NotTo(HaveOccurred())
	running = append(running, o)
	DeferCleanup(func() {
		running = slices.DeleteFunc(running, func(other *operator) bool { return other == o })
		tally.add(count{injected: o.layer.Injected()})
		Expect(o.Process.Kill()).To(Succeed())
	})
	return o
}

// kill ends the process as a crash would. A fault calls it.
func (o *operator) kill() {
	if err := o.Process.Kill(); err == nil {
		o.died.Add(1)
		tally.add(count{kills: 1})
	}
}

// revive starts the operator again if it was killed, when none of its requests can come any more. It says whether it did.
func (o *operator) revive(ctx context.Context) bool {
	GinkgoHelper()
	if o.died.Load() == o.revived {
		return false
	}
	Eventually(ctx, o.proxy.Connections).Should(BeZero())
	Expect(o.Start(ctx)).To(Succeed())
	o.revived++
	return true
}

// metric is the sum of a metric over its labels; 0 where it isn't told.
func (o *operator) metric(ctx context.Context, name string) (float64, error) {
	answer, err := chain.Probe{URL: o.metricsURL}.Do(ctx)
	if err != nil {
		return 0, err
	}
	total := 0.0
	for lines := bufio.NewScanner(strings.NewReader(answer.Body)); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), " ")
		if bare, _, _ := strings.Cut(key, "{"); bare != name {
			continue
		}
		number, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, err
		}
		total += number
	}
	return total, nil
}

// sound has an operator's process looked at (O8).
func (o *operator) sound(ctx context.Context) []string {
	panics, err := o.metric(ctx, "controller_runtime_reconcile_panics_total")
	if err != nil {
		return []string{"O8: the operator doesn't answer: " + err.Error()}
	}
	return oracle.Sound(oracle.Process{Log: o.Log(), Panics: panics})
}
