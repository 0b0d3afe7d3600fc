// SPDX-License-Identifier: Apache-2.0

// Package faults runs the operator's own binary against a real API server, and breaks what is between them and both of
// them: the operator is killed after each of its writes, requests are refused, lost and held up, watches lie, servers
// restart. After every case the oracles of package oracle look at the history of all objects, at what stands in the end,
// and at the requests that were sent.
//
// Each container starts an operator of its own, with the flags that it needs: an operator manages all namespaces, so no
// two run at a time, but for replicas of one. Each spec has a namespace of its own.
package faults

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

const (
	repository   = "../.."
	startTimeout = 5 * time.Minute // the first build of the operator takes its time
	// patience is how long the operator may take to recover: the longest waits, up to a minute, are client-go's between two
	// watches, and the operator's own between two attempts.
	patience = 90 * time.Second
)

var (
	cluster  *chain.Cluster
	istiod   *chain.Istiod
	api      client.Client
	dynamics dynamic.Interface
	binaries *chain.Binaries
	stateDir string
)

// rendering are the options of an operator as newOperator starts it, and what its children are rendered with.
var rendering = translate.Options{RootNamespace: chain.IstioNamespace, IstioVersion: translate.DefaultIstioVersion}

func TestFaults(t *testing.T) {
	RegisterFailHandler(Fail)
	log.SetLogger(GinkgoLogr)
	EnforceDefaultTimeoutsWhenUsingContexts()
	SetDefaultEventuallyTimeout(patience)
	SetDefaultEventuallyPollingInterval(20 * time.Millisecond)
	SetDefaultConsistentlyDuration(500 * time.Millisecond)
	SetDefaultConsistentlyPollingInterval(20 * time.Millisecond)
	t.Logf("FAULTS_SEED=%d", seed)
	RunSpecs(t, "The operator among faults")
	// The end of make faults.
	fmt.Fprint(os.Stdout, "\n", tally.String())
	if path := os.Getenv("FAULTS_SUMMARY"); path != "" {
		if err := os.WriteFile(path, []byte(tally.String()), 0o600); err != nil {
			t.Error(err)
		}
	}
}

var _ = BeforeSuite(func(ctx SpecContext) {
	var err error
	binaries, err = chain.Install(ctx, GinkgoWriter, chain.Kubernetes, chain.Istio)
	Expect(err).NotTo(HaveOccurred())
	stateDir, err = os.MkdirTemp("", "faults-")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(os.RemoveAll(stateDir)).To(Succeed()) })
	out, err := exec.CommandContext(ctx, "go", "build", "-o", operatorBinary(), repository).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))

	cluster, err = chain.StartCluster(ctx, binaries, chain.ClusterOptions{Dir: filepath.Join(stateDir, "cluster")})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(cluster.Stop()).To(Succeed()) })
	// By its address istiod says what its proxies do; without proxies it doesn't matter to an operator that asks nobody.
	istiod, err = chain.StartIstiod(ctx, binaries, cluster, chain.IstiodOptions{Dir: filepath.Join(stateDir, "istiod")})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(istiod.Stop()).To(Succeed()) })
	connect(ctx)
	Expect(cluster.StartControllerManager(ctx)).To(Succeed())
}, NodeTimeout(startTimeout))

// connect installs the operator, but for its Deployment's pods, and makes the administrator's clients.
func connect(ctx context.Context) {
	GinkgoHelper()
	kubectl(ctx, "apply", "-k", filepath.Join(repository, "config", "default"))
	kubectl(ctx, "wait", "--for=condition=Established", "crd/wasmplugins.wasm.solarmesh.io", "--timeout=30s")
	config := rest.CopyConfig(cluster.Config)
	config.WarningHandler = rest.NoWarnings{} // EnvoyFilters come with one each
	scheme := runtime.NewScheme()
	Expect(corev1.AddToScheme(scheme)).To(Succeed())
	Expect(wasmv1alpha1.AddToScheme(scheme)).To(Succeed())
	var err error
	api, err = client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	dynamics, err = dynamic.NewForConfig(config)
	Expect(err).NotTo(HaveOccurred())
	// Established comes a little before the kind is served.
	Eventually(ctx, func() error { return api.List(ctx, &wasmv1alpha1.WasmPluginList{}) }).Should(Succeed())
}

func kubectl(ctx context.Context, args ...string) {
	GinkgoHelper()
	command := exec.CommandContext(ctx, binaries.Kubectl, append(args, "--kubeconfig", cluster.Kubeconfig)...)
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + stateDir}
	out, err := command.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
}

func operatorBinary() string { return filepath.Join(stateDir, "wasmplugin-operator") }
