// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"strings"
	"testing"
)

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
			if got := Mask(test.in, nil, raw); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	if got := Mask("as it is", nil, []byte(`not JSON`)); got != "as it is" {
		t.Errorf("got %q", got)
	}
}

// TestMaskOfMany: what begins, ends or is a part of another leaves nothing of it, whichever document has it.
func TestMaskOfMany(t *testing.T) {
	document := func(secret string) []byte { return fmt.Appendf(nil, `{"password":%q}`, secret) }
	secrets := []string{"hunter", "hunter2-and-more", "more-than-that", "unter2"}
	for _, said := range []string{"hunter2-and-more", "hunter2-and-more-than-that", "hunter2", "hunterhunter"} {
		for _, order := range [][]int{{0, 1, 2, 3}, {3, 2, 1, 0}} {
			var documents [][]byte
			for _, i := range order {
				documents = append(documents, document(secrets[i]))
			}
			if got := Mask("a "+said+" b", nil, documents...); got != "a *** b" {
				t.Errorf("%s: %q", said, got)
			}
			if got := Mask("a "+said+" b", documents[:2], documents[2:]...); got != "a *** b" {
				t.Errorf("%s, of Secrets and others: %q", said, got)
			}
		}
	}
}

// TestMaskFromSecret masks every string of a Secret, whatever its name, in every form in which others repeat it.
func TestMaskFromSecret(t *testing.T) {
	secret := []byte(`{"users":{"alice":"wonderland"},"list":[{"s3cr3t":1},"a\"b<c"],"prefix":"/","method":"GET"}`)
	tests := map[string]struct{ in, want string }{
		"a string":                  {`bad "wonderland"`, `bad "***"`},
		"a name":                    {`no alice`, `no ***`},
		"a name in a list":          {`no s3cr3t`, `no ***`},
		"as it is":                  {`no a"b<c here`, `no *** here`},
		"in the rules' text":        {`no a\"b<c here`, `no *** here`},
		"escaped once more":         {`no a\\\"b<c here`, `no *** here`},
		"escaped for HTML":          {`no a\"b\u003cc here`, `no *** here`},
		"in an object, for HTML":    {`no a\\\"b\u003cc here`, `no *** here`},
		"too short to be a secret":  {"GET /shop", "GET /shop"},
		"an inline secret, besides": {"ok:test", "***"},
		"what is no secret stays":   {"EnvoyFilter shop/auth-config", "EnvoyFilter shop/auth-config"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Mask(test.in, [][]byte{secret}, []byte(`{"credentials":["ok:test"]}`)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	if got := Mask("found plain text", [][]byte{[]byte("plain text\n"), []byte(" ")}); got != "found ***" {
		t.Errorf("a document that is no rules: got %q", got)
	}
	if got := Mask("deep", [][]byte{[]byte(nested(9995))}); !strings.Contains(got, "deep") {
		t.Errorf("got %q", got)
	}
}
