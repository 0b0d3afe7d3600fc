// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// startProxy is what the tests of both roles do: it starts a proxy that is stopped and looked for at the end.
func startProxy(
	ctx context.Context, t *testing.T, bin *Binaries, istiod *Istiod, options ProxyOptions, listeners ...int,
) *Proxy {
	t.Helper()
	var proxy *Proxy
	timed(t, "proxy", func() (err error) {
		options.Dir = filepath.Join(t.TempDir(), options.Name)
		proxy, err = StartProxy(ctx, bin, istiod, options)
		return err
	})
	var left started
	left.add("proxy", proxy.Process, proxy.AdminURL, proxy.AgentURL, proxy.ReadyURL)
	left.ports = append(left.ports, listeners...)
	t.Cleanup(func() {
		timed(t, "stop proxy", proxy.Stop)
		left.assertGone(t)
		if t.Failed() {
			t.Log(proxy.Log())
		}
	})
	_, err := Probe{URL: istiod.URL + "/debug/syncz"}.Until(ctx, Status(200), Body(proxy.ID))
	if err != nil {
		t.Errorf("istiod does not know the proxy: %v", err)
	}
	if _, err := (Probe{URL: proxy.AdminURL + "/server_info"}).Until(ctx, Body(options.Name)); err != nil {
		t.Errorf("Envoy's admin: %v", err)
	}
	if _, err := (Probe{URL: proxy.AgentURL + "/stats/prometheus"}).Until(ctx, Body("envoy_")); err != nil {
		t.Errorf("the agent's metrics: %v", err)
	}
	return proxy
}

func freePort(t *testing.T) int {
	t.Helper()
	ports, err := FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	return ports[0]
}

// testdata reads a YAML file and replaces the names in it by values.
func testdata(t *testing.T, name string, replace ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(replace...).Replace(string(content))
}

// testGateway also crashes the proxy, and gives it a module that has to end up in its own cache.
func testGateway(t *testing.T, bin *Binaries, cluster *Cluster, istiod *Istiod) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	port := freePort(t)
	modules := startModules(t)
	module := []byte("\x00asm\x01\x00\x00\x00")
	modules.Serve("/empty.wasm", module)
	gateway := startProxy(ctx, t, bin, istiod, ProxyOptions{
		Name:   "gateway",
		Labels: map[string]string{"istio": "gateway-under-test"},
	}, port)
	probe := Probe{URL: "http://" + local(port) + "/", Host: "test.example.com"}
	yaml := testdata(t, "gateway.yaml", "PORT", strconv.Itoa(port))
	timed(t, "first answer", func() error {
		if err := Apply(ctx, cluster.Config, yaml); err != nil {
			return err
		}
		_, err := probe.Until(ctx, Status(200), Body("hello from Envoy"))
		return err
	})
	timed(t, "answer after a crash", func() error {
		if err := errors.Join(gateway.Kill(), gateway.Start(ctx)); err != nil {
			return err
		}
		_, err := probe.Until(ctx, Status(200), Body("hello from Envoy"))
		return err
	})
	if err := Apply(ctx, cluster.Config, testdata(t, "module.yaml", "URL", modules.URL("/empty.wasm"))); err != nil {
		t.Fatal(err)
	}
	timed(t, "module fetched", func() error {
		// The agent's naming of files, as in Istio's pkg/wasm/cache.go.
		file := fmt.Sprintf("%x/%x.wasm", sha256.Sum256([]byte(modules.URL("/empty.wasm"))), sha256.Sum256(module))
		return gateway.Until(ctx, func(context.Context) error {
			_, err := os.Stat(filepath.Join(gateway.ModuleCache, file))
			return err
		})
	})
}

func viaEnvoy(a Answer) error {
	if a.Header.Get("X-Envoy-Upstream-Service-Time") == "" {
		return errors.New("expected the header that Envoy adds")
	}
	return nil
}

// server stands for the workload and for what it calls. A request for /slow is answered when release is closed.
type server struct{ arrived, release chan struct{} }

func (s server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/slow" {
		close(s.arrived)
		<-s.release
	}
	fmt.Fprint(w, "hello from the server")
}

// testSidecar sends a request to the workload, one from it, and one that is answered while the proxy is stopping.
func testSidecar(t *testing.T, bin *Binaries, cluster *Cluster, istiod *Istiod) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	handler := server{make(chan struct{}), make(chan struct{})}
	workload := httptest.NewServer(handler)
	defer workload.Close()
	inbound, outbound := freePort(t), freePort(t)
	err := Apply(ctx, cluster.Config, testdata(t, "sidecar.yaml",
		"INGRESS", strconv.Itoa(inbound), "EGRESS", strconv.Itoa(outbound),
		"SERVER", strconv.Itoa(workload.Listener.Addr().(*net.TCPAddr).Port)))
	if err != nil {
		t.Fatal(err)
	}
	sidecar := startProxy(ctx, t, bin, istiod, ProxyOptions{
		Name:      "workload",
		Namespace: "default",
		Role:      Sidecar,
		Labels:    map[string]string{"app": "workload"},
		Drain:     5 * time.Second,
	}, inbound, outbound)
	for direction, port := range map[string]int{"inbound": inbound, "outbound": outbound} {
		timed(t, "first answer, "+direction, func() error {
			probe := Probe{URL: "http://" + local(port) + "/", Host: "upstream.example.com"}
			_, err := probe.Until(ctx, Status(200), Body("hello from the server"), viaEnvoy)
			return err
		})
	}
	files, err := os.ReadDir(sidecar.ModuleCache)
	if sidecar.ModuleCache != agentCache && (err != nil || len(files) > 0) {
		t.Errorf("the cache of this proxy holds %v, %v", files, err)
	}
	timed(t, "answer while stopping", func() error { return stopDuringRequest(ctx, sidecar, handler, inbound) })
}

func stopDuringRequest(ctx context.Context, sidecar *Proxy, handler server, port int) error {
	answered, stopped := make(chan error, 1), make(chan error, 1)
	go func() {
		answer, err := Probe{URL: "http://" + local(port) + "/slow"}.Do(ctx)
		answered <- errors.Join(err, Body("hello from the server")(answer))
	}()
	select {
	case <-handler.arrived:
	case err := <-answered:
		return fmt.Errorf("the request did not arrive: %w", err)
	}
	go func() { stopped <- sidecar.Stop() }()
	err := Until(ctx, func(context.Context) error {
		if !strings.Contains(sidecar.Log(), "Agent draining Proxy") {
			return errors.New("the agent does not drain yet")
		}
		return nil
	})
	close(handler.release)
	return errors.Join(err, <-answered, <-stopped)
}
