// SPDX-License-Identifier: Apache-2.0

package httpcase

import (
	"strings"

	"golang.org/x/net/http/httpguts"
)

const (
	refusedMark = "refused"
	authority   = ":authority"
)

// ofFirstLine are the names under which the first line of a request can be expected.
var ofFirstLine = []string{":method", ":path", authority}

// expected reads what stands after the mark.
func (p *parser) expected(lines []line) (Expected, error) {
	var e Expected
	for i, l := range lines {
		text := strings.TrimSpace(l.text)
		if text == "" {
			body := bodyOf(lines[i+1:])
			// Empty lines before the next case expect nothing.
			if body != "" || e.empty() {
				e.Body = &body
			}
			break
		}
		if err := p.expectation(&e, l.number, text); err != nil {
			return e, err
		}
	}
	first := lines[0].number
	switch {
	case e.Body != nil && *e.Body == "":
		return e, p.errorAt(first, "after %s stands what is expected", expectMark)
	case e.Refused && !e.onlyRefused():
		return e, p.errorAt(first, "a plugin that refuses its rules answers nothing; remove what stands beside %q", refusedMark)
	}
	return e, nil
}

// onlyRefused says whether nothing but a refusal is expected.
func (e Expected) onlyRefused() bool {
	e.Refused = false
	return e.empty()
}

func (p *parser) expectation(e *Expected, number int, text string) error {
	if words, refuses := strings.CutPrefix(text, refusedMark); refuses && (words == "" || words[0] == ':') {
		e.Refused, e.Words = true, strings.TrimSpace(strings.TrimPrefix(words, ":"))
		return nil
	}
	if strings.HasPrefix(text, protocol) {
		status, err := p.status(line{number, text})
		if err == nil && e.Status != 0 {
			err = p.errorAt(number, "a second status in one case")
		}
		e.Status = status
		return err
	}
	if ofRequest, found := strings.CutPrefix(text, ">"); found {
		rule, err := p.rule(number, strings.TrimSpace(ofRequest), ofFirstLine)
		e.Reached = append(e.Reached, rule)
		return err
	}
	rule, err := p.rule(number, text, nil)
	e.Response = append(e.Response, rule)
	return err
}

// rule reads "name: value" or "!name". A name may also be one of pseudo.
func (p *parser) rule(number int, text string, pseudo []string) (HeaderRule, error) {
	if name, absent := strings.CutPrefix(text, "!"); absent {
		name = strings.ToLower(strings.TrimSpace(name))
		if !httpguts.ValidHeaderFieldName(name) {
			return HeaderRule{}, p.errorAt(number, `after ! stands the name of a header`)
		}
		return HeaderRule{Header: Header{Name: name}, Absent: true}, nil
	}
	for _, name := range pseudo {
		if value, found := strings.CutPrefix(text, name+":"); found {
			return HeaderRule{Header: Header{name, strings.TrimSpace(value)}}, nil
		}
	}
	header, err := p.header(number, text)
	if header.Name == hostHeader && pseudo != nil {
		header.Name = authority
	}
	return HeaderRule{Header: header}, err
}
