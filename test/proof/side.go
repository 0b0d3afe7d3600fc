// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
	"github.com/solarmesh/wasmplugin-operator/test/story"
)

const (
	// arrival is how long a change may take to reach a gateway.
	arrival = 40 * time.Second
	// settling is how long requests are counted where no status says that a plugin was refused.
	settling = 5 * time.Second
	changed  = "changed in the meantime"
)

// side is a gateway, and the kind by which it gets its plugins.
type side struct {
	world   *story.World
	gateway story.Gateway
	proxy   *chain.Proxy
	ours    bool
}

// outcome is what a case did to a gateway.
type outcome struct {
	sent, failed int
	// plugin and route say whether a change of another plugin and of a route arrived.
	plugin, route bool
}

// plugin is an object of the side's kind.
func (s *side) plugin(name, url, rules string) string {
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
`, apiVersion, name, s.gateway.Namespace, url, s.gateway.Label)
	if rules != "" {
		yaml += "  " + field + ": " + rules + "\n"
	}
	return yaml
}

func (s *side) apply(ctx context.Context, yaml string) error {
	return chain.Apply(ctx, s.world.Cluster.Config, yaml)
}

// until says whether an answer comes in time.
func (s *side) until(ctx context.Context, path string, expect ...chain.Expect) bool {
	ctx, cancel := context.WithTimeout(ctx, arrival)
	defer cancel()
	_, err := chain.Probe{URL: s.gateway.URL(path)}.Until(ctx, expect...)
	return err == nil
}

// run plays a case under load.
func (s *side) run(ctx context.Context, c proofCase) (outcome, error) {
	var o outcome
	if c.running {
		if err := s.apply(ctx, s.plugin(c.id(), s.world.Modules.URL(story.BasicAuthPath), goodRules)); err != nil {
			return o, err
		}
		if !s.until(ctx, protected, chain.Status(401)) {
			return o, fmt.Errorf("the good plugin of %s does not come into force", s.gateway.Name)
		}
	}
	load := startLoad(ctx, s.gateway.URL(open))
	err := s.apply(ctx, s.plugin(c.id(), s.world.Modules.URL(c.path), c.rules))
	if err == nil {
		err = s.settle(ctx, c)
	}
	if err == nil {
		err = s.restart(ctx, load)
	}
	if err == nil {
		err = s.changeOthers(ctx, &o)
	}
	o.sent, o.failed = load.stop()
	return o, errors.Join(err, s.cleanUp(ctx, c))
}

// settle waits until it is known what became of a change.
func (s *side) settle(ctx context.Context, c proofCase) error {
	if !s.ours {
		return wait(ctx, settling)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var last string
	err := chain.Until(ctx, func(ctx context.Context) error {
		out, err := s.world.Shell(ctx, "kubectl -n "+s.gateway.Namespace+" get wasmp "+c.id()+" -o jsonpath='{.status.conditions[?(@.type==\"Ready\")].reason}'")
		last = out
		if err == nil && out != "Rejected" {
			err = errors.New("not rejected yet")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("the status says %q, not Rejected: %w", last, err)
	}
	return wait(ctx, time.Second)
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

// restart replaces the gateway's proxy; nothing is counted while there is none. Istio's own may not get ready.
func (s *side) restart(ctx context.Context, load *load) error {
	load.pause()
	defer load.resume()
	if err := s.proxy.Kill(); err != nil {
		return err
	}
	ready, cancel := context.WithTimeout(ctx, arrival)
	defer cancel()
	err := s.proxy.Start(ready)
	if err == nil && s.ours && !s.until(ctx, open, chain.Status(200)) {
		err = errors.New("the gateway that started anew does not answer")
	}
	if !s.ours {
		return wait(ctx, settling)
	}
	return err
}

// changeOthers changes another plugin and the route.
func (s *side) changeOthers(ctx context.Context, o *outcome) error {
	if err := s.apply(ctx, s.plugin("other", s.world.Modules.URL(story.HelloWorldPath), "")); err != nil {
		return err
	}
	o.plugin = s.until(ctx, open, chain.Header("hello", "world"))
	if err := s.apply(ctx, strings.ReplaceAll(s.gateway.YAML(), story.Served, changed)); err != nil {
		return err
	}
	o.route = s.until(ctx, open, chain.Body(changed))
	return nil
}

// cleanUp makes the gateway what it was.
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
	// Anew, so that no case has to do with the one before it.
	if err := errors.Join(s.proxy.Kill(), s.proxy.Start(ctx)); err != nil {
		return err
	}
	if !s.until(ctx, open, chain.Status(200), chain.Body(story.Served), chain.Header("hello", "")) {
		return errors.New("the gateway doesn't recover")
	}
	return nil
}
