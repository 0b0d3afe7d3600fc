// SPDX-License-Identifier: Apache-2.0

package plugintest

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/solarmesh/wasmplugin-operator/internal/drystart"
	"github.com/solarmesh/wasmplugin-operator/internal/httpcase"
	"github.com/solarmesh/wasmplugin-operator/internal/rules"
)

// requestTimeout bounds the time that a start or a request may take.
const requestTimeout = time.Minute

// testHere runs the cases in the operator's own host.
func (p *plugin) testHere(ctx context.Context) (*Report, error) {
	report := &Report{Host: HostHere, Cases: make([]Result, p.count)}
	// All is compiled: what is interpreted would say nothing of the time that a request takes.
	checker := drystart.New(drystart.Options{Interpret: -1, Timeout: requestTimeout})
	session, refused := checker.Open(ctx, drystart.Request{Module: p.module, RootID: p.rootID, VMID: p.name})
	if session != nil {
		defer session.Close(ctx)
	}
	for _, g := range p.groups {
		if refused != nil {
			g.notStarted(report, *refused)
			continue
		}
		h := here{session: session, plugin: drystart.Plugin{Name: p.name, Configuration: g.rules}, report: report}
		h.test(ctx, g)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return report, nil
}

// here runs the cases of a group.
type here struct {
	session  *drystart.Session
	plugin   drystart.Plugin
	report   *Report
	instance *drystart.Instance
	// started is the verdict on the last start.
	started drystart.Verdict
}

func (h *here) test(ctx context.Context, g group) {
	defer h.stop(ctx)
	for _, c := range g.cases {
		// A VM that failed serves no further request; the next case is not to suffer from it.
		if h.instance == nil || h.instance.Failed() {
			h.stop(ctx)
			h.instance, h.started = h.session.Start(ctx, h.plugin)
		}
		if h.instance == nil {
			group{rules: g.rules, cases: []indexed{c}}.notStarted(h.report, h.started)
			continue
		}
		h.report.Cases[c.index] = h.serve(ctx, c.Case, g.rules)
	}
}

func (h *here) stop(ctx context.Context) {
	if h.instance != nil {
		h.report.MemoryBytes = max(h.report.MemoryBytes, h.instance.Memory())
		h.instance.Close(ctx)
	}
	h.instance = nil
}

func (h *here) serve(ctx context.Context, c httpcase.Case, rulesText string) Result {
	result := newResult(c)
	if h.started.Outcome == drystart.Inconclusive {
		result.inconclusive(h.started, rulesText)
		return result
	}
	if c.Expected.Refused {
		result.judge(c, httpcase.Outcome{})
		result.Logs = masked(h.started.Logs, rulesText)
		return result
	}
	served := h.instance.Serve(ctx, exchangeOf(c))
	result.Microseconds = max(1, served.Took.Microseconds())
	result.Logs = masked(served.Logs, rulesText)
	switch served.Outcome {
	case drystart.Inconclusive:
		result.inconclusive(served.Verdict, rulesText)
	case drystart.Refused:
		result.Result, result.Reason = ResultFailed, rules.Mask(served.Reason, nil, []byte(rulesText))
	default:
		result.judge(c, httpcase.Outcome{Response: messageOf(served.Response), Reached: messageOf(served.Reached)})
	}
	return result
}

// notStarted is what a plugin's refusal, or an inconclusive start, means for the cases.
func (g group) notStarted(report *Report, verdict drystart.Verdict) {
	for _, c := range g.cases {
		result := newResult(c.Case)
		if verdict.Outcome == drystart.Inconclusive {
			result.inconclusive(verdict, g.rules)
		} else {
			words := rules.Mask(drystart.Words(verdict.Reason, strings.Join(verdict.Logs, " | ")), nil, []byte(g.rules))
			result.judge(c.Case, httpcase.Outcome{Refused: &words})
		}
		report.Cases[c.index] = result
	}
}

func (r *Result) inconclusive(verdict drystart.Verdict, rulesText string) {
	r.Result = ResultInconclusive
	r.Reason = rules.Mask("only a proxy can tell: "+verdict.Call, nil, []byte(rulesText))
	r.Logs = masked(verdict.Logs, rulesText)
}

// masked are lines without what stands in the rules under keys such as password.
func masked(lines []string, rulesText string) []string {
	var list []string
	for _, line := range lines {
		list = append(list, rules.Mask(line, nil, []byte(rulesText)))
	}
	return list
}

func exchangeOf(c httpcase.Case) drystart.Exchange {
	request := drystart.Message{
		Headers: drystart.Headers{{":method", c.Request.Method}, {":path", c.Request.Target}}, Body: []byte(c.Request.Body),
	}
	for _, header := range c.Request.Headers {
		name := header.Name
		if name == "host" {
			name = ":authority"
		}
		request.Headers = append(request.Headers, [2]string{name, header.Value})
	}
	answer := drystart.Message{Headers: drystart.Headers{{":status", strconv.Itoa(c.Answer.Status)}}, Body: []byte(c.Answer.Body)}
	for _, header := range c.Answer.Headers {
		answer.Headers = append(answer.Headers, [2]string{header.Name, header.Value})
	}
	return drystart.Exchange{Request: request, Answer: answer}
}

// messageOf takes what HTTP/1 has in the first line from among the headers.
func messageOf(message *drystart.Message) *httpcase.Message {
	if message == nil {
		return nil
	}
	out := &httpcase.Message{Body: string(message.Body)}
	for _, header := range message.Headers {
		switch name, value := header[0], header[1]; name {
		case ":method":
			out.Method = value
		case ":path":
			out.Target = value
		case ":authority":
			out.Headers = append(out.Headers, httpcase.Header{Name: "host", Value: value})
		case ":status":
			out.Status, _ = strconv.Atoi(value) // 0 differs from whatever is expected
		case ":scheme":
		default:
			out.Headers = append(out.Headers, httpcase.Header{Name: name, Value: value})
		}
	}
	return out
}
