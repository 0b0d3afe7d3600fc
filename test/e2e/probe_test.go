// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// probePath is where the plugin of test/plugins/probe is served, which tells what a proxy gave it.
const probePath = "/probe.wasm"

// serveProbe builds the plugin, once.
var serveProbe = sync.OnceValue(func() error {
	file := filepath.Join(world.Dir, filepath.Base(probePath))
	build := exec.Command("go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", file, ".")
	build.Dir = filepath.Join(world.Root, "test", "plugins", "probe")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build the plugin probe: %w\n%s", err, text)
	}
	return world.Modules.ServeFile(probePath, file)
})

// fields are some of a JSON object.
type fields = map[string]any

// probe is a plugin that behaves as its rules say in the field probe.
func probe(target wasmv1alpha1.WorkloadSelector, behavior fields) wasmv1alpha1.WasmPluginSpec {
	GinkgoHelper()
	Expect(serveProbe()).To(Succeed())
	return wasmv1alpha1.WasmPluginSpec{
		URL: world.Modules.URL(probePath), Selector: target, Rules: rulesJSON(fields{"probe": behavior}),
	}
}

// answering are rules with which the plugin answers every request with that name.
func answering(name string) fields { return fields{"status": http.StatusTeapot, "name": name} }

// answered is such an answer.
func answered(name string) []chain.Expect {
	return []chain.Expect{chain.Status(http.StatusTeapot), func(a chain.Answer) error {
		if a.Body != name {
			return fmt.Errorf("expected the body %q", name)
		}
		return nil
	}}
}

// Answers of Envoy and of the plugin itself.
var (
	// failed is Envoy's answer where the plugin's VM has trapped.
	failed = []chain.Expect{chain.Status(http.StatusServiceUnavailable)}
	// named and unnamed tell whether the answer went through a plugin that has a name.
	unnamed = chain.Header("probe-response", "")
)

func named(names ...string) chain.Expect {
	return chain.Header("probe-response", strings.Join(names, ","))
}

// door is a port of a gateway that specs share; each has one of its own.
type door struct {
	gateway
	port int
}

// hall hands out the doors of a gateway.
type hall struct {
	gateway
	opened int
}

func (h *hall) door() door {
	GinkgoHelper()
	Expect(h.opened).To(BeNumerically("<", len(h.Ports)), "the gateway needs more ports")
	h.opened++
	return door{h.gateway, h.Ports[h.opened-1]}
}

// only makes a plugin one of this door.
func (d door) only(spec wasmv1alpha1.WasmPluginSpec) wasmv1alpha1.WasmPluginSpec {
	spec.Match = port(d.port)
	return spec
}

// port matches the listener of a port.
func port(number int) []wasmv1alpha1.TrafficSelector {
	return []wasmv1alpha1.TrafficSelector{{Ports: []wasmv1alpha1.PortSelector{{Number: int32(number)}}}} //nolint:gosec // a port
}

// probe is one of this door.
func (d door) probe(behavior fields) wasmv1alpha1.WasmPluginSpec {
	GinkgoHelper()
	return d.only(probe(d.selector(), behavior))
}

// get is a request for a path, of a host if that isn't "".
func (d door) get(host, path string) chain.Probe {
	return chain.Probe{URL: fmt.Sprintf("http://127.0.0.1:%d%s", d.port, path), Host: host}
}

// told is what the plugin answers for a path.
func told(ctx context.Context, probe chain.Probe) fields {
	GinkgoHelper()
	answer, err := probe.Do(ctx)
	Expect(err).NotTo(HaveOccurred())
	var into fields
	Expect(json.Unmarshal([]byte(answer.Body), &into)).To(Succeed(), answer.String())
	return into
}

// instances are the filters that the door's listener has of a plugin.
func (d door) instances(ctx context.Context, filter string) ([]string, error) {
	names, err := filters(ctx, d.Proxy, d.port)
	return slices.DeleteFunc(names, func(name string) bool {
		return name != filter && !strings.HasPrefix(name, filter+"~")
	}), err
}
