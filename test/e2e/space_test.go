// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
	"github.com/solarmesh/wasmplugin-operator/test/story"
)

// space is a namespace for one spec.
type space struct{ namespace string }

// spaces counts them, for names that are never used twice.
var spaces int

func newSpace(ctx context.Context) space {
	GinkgoHelper()
	spaces++
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("e2e-%d", spaces)}}
	Expect(api.Create(ctx, namespace)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) {
		Expect(client.IgnoreNotFound(api.Delete(ctx, namespace))).To(Succeed())
	})
	return space{namespace.Name}
}

// gateway is a gateway with one proxy.
type gateway struct {
	story.Gateway
	*chain.Proxy
}

// gateway starts one that listens on n ports.
func (s space) gateway(ctx context.Context, name string, n int) gateway {
	GinkgoHelper()
	return s.labelled(ctx, name, n, nil)
}

// labelled starts one whose proxies have more labels.
func (s space) labelled(ctx context.Context, name string, n int, labels map[string]string) gateway {
	GinkgoHelper()
	ports, err := chain.FreePorts(n)
	Expect(err).NotTo(HaveOccurred())
	g := story.Gateway{Namespace: s.namespace, Name: name, Label: s.namespace + "-" + name, Labels: labels, Ports: ports}
	proxy, err := world.StartGateway(ctx, g)
	Expect(err).NotTo(HaveOccurred())
	stopAtEnd(proxy)
	return gateway{g, proxy}
}

// selector picks the gateway's proxies.
func (g gateway) selector() wasmv1alpha1.WorkloadSelector { return selector("istio", g.Label) }

func selector(key, value string) wasmv1alpha1.WorkloadSelector {
	return wasmv1alpha1.WorkloadSelector{MatchLabels: map[string]wasmv1alpha1.LabelValue{key: wasmv1alpha1.LabelValue(value)}}
}

// get is a request for a path, without a user if that is "".
func (g gateway) get(path, user string) chain.Probe { return chain.Probe{URL: g.URL(path), User: user} }

// getPort is a request for the protected path on the n-th port.
func (g gateway) getPort(n int) chain.Probe {
	return chain.Probe{URL: fmt.Sprintf("http://127.0.0.1:%d%s", g.Ports[n], protected)}
}

// stopAtEnd stops a proxy after the spec, and shows what it and the operator said if the spec failed.
func stopAtEnd(proxy *chain.Proxy) {
	DeferCleanup(func() {
		stopped := proxy.Stop()
		if CurrentSpecReport().Failed() || stopped != nil {
			AddReportEntry("log of "+proxy.ID, tail(proxy.Log()), ReportEntryVisibilityFailureOrVerbose)
			AddReportEntry("log of the operator", tail(world.Operator.Log()), ReportEntryVisibilityFailureOrVerbose)
		}
		Expect(stopped).To(Succeed())
	})
}

// tail is the end of a log.
func tail(log string) string {
	const most = 8000
	return log[max(0, len(log)-most):]
}

// The answers that matter.
var (
	unauthorized = []chain.Expect{chain.Status(http.StatusUnauthorized), chain.Header("www-authenticate", `Basic realm="istio"`)}
	// served came from behind the plugins.
	served = []chain.Expect{chain.Status(http.StatusOK), chain.Body(story.Served)}
	// broken is Envoy's own answer where a filter of the chain has no configuration that it could use.
	broken = []chain.Expect{chain.Status(http.StatusInternalServerError)}
	// greeted and ungreeted tell whether the answer went through hello-world.
	greeted   = chain.Header("hello", "world")
	ungreeted = chain.Header("hello", "")
)

// and adds to a list of expectations.
func and(expect []chain.Expect, more ...chain.Expect) []chain.Expect {
	return append(append([]chain.Expect{}, expect...), more...)
}

// eventually waits for an answer.
func eventually(ctx context.Context, probe chain.Probe, expect []chain.Expect) {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := probe.Until(ctx, expect...)
	Expect(err).NotTo(HaveOccurred())
}

// now sends a request once.
func now(ctx context.Context, probe chain.Probe, expect []chain.Expect) {
	GinkgoHelper()
	answer, err := probe.Do(ctx)
	Expect(err).NotTo(HaveOccurred())
	for _, check := range expect {
		Expect(check(answer)).To(Succeed(), "%s answered %s", probe.URL, answer)
	}
}
