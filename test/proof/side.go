// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/test/chain"
	"github.com/solarmesh/wasmplugin-operator/test/story"
)

const (
	// arrival is how long a change may take to reach a gateway, and a proxy that starts to be ready.
	arrival = 20 * time.Second
	// settling is how long requests are counted before anything else happens.
	settling = 5 * time.Second
	changed  = "changed in the meantime"
)

// side is a gateway, and the kind by which it gets its plugins.
type side struct {
	name    string
	world   *story.World
	gateway story.Gateway
	proxy   *chain.Proxy
	ours    bool
	// starting gets what became of the start of a proxy; nil if nobody waits for one.
	starting chan error
}

// outcome is what a case did to a gateway.
type outcome struct {
	sent, failed int
	rate         float64
	failures     []string
	// plugin and route say whether a change of another plugin and of a route arrived, inForce whether what ran before still
	// does.
	plugin, route, inForce bool
}

// object is a plugin of the side's kind.
func (s *side) object(name, path, rules string) string {
	apiVersion, field := "extensions.istio.io/v1alpha1", "pluginConfig"
	if s.ours {
		apiVersion, field = "wasm.solarmesh.io/v1alpha1", "rules"
	}
	yaml := fmt.Sprintf(`
apiVersion: %s
kind: WasmPlugin
metadata: {name: %s, namespace: %s}
spec:
  url: %s
  selector: {matchLabels: {istio: %s}}
`, apiVersion, name, s.gateway.Namespace, s.world.Modules.URL(path), s.gateway.Label)
	if rules != "" {
		yaml += "  " + field + ": " + rules + "\n"
	}
	return yaml
}

func (s *side) apply(ctx context.Context, yaml string) error {
	return chain.Apply(ctx, s.world.Cluster.Config, yaml)
}

// until says whether an answer comes in time.
func (s *side) until(ctx context.Context, long time.Duration, path string, expect ...chain.Expect) bool {
	ctx, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	_, err := chain.Probe{URL: s.gateway.URL(path)}.Until(ctx, expect...)
	return err == nil
}

// play runs a case under load, and makes the gateway what it was.
func (s *side) play(ctx context.Context, c proofCase) (outcome, error) {
	var o outcome
	if err := s.prepare(ctx, c); err != nil {
		return o, err
	}
	load := startLoad(ctx, s.gateway.URL(open))
	err := s.harm(ctx, c, load, &o)
	o.rate, o.failures = load.stop()
	o.sent, o.failed = load.sent, load.failed
	return o, errors.Join(err, s.cleanUp(ctx, c))
}

// prepare has the plugin that a case breaks in force.
func (s *side) prepare(ctx context.Context, c proofCase) error {
	if !c.running {
		return nil
	}
	if err := s.apply(ctx, s.object(c.id(), story.BasicAuthPath, goodRules)); err != nil {
		return err
	}
	if !s.until(ctx, time.Minute, protected, chain.Status(http.StatusUnauthorized)) {
		return fmt.Errorf("%s: the good plugin does not come into force", s.name)
	}
	return s.becomes(ctx, c, wasmv1alpha1.ReasonProgrammed)
}

// becomes waits until the status of our plugin has a reason.
func (s *side) becomes(ctx context.Context, c proofCase, reason string) error {
	if !s.ours {
		return nil
	}
	_, err := s.world.Shell(ctx, fmt.Sprintf(`kubectl -n %s wait wasmp %s --timeout=%s `+
		`--for=jsonpath='{.status.conditions[?(@.type=="Ready")].reason}'=%s`, s.gateway.Namespace, c.id(), 2*time.Minute, reason))
	return err
}

// harm applies the plugin, starts the proxy anew, and changes something else.
func (s *side) harm(ctx context.Context, c proofCase, load *load, o *outcome) error {
	load.enter("after the plugin")
	if err := s.apply(ctx, s.object(c.id(), c.path, c.rules)); err != nil {
		return err
	}
	if err := s.settle(ctx, c); err != nil {
		return err
	}
	if !c.good {
		load.enter("after the restart")
		if err := errors.Join(s.restart(ctx, load), wait(ctx, settling)); err != nil {
			return err
		}
	}
	load.enter("after another plugin")
	if err := s.apply(ctx, s.object("other", story.HelloWorldPath, "")); err != nil {
		return err
	}
	o.plugin = s.until(ctx, arrival, open, chain.Header("hello", "world"))
	load.enter("after another route")
	if err := s.apply(ctx, strings.ReplaceAll(s.gateway.YAML(), story.Served, changed)); err != nil {
		return err
	}
	o.route = s.until(ctx, arrival, open, chain.Body(changed))
	o.inForce = !c.running || !s.ours || s.until(ctx, time.Second, protected, chain.Status(http.StatusUnauthorized))
	return nil
}

// settle waits until it is known what became of a plugin.
func (s *side) settle(ctx context.Context, c proofCase) error {
	if c.good {
		if !s.until(ctx, 2*time.Minute, denied, chain.Status(http.StatusForbidden)) {
			return fmt.Errorf("%s: the plugin does not come into force", s.name)
		}
		return s.becomes(ctx, c, wasmv1alpha1.ReasonProgrammed)
	}
	if !s.ours {
		// No status says what became of it. It takes a while to compile, and a plugin that ran before runs on.
		s.until(ctx, 2*settling, open, failing)
	}
	if err := s.becomes(ctx, c, wasmv1alpha1.ReasonRejected); err != nil {
		return err
	}
	return wait(ctx, settling)
}

func failing(a chain.Answer) error {
	if a.Status == http.StatusOK {
		return errors.New("expected another status")
	}
	return nil
}

func wait(ctx context.Context, long time.Duration) error {
	timer := time.NewTimer(long)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// restart replaces the gateway's proxy. Nothing is counted until the new one says that it is ready, or should have.
func (s *side) restart(ctx context.Context, load *load) error {
	load.pause()
	defer load.resume()
	if err := s.proxy.Stop(); err != nil {
		return err
	}
	starting := make(chan error, 1)
	s.starting = starting
	go func() { starting <- s.proxy.Start(ctx) }()
	timer := time.NewTimer(arrival)
	defer timer.Stop()
	select {
	case err := <-starting:
		s.starting = nil
		return err
	case <-timer.C:
		s.say("the proxy that started anew is not ready after %s", arrival)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// cleanUp makes the gateway what it was, with a proxy that never saw the case.
func (s *side) cleanUp(ctx context.Context, c proofCase) error {
	kind := "wasmplugins.extensions.istio.io"
	if s.ours {
		kind = "wasmplugins.wasm.solarmesh.io"
	}
	if _, err := s.world.Shell(ctx, "kubectl -n "+s.gateway.Namespace+" delete --ignore-not-found "+kind+" other "+c.id()); err != nil {
		return err
	}
	if err := s.apply(ctx, s.gateway.YAML()); err != nil {
		return err
	}
	err := s.proxy.Kill()
	if s.starting != nil {
		<-s.starting // It was told above.
		s.starting = nil
	}
	if err := errors.Join(err, s.proxy.Start(ctx)); err != nil {
		return err
	}
	if !s.until(ctx, time.Minute, open, chain.Status(http.StatusOK), chain.Body(story.Served), chain.Header("hello", "")) {
		return fmt.Errorf("%s: the gateway doesn't recover", s.name)
	}
	return nil
}
