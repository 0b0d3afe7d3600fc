// SPDX-License-Identifier: Apache-2.0

package plugintest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/solarmesh/wasmplugin-operator/internal/httpcase"
	"github.com/solarmesh/wasmplugin-operator/internal/rules"
)

// answerPatience is how long a request may take in Envoy.
const answerPatience = 10 * time.Second

// testInEnvoy runs the cases in a real Envoy: one for each group, so that rules that are refused, and a VM that fails, are
// of no consequence for the other groups.
func (p *plugin) testInEnvoy(ctx context.Context, name string) (*Report, error) {
	program, err := findEnvoy(name)
	if err != nil {
		return nil, err
	}
	if p.path, err = filepath.Abs(p.path); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "wasmctl-test-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	server, err := startServer(ctx)
	if err != nil {
		return nil, err
	}
	defer server.close()
	report := &Report{Host: HostEnvoy, Cases: make([]Result, p.count)}
	for _, g := range p.groups {
		if err := p.testGroup(ctx, program, dir, server, g, report); err != nil {
			return nil, err
		}
	}
	return report, nil
}

func (p *plugin) testGroup(ctx context.Context, program, dir string, server *server, g group, report *Report) error {
	e, err := p.startEnvoy(ctx, program, dir, g.rules, server.port())
	if errors.Is(err, errRefused) {
		words := rules.Mask("Envoy does not run the plugin: "+refusalOf(e.log.from(0)), nil, []byte(g.rules))
		for _, c := range g.cases {
			result := newResult(c.Case)
			result.judge(c.Case, httpcase.Outcome{Refused: &words})
			report.Cases[c.index] = result
		}
		return nil
	}
	if err != nil {
		return errors.New(rules.Mask(err.Error(), nil, []byte(g.rules)))
	}
	defer e.stop()
	failed := ""
	for _, c := range g.cases {
		result := newResult(c.Case)
		if failed == "" {
			result, failed = e.serve(ctx, server, c.Case, g.rules)
		} else {
			result.Result = ResultFailed
			result.Reason = fmt.Sprintf("the plugin failed at the case %q, and Envoy lets no request through since", failed)
		}
		report.Cases[c.index] = result
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// serve sends the request of a case, and names the case if no other can follow.
func (e *envoy) serve(ctx context.Context, server *server, c httpcase.Case, rulesText string) (result Result, failed string) {
	result = newResult(c)
	if c.Expected.Refused {
		result.judge(c, httpcase.Outcome{})
		return result, ""
	}
	server.expect(c.Answer)
	ctx, cancel := context.WithTimeout(ctx, answerPatience)
	defer cancel()
	logged, before := e.log.len(), time.Now()
	response, err := send(ctx, e.address, c.Request)
	result.Microseconds = max(1, time.Since(before).Microseconds())
	e.settle(ctx)
	said := e.log.from(logged)
	result.Logs = masked(pluginLines(said), rulesText)
	switch fault := trapOf(said); {
	case fault != "":
		failed = c.Name
		result.Result, result.Reason = ResultFailed, rules.Mask(fault, nil, []byte(rulesText))
	case err != nil && e.over(ctx):
		failed = c.Name
		result.Result, result.Reason = ResultFailed, "the plugin takes Envoy down"
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		result.Result, result.Reason = ResultFailed, fmt.Sprintf("no answer in %s", answerPatience)
	case err != nil:
		result.Result, result.Reason = ResultFailed, "no whole answer: "+err.Error()
	default:
		result.judge(c, httpcase.Outcome{Response: response, Reached: server.got()})
	}
	return result, failed
}
