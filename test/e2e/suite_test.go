// SPDX-License-Identifier: Apache-2.0

// Package e2e sends real requests through a real Envoy, to which a real istiod gave what the operator wrote. The suite
// shares one control plane; each spec has a namespace and proxies of its own.
package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/format"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/story"
)

var (
	world *story.World
	// api has the administrator's rights.
	api client.Client
)

// patience is how long a change may take to come into force: on two busy cores a new module compiles for seconds.
const patience = time.Minute

var envoyFilterList = schema.GroupVersionKind{Group: "networking.istio.io", Version: "v1alpha3", Kind: "EnvoyFilterList"}

func TestE2E(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyPollingInterval(25 * time.Millisecond)
	log.SetLogger(GinkgoLogr)
	// An error's text says it all; its Go structure fills screens.
	format.RegisterCustomFormatter(func(value any) (string, bool) {
		err, isError := value.(error)
		return fmt.Sprintf("%T", err), isError
	})
	RunSpecs(t, "e2e")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	var err error
	world, err = story.New(ctx, GinkgoT().TempDir(), os.Stderr)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(world.Stop()).To(Succeed()) })
	// Most specs are about what is written, at once; see observing for the others.
	world.ObserveProxies, world.Args = true, []string{"--observe-proxies=false"}
	world.GatewayAPI = true
	Expect(world.StartMesh(ctx)).To(Succeed())
	Expect(world.StartRegistry(ctx)).To(Succeed())
	// The chart makes a Role in each of these, which must be there before.
	for _, namespace := range secretSpaces {
		_, err = world.Shell(ctx, "kubectl create namespace "+namespace)
		Expect(err).NotTo(HaveOccurred())
	}
	_, err = world.InstallChart(ctx, chartValues()...)
	Expect(err).NotTo(HaveOccurred())
	Expect(world.StartOperator(ctx)).To(Succeed())
	// Nothing that the specs do is an error of the operator's.
	DeferCleanup(func() { Expect(operatorErrors()).To(BeEmpty()) })

	scheme := runtime.NewScheme()
	Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	Expect(wasmv1alpha1.AddToScheme(scheme)).To(Succeed())
	api, err = client.New(world.Cluster.Config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
})

// operatorErrors are the lines of its log that tell of errors. That proxies go with their namespace is news that nobody can
// be told any more, and client-go says so.
func operatorErrors() []string {
	var lines []string
	for line := range strings.Lines(world.Operator.Log()) {
		if strings.Contains(line, `"level":"error"`) && !strings.Contains(line, "because it is being terminated") {
			lines = append(lines, line)
		}
	}
	return lines
}
