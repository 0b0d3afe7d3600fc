// SPDX-License-Identifier: Apache-2.0

package rules

import "testing"

func TestMask(t *testing.T) {
	raw := []byte(`{"basic_auth_rules":[{"prefix":"/shop","credentials":["ok:test","ok:testing"]}],
		"api":{"Token":"t0ken","apiKey":"k3y","nested":{"secret":{"any":["deep"]}}},"password":"","user":"alice"}`)
	tests := map[string]struct{ in, want string }{
		"a list under credentials":   {`bad value "ok:test" at 3`, `bad value "***" at 3`},
		"the longer one first":       {"ok:testing", "***"},
		"whatever the key's case":    {"t0ken k3y", "*** ***"},
		"deep under a secret's key":  {"found deep", "found ***"},
		"what is no secret stays":    {"/shop alice", "/shop alice"},
		"an empty secret is nothing": {"a b", "a b"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Mask(test.in, raw); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	if got := Mask("as it is", []byte(`not JSON`)); got != "as it is" {
		t.Errorf("got %q", got)
	}
}
