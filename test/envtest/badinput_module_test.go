// SPDX-License-Identifier: Apache-2.0

package envtest

import (
	"context"
	"net"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// moduleServer counts who connects to it, and closes the connection.
type moduleServer struct {
	address     string
	connections atomic.Int32
}

func startModuleServer(ctx context.Context) *moduleServer {
	GinkgoHelper()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(listener.Close)
	server := &moduleServer{address: listener.Addr().String()}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return // closed
			}
			server.connections.Add(1)
			_ = connection.Close()
		}
	}()
	return server
}

// With --resolve-modules=false each proxy fetches from url itself, through its agent, which checks the digest and refuses
// what is no module. The operator connects to nothing, and says that it has looked at nothing.
var _ = Describe("Bad input: what only a fetch can tell, without fetching", func() {
	DescribeTable("is left to the proxies: the operator connects to nothing and claims nothing",
		func(ctx SpecContext, scheme, path, sha256 string) {
			server := startModuleServer(ctx)
			plugin := newPlugin(newNamespace(ctx))
			plugin.Spec.URL, plugin.Spec.SHA256 = scheme+server.address+path, sha256
			createReady(ctx, plugin)
			Expect(refresh(ctx, plugin)).To(haveCondition(
				wasmv1alpha1.ConditionModuleResolved, metav1.ConditionUnknown, wasmv1alpha1.ReasonNotObserved))
			Expect(plugin.Status.Module).To(BeZero())
			remote := []string{"patch", "value", "typed_config", "config", "vm_config", "code", "remote"}
			Expect(inConfig(ctx, plugin, append(remote, "http_uri", "uri")...)).To(Equal(plugin.Spec.URL), "the proxy fetches")
			if sha256 != "" {
				Expect(inConfig(ctx, plugin, append(remote, "sha256")...)).To(Equal(sha256), "the agent compares")
			}

			Expect(patchSpec(ctx, plugin, `{"imagePullPolicy": "Always"}`)).To(Succeed())
			Eventually(ctx, stateOf(plugin)).Should(beReady())
			Consistently(server.connections.Load).Should(BeZero())
		},
		Entry("rows 3 and 4: a server that may redirect to an address within, or whose name may come to mean one", "http://", "/latest/meta-data", ""),
		Entry("row 7: a digest that looks right, of other content", "http://", "/plugin.wasm", hex("9")),
		Entry("row 7: a digest of a manifest that looks right", "oci://", "/plugin:1.0", hex("9")),
		Entry("row 8: a tag without a digest", "oci://", "/plugin:1.0", ""),
		Entry("row 9: an image that holds no module", "oci://", "/no-module:1.0", ""),
	)
})
