// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
	"github.com/solarmesh/wasmplugin-operator/test/conformance/ads"
	"github.com/solarmesh/wasmplugin-operator/test/story"
)

// observing are the flags of an operator that asks istiod what its proxies do.
func observing() []string {
	return []string{"--observe-proxies=true", "--istiod-debug-url=" + istiod.URL}
}

// mesh are proxies of a scene, without an Envoy: one that is like most, and one for canaries. They take what they are sent,
// or don't.
type mesh struct {
	mu sync.Mutex
	// refused is a part of the names of extensions that proxies refuse; empty for none.
	refused string
}

const track = "track"

// newSafeScene is a scene whose plugins come into force by what its proxies say.
func newSafeScene(ctx context.Context, o *operator) *scene {
	GinkgoHelper()
	s := newScene(ctx, o)
	s.options.ObserveProxies = true
	s.mode = wasmv1alpha1.ActivationSafe
	s.mesh = &mesh{}
	ports, err := chain.FreePorts(1)
	Expect(err).NotTo(HaveOccurred())
	g := story.Gateway{Namespace: s.namespace, Name: "gateway", Label: s.namespace, Ports: ports}
	Expect(chain.Apply(ctx, cluster.Config, g.YAML())).To(Succeed())
	s.join(ctx, "stable", nil)
	s.join(ctx, "canary", map[string]string{track: "canary"})
	return s
}

// join connects a proxy until the scene ends.
func (s *scene) join(ctx context.Context, name string, labels map[string]string) {
	GinkgoHelper()
	client, err := ads.NewClient(istiod.DiscoveryAddress)
	Expect(err).NotTo(HaveOccurred())
	proxy := ads.Proxy{
		Kind: ads.Router, Name: name, Namespace: s.namespace, IP: "127.0.0.1", Version: "1.31.0",
		Labels: map[string]string{"istio": s.namespace, track: labels[track]},
	}
	living, leave := context.WithCancel(context.WithoutCancel(ctx))
	var group sync.WaitGroup
	group.Go(func() {
		for living.Err() == nil {
			_ = client.Live(living, proxy, s.mesh.opinion) // whoever stays away is missed in the status
			select {
			case <-living.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
	s.ends = append(s.ends, func() {
		leave()
		group.Wait()
		_ = client.Close()
	})
}

// opinion is what proxies say of extensions.
func (m *mesh) opinion(names []string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range names {
		if m.refused != "" && strings.Contains(name, m.refused) {
			return "Unable to create Wasm plugin " + name
		}
	}
	return ""
}

// refuse has proxies refuse extensions with some text in their names from now on.
func (m *mesh) refuse(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refused = text
}
