// SPDX-License-Identifier: Apache-2.0

package httpcase

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCompare(t *testing.T) {
	answer := &Message{Status: 200, Headers: []Header{{"hello", "world"}, {"via", "a"}, {"via", "b"}}, Body: "text\n"}
	request := &Message{Method: "GET", Target: "/b", Headers: []Header{{"host", "shop"}, {"x-user", "me"}}}
	header := func(name, value string) HeaderRule { return HeaderRule{Header: Header{name, value}} }
	none := func(name string) HeaderRule { return HeaderRule{Header: Header{Name: name}, Absent: true} }
	all := Outcome{Response: answer, Reached: request}
	for name, row := range map[string]struct {
		expected Expected
		got      Outcome
		want     []Difference
	}{
		"all as expected": {
			Expected{
				Status: 200, Body: new("text"), Response: []HeaderRule{header("hello", "world"), header("via", "b"), header("via", "a, b"), none("server")},
				Reached: []HeaderRule{header(":method", "GET"), header(":path", "/b"), header(":authority", "shop"), header("x-user", "me"), none("x")},
			}, all, nil,
		},
		"nothing as expected": {
			Expected{
				Status: 403, Body: new("no"), Response: []HeaderRule{header("hello", "moon"), header("x", "y"), none("via")},
				Reached: []HeaderRule{header("x-user", "you"), none("host"), header(":path", "/a")},
			},
			all,
			[]Difference{
				{"status", "403", "200"},
				{"response header hello", "moon", "world"},
				{"response header x", "y", "no such header"},
				{"response header via", "no such header", "a, b"},
				{"body", "no", "text"},
				{"header of the request at the server x-user", "you", "me"},
				{"header of the request at the server :path", "/a", "/b"},
			},
		},
		"no request at the server": {
			Expected{Reached: []HeaderRule{none("x")}},
			Outcome{Response: answer},
			[]Difference{{"request at the server", "one", "none: the plugin answered by itself"}},
		},
		"no answer":         {Expected{Status: 200}, Outcome{}, []Difference{{"response", "one", "none"}}},
		"refused, as meant": {Expected{Refused: true, Words: "bad"}, Outcome{Refused: new("too bad")}, nil},
		"refused otherwise": {
			Expected{Refused: true, Words: "bad"},
			Outcome{Refused: new("no")},
			[]Difference{{"start", `a refusal that says "bad"`, "no"}},
		},
		"not refused": {Expected{Refused: true}, all, []Difference{{"start", "the plugin refuses the rules", "it takes them"}}},
		"refused":     {Expected{Status: 200}, Outcome{Refused: new("no")}, []Difference{{"start", "the plugin takes the rules", "no"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(row.want, Case{Expected: row.expected}.Compare(row.got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
