// SPDX-License-Identifier: Apache-2.0

// Package conformance proves what the operator says by what istiod sends. For each case of testdata/cases a WasmPlugin
// goes to a real API server, the operator's own binary makes EnvoyFilters of it, and a real istiod is asked, as the
// proxies of the case would ask it, for listeners, routes and extensions, by both variants of xDS. Where Istio's own
// WasmPlugin says the same it stands in another namespace, and both answers are compared.
//
// This istiod has Istio's default environment: its proxies are those of Istio's own build of Envoy, with metadata
// exchange, ALPN and statistics. No proxy runs.
package conformance

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/format"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
	"github.com/solarmesh/wasmplugin-operator/test/conformance/ads"
	"github.com/solarmesh/wasmplugin-operator/test/conformance/table"
)

const (
	repository = "../.."
	// patience is how long a change may take to reach istiod's answers, on two busy cores.
	patience = 20 * time.Second
	// startTimeout covers the first build of the operator.
	startTimeout = 5 * time.Minute
)

// meshConfig adds to chain's what Istio's chart sets, and what a policy of the cases names.
var meshConfig = map[string]any{
	"defaultProviders": map[string]any{"metrics": []any{"prometheus"}},
	"extensionProviders": []any{map[string]any{
		"name": "ext-authz",
		"envoyExtAuthzHttp": map[string]any{
			"service": "ext-authz." + chain.IstioNamespace + ".svc.cluster.local", "port": 8000,
		},
	}},
}

// environment is what Istio's chart sets, and its profile "ambient", without which there are no waypoints.
var environment = []string{"REVISION=default", "PILOT_ENABLE_AMBIENT=true"}

var (
	cases    []table.Case
	istiod   *chain.Istiod
	operator *chain.Process
	cluster  *chain.Cluster
	applier  *chain.Applier
	// release is istiod's.
	release string
	// xds asks istiod, k8s the API server, as administrator.
	xds *ads.Client
	k8s client.Client
)

func TestConformance(t *testing.T) {
	RegisterFailHandler(Fail)
	EnforceDefaultTimeoutsWhenUsingContexts()
	SetDefaultEventuallyTimeout(patience)
	SetDefaultEventuallyPollingInterval(25 * time.Millisecond)
	log.SetLogger(GinkgoLogr)
	// An error's text says it all; its Go structure fills screens.
	format.RegisterCustomFormatter(func(value any) (string, bool) {
		err, isError := value.(error)
		return fmt.Sprint(err), isError
	})
	RunSpecs(t, "conformance")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	dir := GinkgoT().TempDir()
	bin, err := chain.Install(ctx, os.Stderr, chain.Kubernetes, chain.Istio)
	Expect(err).NotTo(HaveOccurred())
	release = bin.IstioRelease
	cluster, err = chain.StartCluster(ctx, bin, chain.ClusterOptions{Dir: filepath.Join(dir, "cluster")})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(cluster.Stop()).To(Succeed()) })
	istiod, err = chain.StartIstiod(ctx, bin, cluster, chain.IstiodOptions{
		Dir: filepath.Join(dir, "istiod"), IstioFilters: true, GatewayAPI: true,
		Env: environment, MeshConfig: meshConfig,
	})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(istiod.Stop()).To(Succeed()) })
	xds, err = ads.NewClient(istiod.DiscoveryAddress)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(xds.Close()).To(Succeed()) })
	connect()
	startOperator(ctx, bin, dir)
	applyWorld(ctx, chain.IstioNamespace, "root")
	control.start(ctx, controlCase)
}, NodeTimeout(startTimeout))

func connect() {
	GinkgoHelper()
	config := rest.CopyConfig(cluster.Config)
	config.WarningHandler = rest.NoWarnings{} // every EnvoyFilter comes with one
	scheme := runtime.NewScheme()
	Expect(corev1.AddToScheme(scheme)).To(Succeed())
	Expect(wasmv1alpha1.AddToScheme(scheme)).To(Succeed())
	var err error
	k8s, err = client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	applier, err = chain.NewApplier(config)
	Expect(err).NotTo(HaveOccurred())
}

// startOperator installs it with kustomize, and runs its binary with the rights of that installation.
func startOperator(ctx context.Context, bin *chain.Binaries, dir string) {
	GinkgoHelper()
	binary, kubeconfig := filepath.Join(dir, "wasmplugin-operator"), filepath.Join(dir, "operator.kubeconfig")
	run(ctx, "go", "build", "-o", binary, repository)
	kubectl := []string{"--kubeconfig", cluster.Kubeconfig, "--cache-dir", filepath.Join(dir, "kubectl")}
	run(ctx, bin.Kubectl, append(kubectl, "apply", "-k", filepath.Join(repository, "config", "default"))...)
	run(ctx, bin.Kubectl, append(kubectl, "wait", "--for=condition=Established", "crd/wasmplugins.wasm.solarmesh.io")...)
	Expect(cluster.StartControllerManager(ctx)).To(Succeed())
	token, err := cluster.ServiceAccountToken(ctx, "wasmplugin-system", "wasmplugin-operator")
	Expect(err).NotTo(HaveOccurred())
	Expect(cluster.WriteKubeconfig(kubeconfig, token)).To(Succeed())
	ports, err := chain.FreePorts(1)
	Expect(err).NotTo(HaveOccurred())
	probes := "127.0.0.1:" + strconv.Itoa(ports[0])
	operator, err = chain.Start(ctx, chain.Command{
		Name:    "operator",
		Path:    binary,
		Args:    []string{"--kubeconfig=" + kubeconfig, "--health-probe-bind-address=" + probes, "--resolve-modules=false"},
		LogFile: filepath.Join(dir, "operator.log"),
		Ready: func(ctx context.Context) error {
			_, err := chain.Probe{URL: "http://" + probes + "/readyz"}.Until(ctx, chain.Status(200))
			return err
		},
	})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(operator.Stop()).To(Succeed()) })
}

func run(ctx context.Context, name string, args ...string) {
	GinkgoHelper()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "%s %s:\n%s", name, strings.Join(args, " "), out)
}

// What istiod and the operator said last is what explains a failure.
var _ = JustAfterEach(func() {
	if !CurrentSpecReport().Failed() {
		return
	}
	for name, process := range map[string]*chain.Process{"operator": operator, "istiod": istiod.Process} {
		text := problems(process.Log())
		AddReportEntry("end of the log of "+name, text[max(0, len(text)-4000):], ReportEntryVisibilityFailureOrVerbose)
	}
})

// problems are the lines of a log that tell of some; istiod writes others for each answer.
func problems(text string) string {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		if (strings.Contains(line, "warn") || strings.Contains(line, "error")) && !strings.Contains(line, "is not ready") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}
