// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/metadata"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/solarmesh/wasmplugin-operator/controllers"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// panicking reads all objects but one.
type panicking struct{ client.Reader }

const poisoned = "poisoned"

// Get implements client.Reader.
func (p panicking) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	if key.Name == poisoned {
		panic("something that nobody thought of")
	}
	return p.Reader.Get(ctx, key, object, options...) //nolint:wrapcheck // it is the reader
}

var _ = Describe("Robustness: a panic", Serial, func() {
	// No input is known that makes the operator panic, so it is put where the spec is read.
	It("row 44: at one plugin is caught and counted, 64 at a time, and all others go on", func(ctx SpecContext) {
		ns, elsewhere := newNamespace(ctx), newNamespace(ctx)
		restartOperator(ctx, "--watch-namespaces="+elsewhere)
		startPanicking(ctx, ns)
		bad := newPlugin(ns)
		bad.Name = poisoned
		Expect(k8s.Create(ctx, bad)).To(Succeed())
		Eventually(panics).Should(BeNumerically(">", 0))
		for i := range 8 {
			plugin := newPlugin(ns)
			plugin.Name = fmt.Sprintf("p-%d", i)
			createReady(ctx, plugin)
		}
		counted := panics()
		Eventually(panics).Should(BeNumerically(">", counted), "it is tried again")
		Expect(versions(ctx, bad)).To(HaveLen(2*8), "nothing is written for the one that panics")
		// Its pauses grow: at most 5 ms, doubled each time, were seen.
		Expect(panics()).To(BeNumerically("<", 30))
	})
})

// startPanicking runs the controller in this process, until the spec ends.
func startPanicking(ctx context.Context, namespace string) {
	GinkgoHelper()
	scheme := clientFor(restConfig).Scheme()
	manager, err := ctrl.NewManager(restConfig, ctrl.Options{
		Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		Cache: cache.Options{DefaultNamespaces: map[string]cache.Config{namespace: {}}},
	})
	Expect(err).NotTo(HaveOccurred())
	watches, err := metadata.NewForConfig(restConfig)
	Expect(err).NotTo(HaveOccurred())
	reconciler := &controllers.WasmPluginReconciler{
		Client: manager.GetClient(), Live: panicking{manager.GetAPIReader()}, Recorder: manager.GetEventRecorder("test"),
		Options: translate.Options{RootNamespace: rootNamespace}, Renderer: "test", Metadata: watches,
	}
	Expect(reconciler.SetupWithManager(ctx, manager, 64)).To(Succeed())
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(running) }()
	DeferCleanup(func(ctx SpecContext) {
		stop()
		Eventually(ctx, ended).Should(Receive(Not(HaveOccurred())))
	})
}

// panics are those that this process has counted.
func panics() float64 {
	GinkgoHelper()
	families, err := ctrlmetrics.Registry.Gather()
	Expect(err).NotTo(HaveOccurred())
	total := 0.0
	for _, family := range families {
		if family.GetName() != "controller_runtime_reconcile_panics_total" {
			continue
		}
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if label.GetName() == "controller" && strings.EqualFold(label.GetValue(), "wasmplugin") {
					total += metric.GetCounter().GetValue()
				}
			}
		}
	}
	return total
}
