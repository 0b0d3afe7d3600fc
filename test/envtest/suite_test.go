// SPDX-License-Identifier: Apache-2.0

// Package envtest runs the operator's own binary against a real API server, with kube-controller-manager's garbage
// collector and namespace controller beside it, and Istio's CRDs beside ours.
//
// The cluster is installed with kubectl apply -k config/default, and the operator runs as the ServiceAccount of that
// installation, so that a missing right fails a spec. It manages all namespaces. Between it and the API server stands a
// proxy that counts requests. Each spec has a namespace of its own; those that restart the operator, or look at its
// requests, are Serial.
package envtest

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

const (
	repository = "../.."
	// rootNamespace is the mesh's.
	rootNamespace = "istio-system"
	startTimeout  = 5 * time.Minute // the first build of the operator takes its time
	// collected is how long the garbage collector may take to notice that an owner is gone.
	collected = 2 * time.Second
)

// Users beside the administrator. What they may do is said by RoleBindings of specs.
var (
	author   = chain.User{Name: "author", Token: "token-of-author"}
	platform = chain.User{Name: "platform", Token: "token-of-platform"}
)

// Of every parallel process.
var (
	shared     connection
	restConfig *rest.Config
	k8s        client.Client
)

// connection is what the process that starts the cluster tells the others.
type connection struct {
	Kubeconfig, Kubectl string
}

// Of the process that starts the cluster, which also runs the Serial specs.
var (
	cluster  *chain.Cluster
	proxy    *chain.CountingProxy
	operator *operatorProcess
	stateDir string
)

func TestEnvtest(t *testing.T) {
	RegisterFailHandler(Fail)
	log.SetLogger(GinkgoLogr)
	EnforceDefaultTimeoutsWhenUsingContexts()
	SetDefaultEventuallyTimeout(20 * time.Second)
	SetDefaultEventuallyPollingInterval(20 * time.Millisecond)
	SetDefaultConsistentlyDuration(500 * time.Millisecond)
	SetDefaultConsistentlyPollingInterval(20 * time.Millisecond)
	RunSpecs(t, "The operator and its API on a real API server")
}

var _ = SynchronizedBeforeSuite(func(ctx SpecContext) []byte {
	startCluster(ctx)
	startOperator(ctx)
	connected, err := json.Marshal(shared)
	Expect(err).NotTo(HaveOccurred())
	return connected
}, func(connected []byte) {
	Expect(json.Unmarshal(connected, &shared)).To(Succeed())
	var err error
	restConfig, err = clientcmd.BuildConfigFromFlags("", shared.Kubeconfig)
	Expect(err).NotTo(HaveOccurred())
	restConfig.QPS = -1
	// EnvoyFilters come with a warning each; the table of bad values gets more.
	restConfig.WarningHandler = rest.NoWarnings{}
	k8s = clientFor(restConfig)
}, NodeTimeout(startTimeout))

var _ = SynchronizedAfterSuite(func() {}, func() {
	if operator != nil {
		Expect(operator.Stop()).To(Succeed())
		log, err := os.ReadFile(operator.LogFile())
		Expect(err).NotTo(HaveOccurred())
		Expect(string(log)).NotTo(MatchRegexp(`(?i)panic`), "the operator panicked")
	}
	if proxy != nil {
		Expect(proxy.Close()).To(Succeed())
	}
	if cluster != nil {
		Expect(cluster.Stop()).To(Succeed())
	}
	Expect(os.RemoveAll(stateDir)).To(Succeed())
})

func startCluster(ctx context.Context) {
	GinkgoHelper()
	bin, err := chain.Install(ctx, GinkgoWriter, chain.Kubernetes)
	Expect(err).NotTo(HaveOccurred())
	stateDir, err = os.MkdirTemp("", "envtest-")
	Expect(err).NotTo(HaveOccurred())
	cluster = newCluster(ctx, bin, chain.ClusterOptions{Dir: filepath.Join(stateDir, "cluster"), Users: []chain.User{author, platform}})
	Expect(cluster.StartControllerManager(ctx)).To(Succeed())
}

// newCluster starts an API server, and installs Istio's CRDs and the operator, but for its Deployment's pods. kubectl
// speaks to it from then on.
func newCluster(ctx context.Context, bin *chain.Binaries, options chain.ClusterOptions) *chain.Cluster {
	GinkgoHelper()
	started, err := chain.StartCluster(ctx, bin, options)
	Expect(err).NotTo(HaveOccurred())
	shared = connection{Kubeconfig: started.Kubeconfig, Kubectl: bin.Kubectl}
	Expect(chain.ApplyFile(ctx, started.Config, istioCRDs(ctx))).To(Succeed())
	Expect(chain.Apply(ctx, started.Config, chain.MeshObjects)).To(Succeed())
	kubectl(ctx, "apply", "-k", filepath.Join(repository, "config", "default"))
	kubectl(ctx, "wait", "--for=condition=Established", "crd/wasmplugins.wasm.solarmesh.io", "--timeout=30s")
	// Established comes a little before the kind is served.
	admin := clientFor(started.Config)
	Eventually(ctx, func() error { return admin.List(ctx, &wasmv1alpha1.WasmPluginList{}) }).Should(Succeed())
	return started
}

// istioCRDs is the file in the version of istio.io/api that the operator is built with.
func istioCRDs(ctx context.Context) string {
	GinkgoHelper()
	dir, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "istio.io/api").Output()
	Expect(err).NotTo(HaveOccurred())
	return filepath.Join(strings.TrimSpace(string(dir)), "kubernetes", "customresourcedefinitions.gen.yaml")
}

// kubectl runs the real one as administrator, and returns what it prints.
func kubectl(ctx context.Context, args ...string) string {
	GinkgoHelper()
	command := exec.CommandContext(ctx, shared.Kubectl, append(args, "--kubeconfig", shared.Kubeconfig)...)
	// Nothing of the user's own counts, and no list of kinds from before a CRD was installed.
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + GinkgoT().TempDir()}
	out, err := command.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "kubectl %s:\n%s", strings.Join(args, " "), out)
	return string(out)
}

func clientFor(config *rest.Config) client.Client {
	GinkgoHelper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, rbacv1.AddToScheme, eventsv1.AddToScheme, metav1.AddMetaToScheme, wasmv1alpha1.AddToScheme,
	} {
		Expect(add(scheme)).To(Succeed())
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	return c
}

// clientOf acts as another user.
func clientOf(user chain.User) client.Client {
	GinkgoHelper()
	config := rest.CopyConfig(restConfig)
	config.BearerToken = user.Token
	return clientFor(config)
}
