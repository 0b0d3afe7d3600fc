// SPDX-License-Identifier: Apache-2.0

package httpcase

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

const (
	caseMark   = "###"
	answerMark = "==="
	expectMark = "--->"
	rulesMark  = "@rules"

	protocol    = "HTTP/1.1"
	defaultHost = "localhost"
	hostHeader  = "host"
	// MaxFileSize bounds a file of cases.
	MaxFileSize = 16 << 20
)

// ofConnections are headers that a client, a proxy and a server settle among themselves.
var ofConnections = []string{
	"connection", "content-length", "expect", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
}

// parser reads one case.
type parser struct {
	file  string
	lines []line
	// end is the number of the line after the last one.
	end int
}

// Parse reads the cases of a file. Its errors name the file and the line.
func Parse(file string, content []byte) ([]Case, error) {
	if len(content) > MaxFileSize {
		return nil, fmt.Errorf("%s: the file has %d bytes; %d are the most", file, len(content), MaxFileSize)
	}
	var cases []Case
	for _, block := range blocks(content) {
		p := &parser{file: file, lines: block, end: block[len(block)-1].number + 1}
		if p.isBlank() {
			if strings.HasPrefix(block[0].text, caseMark) {
				return nil, p.errorAt(block[0].number, "the case is empty; give it a request, or remove the line")
			}
			continue
		}
		parsed, err := p.parse()
		if err != nil {
			return nil, err
		}
		cases = append(cases, parsed)
	}
	if len(cases) == 0 {
		return nil, fmt.Errorf("%s:1: the file has no case; give it a request and, after a line %s, what is expected", file, expectMark)
	}
	return cases, nil
}

func (p *parser) errorAt(number int, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", p.file, number, fmt.Sprintf(format, args...))
}

// isBlank says whether there are only empty lines, comments, and the line that begins the case.
func (p *parser) isBlank() bool {
	return !slices.ContainsFunc(p.lines, func(l line) bool {
		return strings.TrimSpace(l.text) != "" && !strings.HasPrefix(l.text, "#")
	})
}

func (p *parser) parse() (Case, error) {
	c := Case{File: p.file, Answer: Message{Status: http.StatusOK}}
	if name, begins := strings.CutPrefix(p.lines[0].text, caseMark); begins {
		c.Line, c.Name = p.lines[0].number, strings.TrimSpace(name)
		p.lines = p.lines[1:]
	}
	if err := p.preamble(&c); err != nil {
		return c, err
	}
	request, answer, expected, err := p.split()
	if err != nil {
		return c, err
	}
	if err := p.parts(&c, request, answer, expected); err != nil {
		return c, err
	}
	if c.Request.Method == "" && !c.Expected.Refused {
		return c, p.errorAt(c.Line, `the case has no request; give it a line such as "GET / %s"`, protocol)
	}
	if c.Name == "" {
		c.Name = nameOf(c)
	}
	return c, nil
}

// parts reads the parts of a case; a request or an answer may be missing.
func (p *parser) parts(c *Case, request, answer, expected []line) (err error) {
	if len(request) > 0 {
		if c.Request, err = p.request(request); err != nil {
			return err
		}
	}
	if answer != nil {
		if c.Answer, err = p.answer(answer); err != nil {
			return err
		}
	}
	c.Expected, err = p.expected(expected)
	return err
}

func nameOf(c Case) string {
	if c.Request.Method == "" {
		return "refused rules"
	}
	return c.Request.Method + " " + c.Request.Target
}

// preamble reads comments and rules, and leaves the rest.
func (p *parser) preamble(c *Case) error {
	for len(p.lines) > 0 {
		first := p.lines[0]
		text, isRules := strings.CutPrefix(first.text, rulesMark)
		switch {
		case strings.TrimSpace(first.text) == "", strings.HasPrefix(first.text, "#"):
		case isRules && c.Rules != "":
			return p.errorAt(first.number, "the case has its rules twice; keep one line %s", rulesMark)
		case isRules:
			c.Rules, c.RulesLine = strings.TrimSpace(text), first.number
			if c.Line == 0 {
				c.Line = first.number
			}
			if !json.Valid([]byte(c.Rules)) {
				return p.errorAt(first.number, "the rules are no JSON in one line")
			}
		default:
			if c.Line == 0 {
				c.Line = first.number
			}
			return nil
		}
		p.lines = p.lines[1:]
	}
	return nil
}

// split finds the lines of the request, of the answer (nil for none) and of what is expected.
func (p *parser) split() (request, answer, expected []line, err error) {
	marks := map[string]int{answerMark: -1, expectMark: -1}
	for i, l := range p.lines {
		mark := strings.TrimRight(l.text, " \t")
		at, isMark := marks[mark]
		switch {
		case !isMark:
		case marks[expectMark] >= 0:
			return nil, nil, nil, p.errorAt(l.number, "a line %s after %s; begin another case with %s", mark, expectMark, caseMark)
		case at >= 0:
			return nil, nil, nil, p.errorAt(l.number, "a second line %s in one case", mark)
		default:
			marks[mark] = i
		}
	}
	end := marks[expectMark]
	if end < 0 {
		return nil, nil, nil, p.errorAt(p.end-1, "the case expects nothing; write a line %s and what is expected", expectMark)
	}
	request, expected = p.lines[:end], p.lines[end+1:]
	if at := marks[answerMark]; at >= 0 {
		request, answer = p.lines[:at], p.lines[at+1:end]
		if len(answer) == 0 {
			return nil, nil, nil, p.errorAt(p.lines[at].number, `after %s stands what the server answers, such as "%s 200"`, answerMark, protocol)
		}
	}
	if len(expected) == 0 {
		return nil, nil, nil, p.errorAt(p.lines[end].number, "after %s stands what is expected", expectMark)
	}
	return request, answer, expected, nil
}

func (p *parser) request(lines []line) (Message, error) {
	first := lines[0]
	words := strings.Fields(first.text)
	if len(words) != 3 || words[2] != protocol || !httpguts.ValidHeaderFieldName(words[0]) || !isTarget(words[1]) {
		return Message{}, p.errorAt(first.number, `this is no request line such as "GET /path %s"`, protocol)
	}
	message := Message{Method: words[0], Target: words[1]}
	err := p.rest(&message, lines[1:])
	hosts := 0
	for _, header := range message.Headers {
		if header.Name == hostHeader {
			hosts++
		}
	}
	switch {
	case err != nil:
	case hosts > 1:
		err = p.errorAt(first.number, "the request has several headers Host; keep one")
	case hosts == 0:
		message.Headers = append([]Header{{hostHeader, defaultHost}}, message.Headers...)
	}
	return message, err
}

// isTarget says whether the text can stand in a request line: a path of visible ASCII, with a query or without.
func isTarget(text string) bool {
	hidden := func(r rune) bool { return r <= ' ' || r > '~' || r == '#' }
	return strings.HasPrefix(text, "/") && !strings.ContainsFunc(text, hidden)
}

func (p *parser) answer(lines []line) (Message, error) {
	status, err := p.status(lines[0])
	if err != nil {
		return Message{}, err
	}
	message := Message{Status: status}
	return message, p.rest(&message, lines[1:])
}

// status reads a line such as "HTTP/1.1 200 OK", whose words after the number mean nothing.
func (p *parser) status(l line) (int, error) {
	words := strings.Fields(l.text)
	if len(words) < 2 || words[0] != protocol {
		return 0, p.errorAt(l.number, `this is no status line such as "%s 200"`, protocol)
	}
	status, err := strconv.Atoi(words[1])
	if err != nil || status < 200 || status > 599 {
		return 0, p.errorAt(l.number, "the status %q is no number from 200 to 599", words[1])
	}
	return status, nil
}

// rest reads headers and body.
func (p *parser) rest(message *Message, lines []line) error {
	for i, l := range lines {
		if strings.TrimSpace(l.text) == "" {
			message.Body = bodyOf(lines[i+1:])
			return nil
		}
		header, err := p.header(l.number, l.text)
		if err != nil {
			return err
		}
		if slices.Contains(ofConnections, header.Name) {
			return p.errorAt(l.number, "%s can't be given: clients, proxies and servers settle it among themselves", header.Name)
		}
		message.Headers = append(message.Headers, header)
	}
	return nil
}

// header reads "name: value". The name may begin with a colon, as HTTP/2 has it.
func (p *parser) header(number int, text string) (Header, error) {
	bare, pseudo := strings.CutPrefix(text, ":")
	name, value, found := strings.Cut(bare, ":")
	value = strings.TrimSpace(value)
	if !found || pseudo || !httpguts.ValidHeaderFieldName(name) {
		return Header{}, p.errorAt(number, `this is no header such as "name: value"`)
	}
	if !httpguts.ValidHeaderFieldValue(value) {
		return Header{}, p.errorAt(number, "the value of the header %s has characters that no header can have", name)
	}
	return Header{strings.ToLower(name), value}, nil
}
