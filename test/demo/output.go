// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// step prints what comes next, and the time since the start.
func (d *demo) step(title string) {
	d.steps++
	fmt.Printf("\n[%5.1f s] %d. %s\n", time.Since(d.start).Seconds(), d.steps, title)
}

// say prints a remark.
func say(format string, args ...any) { fmt.Println(indent(fmt.Sprintf(format, args...))) }

// indent puts a text under its step.
func indent(text string) string {
	const margin = "    "
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines {
		if line != "" {
			lines[i] = margin + line
		}
	}
	return strings.Join(lines, "\n")
}

// shell shows a command, runs it, and shows what it printed.
func (d *demo) shell(line string) error {
	say("$ %s", line)
	out, err := d.world.Shell(d.ctx, line)
	if err != nil {
		return err
	}
	if out != "" {
		fmt.Println(indent(out))
	}
	return nil
}

// verdict counts an answer.
func (d *demo) verdict(what string, err error) {
	if err == nil {
		d.right++
		say("right: %s", what)
		return
	}
	d.wrong++
	say("WRONG: %s: %v", what, err)
}

// question is a request with what its answer should be.
type question struct {
	what, path, user string
	expect           []chain.Expect
}

func (d *demo) probe(q question) chain.Probe {
	return chain.Probe{URL: d.gateway.URL(q.path), User: q.user}
}

// ask sends a request to the gateway, shows the answer and judges it. It returns an error only when the demo is to end.
func (d *demo) ask(q question) error {
	fmt.Println()
	answer, err := d.request(d.probe(q))
	if d.ctx.Err() == nil {
		d.verdict(q.what, judge(answer, err, q.expect))
	}
	return d.ctx.Err()
}

// judge shows an answer and says what is wrong with it.
func judge(answer chain.Answer, err error, expect []chain.Expect) error {
	if err != nil {
		return err
	}
	say("%s", show(answer))
	for _, check := range expect {
		if err := check(answer); err != nil {
			return err
		}
	}
	return nil
}

// request is curl's where there is one.
func (d *demo) request(probe chain.Probe) (chain.Answer, error) {
	user := ""
	if probe.User != "" {
		user = "-u " + probe.User + " "
	}
	if !d.curl {
		say("GET %s%s (asked in Go: there is no curl on the PATH)", user, probe.URL)
		return probe.Do(d.ctx)
	}
	line := "curl -si " + user + probe.URL
	say("$ %s", line)
	out, err := d.world.Shell(d.ctx, line)
	if err != nil {
		return chain.Answer{}, err
	}
	answer, err := parse(out)
	if err != nil {
		return answer, fmt.Errorf("not an HTTP answer: %w", err)
	}
	return answer, nil
}

// parse reads what curl -i printed. The body is the rest, whatever the headers say of its encoding: curl has undone that.
func parse(out string) (chain.Answer, error) {
	head, body, _ := strings.Cut(out, "\r\n\r\n")
	reader := textproto.NewReader(bufio.NewReader(strings.NewReader(head + "\r\n\r\n")))
	line, err := reader.ReadLine()
	if err != nil {
		return chain.Answer{}, err
	}
	var protocol string
	var status int
	if _, err := fmt.Sscan(line, &protocol, &status); err != nil {
		return chain.Answer{}, fmt.Errorf("%q: %w", line, err)
	}
	header, err := reader.ReadMIMEHeader()
	return chain.Answer{Status: status, Header: http.Header(header), Body: body}, err
}

// ordinary headers would only be noise.
var ordinary = []string{"Content-Length", "Content-Type", "Date", "Server"}

// show prints an answer without its ordinary headers.
func show(answer chain.Answer) string {
	lines := []string{fmt.Sprintf("HTTP/1.1 %d %s", answer.Status, http.StatusText(answer.Status))}
	for name, values := range answer.Header {
		if !slices.Contains(ordinary, name) {
			lines = append(lines, strings.ToLower(name)+": "+strings.Join(values, ", "))
		}
	}
	slices.Sort(lines[1:])
	return strings.Join(append(lines, answer.Body), "\n")
}
