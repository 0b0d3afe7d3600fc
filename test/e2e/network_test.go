// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// echo starts a server that sends back what it gets, and returns its port.
func echo() int {
	GinkgoHelper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(listener.Close)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return // closed
			}
			go func() {
				defer connection.Close()
				_, _ = io.Copy(connection, connection) // The other side says what is wrong.
			}()
		}
	}()
	return listener.Addr().(*net.TCPAddr).Port
}

// said is what the other end of a connection says to a word, until it is silent.
func said(ctx context.Context, port int) (string, error) {
	const word = "word"
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return "", err
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(connection, word); err != nil {
		return "", err
	}
	// The echo ends the answer, whatever stands before it.
	var answer strings.Builder
	for !strings.HasSuffix(answer.String(), word) {
		var buffer [64]byte
		n, err := connection.Read(buffer[:])
		answer.Write(buffer[:n])
		if err != nil {
			return answer.String(), err
		}
	}
	return answer.String(), nil
}

// tcp gives a gateway one more port, which leads to an echo.
func (s space) tcp(ctx context.Context, gw gateway) int {
	GinkgoHelper()
	ports, err := chain.FreePorts(1)
	Expect(err).NotTo(HaveOccurred())
	yaml, err := os.ReadFile("testdata/tcp.yaml")
	Expect(err).NotTo(HaveOccurred())
	Expect(chain.Apply(ctx, world.Cluster.Config, strings.NewReplacer(
		"NAMESPACE", s.namespace, "GATEWAY", gw.Label, "PORT", strconv.Itoa(ports[0]), "SERVER", strconv.Itoa(echo()),
	).Replace(string(yaml)))).To(Succeed())
	Eventually(ctx, said).WithArguments(ports[0]).WithTimeout(patience).Should(Equal("word"))
	return ports[0]
}

var _ = Describe("A plugin of type NETWORK", func() {
	It("filters connections of the ports that it names, of TCP as of HTTP", func(ctx SpecContext) {
		s := newSpace(ctx)
		gw := s.gateway(ctx, "gateway", 1)
		tcp := s.tcp(ctx, gw)
		connections := func(behavior fields) func(*wasmv1alpha1.WasmPluginSpec) {
			return func(spec *wasmv1alpha1.WasmPluginSpec) {
				spec.Rules = rulesJSON(fields{"probe": fields{"connections": behavior}})
			}
		}
		says := func(port int, text string) {
			GinkgoHelper()
			Eventually(ctx, said).WithArguments(port).WithTimeout(patience).Should(Equal(text))
		}
		closed := func(port int) {
			GinkgoHelper()
			Eventually(ctx, func() error {
				_, err := said(ctx, port)
				return err
			}).WithTimeout(patience).Should(HaveOccurred())
		}

		By("greeting")
		plugin := probe(gw.selector(), nil)
		plugin.Type = wasmv1alpha1.PluginTypeNetwork
		plugin.Match = port(tcp)
		connections(fields{"greeting": "hello "})(&plugin)
		s.create(ctx, "network", plugin)
		says(tcp, "hello word")
		now(ctx, gw.get(open, ""), served)

		By("closing")
		s.edit(ctx, "network", connections(fields{"close": true}))
		closed(tcp)

		By("closing those of the HTTP port")
		s.edit(ctx, "network", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.Match = port(gw.Ports[0]) })
		says(tcp, "word")
		closed(gw.Ports[0])

		By("letting them pass")
		s.edit(ctx, "network", connections(fields{}))
		eventually(ctx, gw.get(open, ""), served)

		By("trapping with FAIL_CLOSE")
		s.edit(ctx, "network", func(spec *wasmv1alpha1.WasmPluginSpec) {
			spec.Match = port(tcp)
			connections(fields{"trap": true})(spec)
		})
		closed(tcp)
		for range 5 {
			_, err := said(ctx, tcp)
			Expect(err).To(HaveOccurred())
		}

		By("trapping with FAIL_OPEN")
		s.edit(ctx, "network", func(spec *wasmv1alpha1.WasmPluginSpec) { spec.FailStrategy = wasmv1alpha1.FailOpen })
		says(tcp, "word")

		By("going")
		s.delete(ctx, "network")
		Eventually(ctx, s.envoyFilters).WithTimeout(patience).Should(BeEmpty())
		says(tcp, "word")
	})
})
