// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/rest"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// operatorProcess is the operator's binary, running.
type operatorProcess struct {
	*chain.Process
	metricsURL string
}

// startOperator builds the operator and starts it behind the counting proxy.
func startOperator(ctx context.Context) {
	GinkgoHelper()
	out, err := exec.CommandContext(ctx, "go", "build", "-o", operatorBinary(), repository).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
	proxy, err = chain.StartCountingProxy(operatorConfig(ctx, cluster))
	Expect(err).NotTo(HaveOccurred())
	Expect(proxy.WriteKubeconfig(operatorKubeconfig())).To(Succeed())
	operator = launch(ctx)
}

// operatorConfig has the rights that config/default gives.
func operatorConfig(ctx context.Context, of *chain.Cluster) *rest.Config {
	GinkgoHelper()
	token, err := of.ServiceAccountToken(ctx, "wasmplugin-system", "wasmplugin-operator")
	Expect(err).NotTo(HaveOccurred())
	return of.ConfigFor(token)
}

func operatorBinary() string     { return filepath.Join(stateDir, "wasmplugin-operator") }
func operatorKubeconfig() string { return filepath.Join(stateDir, "operator.kubeconfig") }

// launch starts the operator with further flags, of which the last of a name counts, and variables (NAME=VALUE).
func launch(ctx context.Context, more ...string) *operatorProcess {
	GinkgoHelper()
	var flags, variables []string
	for _, one := range more {
		if strings.HasPrefix(one, "--") {
			flags = append(flags, one)
		} else {
			variables = append(variables, one)
		}
	}
	ports, err := chain.FreePorts(2)
	Expect(err).NotTo(HaveOccurred())
	probes, metrics := fmt.Sprintf("127.0.0.1:%d", ports[0]), fmt.Sprintf("127.0.0.1:%d", ports[1])
	process, err := chain.Start(ctx, chain.Command{
		Name: "operator",
		Path: operatorBinary(),
		Args: append([]string{
			"--kubeconfig=" + operatorKubeconfig(),
			"--health-probe-bind-address=" + probes,
			"--metrics-bind-address=" + metrics,
			"--metrics-secure=false",
			"--resolve-modules=false", // specs of modules turn it on
		}, flags...),
		Env:     variables,
		LogFile: filepath.Join(stateDir, "operator.log"),
		Ready: func(ctx context.Context) error {
			_, err := chain.Probe{URL: "http://" + probes + "/readyz"}.Until(ctx, chain.Status(http.StatusOK))
			return err
		},
	})
	Expect(err).NotTo(HaveOccurred())
	return &operatorProcess{process, "http://" + metrics + "/metrics"}
}

// relaunch stops the operator and starts it with these flags.
func relaunch(ctx context.Context, flags ...string) {
	GinkgoHelper()
	Expect(operator.Stop()).To(Succeed())
	operator = launch(ctx, flags...)
}

// restartOperator runs the operator with other flags until the spec ends.
func restartOperator(ctx context.Context, flags ...string) {
	GinkgoHelper()
	DeferCleanup(func(ctx SpecContext) { relaunch(ctx) })
	relaunch(ctx, flags...)
}

// ensureRunning starts the operator if a spec that failed left it stopped.
func ensureRunning(ctx context.Context) {
	GinkgoHelper()
	if operator.Probe(ctx) != nil {
		Expect(operator.Kill()).To(Succeed())
		Expect(operator.Start(ctx)).To(Succeed())
	}
}

// Stop ends the operator, and waits until none of its requests can come any more.
func (o *operatorProcess) Stop() error { return o.ended(o.Process.Stop()) }

// Kill does the same without notice.
func (o *operatorProcess) Kill() error { return o.ended(o.Process.Kill()) }

func (o *operatorProcess) ended(err error) error {
	GinkgoHelper()
	Eventually(proxy.Connections).Should(BeZero())
	return err
}

// Probe says whether the operator answers.
func (o *operatorProcess) Probe(ctx context.Context) error {
	_, err := chain.Probe{URL: o.metricsURL}.Do(ctx)
	return err
}

var reconcileTotal = regexp.MustCompile(`^controller_runtime_reconcile_total\{controller="wasmplugin",.*\} (\S+)$`)

// reconciles is how often the running operator has looked at a plugin, whatever came of it.
func (o *operatorProcess) reconciles(g Gomega) int {
	answer, err := chain.Probe{URL: o.metricsURL}.Do(context.Background())
	g.Expect(err).NotTo(HaveOccurred())
	total := 0.0
	for lines := bufio.NewScanner(strings.NewReader(answer.Body)); lines.Scan(); {
		if match := reconcileTotal.FindStringSubmatch(lines.Text()); match != nil {
			value, err := strconv.ParseFloat(match[1], 64)
			g.Expect(err).NotTo(HaveOccurred())
			total += value
		}
	}
	return int(total)
}

// What the operator said is what explains a failure.
var _ = JustAfterEach(func() {
	if operator != nil && CurrentSpecReport().Failed() {
		log := operator.Log()
		AddReportEntry("end of the operator's log", log[max(0, len(log)-8000):], ReportEntryVisibilityFailureOrVerbose)
	}
})

var writing = regexp.MustCompile("^(POST|PUT|PATCH|DELETE)$")

// writes are the operator's writes of children and statuses in a namespace, in their order: "PATCH envoyfilters/a-config".
func writes(namespace string) []string {
	return requests(namespace, writing)
}

// quiet waits for these writes, and asserts that no further one comes.
func quiet(namespace string, expected ...string) {
	GinkgoHelper()
	Eventually(func() []string { return writes(namespace) }).Should(Equal(expected))
	Consistently(func() []string { return writes(namespace) }).Should(Equal(expected))
}

// silent waits until the operator reads nothing any more.
func silent(namespace string) {
	GinkgoHelper()
	seen := -1
	Eventually(func() bool {
		before := seen
		seen = len(reads(namespace))
		return seen == before
	}).WithPolling(500 * time.Millisecond).Should(BeTrue())
}

// reads are its reads of single objects there: "GET wasmplugins/a".
func reads(namespace string) []string {
	return requests(namespace, regexp.MustCompile("^GET$"))
}

func requests(namespace string, method *regexp.Regexp) []string {
	var found []string
	for _, request := range proxy.Requests() {
		_, path, inNamespace := strings.Cut(request.Path, "/namespaces/"+namespace+"/")
		isEvent := strings.HasPrefix(request.Path, "/apis/events.k8s.io/")
		if inNamespace && !isEvent && method.MatchString(request.Method) {
			found = append(found, request.Method+" "+path)
		}
	}
	return found
}
