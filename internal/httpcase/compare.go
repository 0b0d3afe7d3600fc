// SPDX-License-Identifier: Apache-2.0

package httpcase

import (
	"slices"
	"strconv"
	"strings"
)

// Outcome is what became of a case.
type Outcome struct {
	// Refused says why the plugin refused its rules, and what it said; nil where it took them.
	Refused *string
	// Response is what the client got; nil for no answer.
	Response *Message
	// Reached is the request as it reached the server; nil where it did not.
	Reached *Message
}

// Difference is between what a case expects and what became of it.
type Difference struct {
	// About is what differs, such as "status" or "response header hello".
	About string `json:"about"`
	Want  string `json:"want"`
	Got   string `json:"got"`
}

const (
	none   = "none"
	absent = "no such header"
)

// Compare returns what differs from what the case expects; nothing where all is as expected.
func (c Case) Compare(got Outcome) []Difference {
	e := c.Expected
	switch {
	case e.Refused || got.Refused != nil:
		return e.compareStart(got.Refused)
	case got.Response == nil:
		return []Difference{{"response", "one", none}}
	}
	all := e.compareResponse(got.Response)
	switch {
	case got.Reached != nil:
		all = append(all, compareHeaders("header of the request at the server ", e.Reached, reachedHeaders(got.Reached))...)
	case len(e.Reached) > 0:
		all = append(all, Difference{"request at the server", "one", "none: the plugin answered by itself"})
	}
	return all
}

// compareStart compares a start with what is expected, where either is a refusal.
func (e Expected) compareStart(refused *string) []Difference {
	switch {
	case refused == nil:
		return []Difference{{"start", "the plugin refuses the rules", "it takes them"}}
	case !e.Refused:
		return []Difference{{"start", "the plugin takes the rules", *refused}}
	case !strings.Contains(*refused, e.Words):
		return []Difference{{"start", "a refusal that says " + strconv.Quote(e.Words), *refused}}
	}
	return nil
}

func (e Expected) compareResponse(response *Message) []Difference {
	var all []Difference
	if got := response.Status; e.Status != 0 && e.Status != got {
		all = append(all, Difference{"status", strconv.Itoa(e.Status), strconv.Itoa(got)})
	}
	all = append(all, compareHeaders("response header ", e.Response, response.Headers)...)
	if e.Body != nil {
		if got := strings.TrimRight(response.Body, "\r\n"); got != *e.Body {
			all = append(all, Difference{"body", *e.Body, got})
		}
	}
	return all
}

// reachedHeaders are those of a request, with what stands in its first line.
func reachedHeaders(request *Message) []Header {
	headers := []Header{{":method", request.Method}, {":path", request.Target}}
	for _, header := range request.Headers {
		if header.Name == hostHeader {
			header.Name = authority
		}
		headers = append(headers, header)
	}
	return headers
}

func compareHeaders(about string, rules []HeaderRule, headers []Header) []Difference {
	var all []Difference
	for _, rule := range rules {
		var values []string
		for _, header := range headers {
			if strings.EqualFold(header.Name, rule.Name) {
				values = append(values, header.Value)
			}
		}
		joined := strings.Join(values, ", ")
		switch {
		case rule.Absent && len(values) > 0:
			all = append(all, Difference{about + rule.Name, absent, joined})
		case rule.Absent:
		case len(values) == 0:
			all = append(all, Difference{about + rule.Name, rule.Value, absent})
		case !slices.Contains(values, rule.Value) && squeeze(joined) != squeeze(rule.Value):
			all = append(all, Difference{about + rule.Name, rule.Value, joined})
		}
	}
	return all
}

// squeeze leaves spaces after commas out: proxies join values with and without.
func squeeze(value string) string { return strings.ReplaceAll(value, ", ", ",") }
