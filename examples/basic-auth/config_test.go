// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"
	"testing"
)

// secret stands for a credential in configurations that are wrong; no error may repeat any part of it.
const secret = "hunter2"

func TestParsePolicy(t *testing.T) {
	p, err := parsePolicy([]byte(`{
		"realm": "the shop",
		"basic_auth_rules": [
			{"prefix": "/productpage", "request_methods": ["get", "POST"], "credentials": ["ok:test", "YWRtaW4zOmFkbWluMw=="]},
			{"exact": "/a%20b", "request_methods": ["M-SEARCH"], "credentials": ["user:", ":token", "a:b:c"]},
			{"suffix": ".pdf", "request_methods": ["HEAD"], "credentials": ["ok:test"]}
		]
	}`))
	if err != nil {
		t.Fatal(err)
	}
	if p.realm != "the shop" {
		t.Errorf("realm is %q", p.realm)
	}
	want := []struct {
		path        string
		methods     []string
		credentials int
	}{
		{"/productpage", []string{"GET", "POST", "HEAD"}, 2},
		{"/a b", []string{"M-SEARCH"}, 3},
		{".pdf", []string{"HEAD"}, 1},
	}
	if len(p.rules) != len(want) {
		t.Fatalf("%d rules, want %d", len(p.rules), len(want))
	}
	for i, w := range want {
		r := p.rules[i]
		if r.path != w.path || !slices.Equal(r.methods, w.methods) || len(r.credentials) != w.credentials {
			t.Errorf("rule %d is %q %v with %d credentials, want %+v", i, r.path, r.methods, len(r.credentials), w)
		}
	}
}

func TestParsePolicyWithoutRules(t *testing.T) {
	p, err := parsePolicy([]byte(` {"basic_auth_rules": []} `))
	if err != nil {
		t.Fatal(err)
	}
	if p.realm != defaultRealm || len(p.rules) != 0 {
		t.Errorf("policy is %+v, want the default realm and no rules", p)
	}
}

func TestParsePolicyRefuses(t *testing.T) {
	for _, row := range []struct{ name, configuration, want string }{
		{"nothing", "", "the configuration is empty; it needs the field basic_auth_rules, a list of rules"},
		{"blanks", " \n", "the configuration is empty; it needs the field basic_auth_rules, a list of rules"},
		{"no JSON", "{\"basic_auth_rules\": [\n  hunter2]}", "the configuration is not valid JSON: see line 2, byte 3"},
		{"cut short", `{"basic_auth_rules": ["hunter2`, "the configuration is not valid JSON: see line 1, byte 30"},
		{"two documents", `{"basic_auth_rules": []} {}`, "the configuration is not valid JSON: see line 1, byte 26"},
		{"null", `null`, "the configuration must be an object with the fields basic_auth_rules, realm"},
		{"list", `["u:hunter2"]`, "the configuration must be an object with the fields basic_auth_rules, realm"},
		{"no rules", `{}`, "basic_auth_rules is missing; it must be a list"},
		{
			"unknown field", `{"basic_auth_rules": [], "rules": []}`,
			`the configuration has the unknown field "rules"; its fields are basic_auth_rules, realm`,
		},
		{
			"other case", `{"Basic_Auth_Rules": []}`,
			`the configuration has the unknown field "Basic_Auth_Rules"; its fields are basic_auth_rules, realm`,
		},
		{"field twice", `{"basic_auth_rules": [], "basic_auth_rules": []}`, "the configuration has the field basic_auth_rules twice"},
		{"rules null", `{"basic_auth_rules": null}`, "basic_auth_rules must be a list"},
		{"rules an object", `{"basic_auth_rules": {"credentials": "u:hunter2"}}`, "basic_auth_rules must be a list"},
		{"realm empty", `{"basic_auth_rules": [], "realm": ""}`, "realm must not be empty"},
		{"realm null", `{"basic_auth_rules": [], "realm": null}`, "realm must be a string"},
		{"realm a number", `{"basic_auth_rules": [], "realm": 1}`, "realm must be a string"},
		{
			"realm quoted", `{"basic_auth_rules": [], "realm": "a\", x=\"b"}`,
			`realm must consist of printable ASCII characters other than " and \`,
		},
		{
			"realm of two lines", `{"basic_auth_rules": [], "realm": "a\r\nset-cookie: x"}`,
			`realm must consist of printable ASCII characters other than " and \`,
		},
	} {
		t.Run(row.name, func(t *testing.T) { refuses(t, row.configuration, row.want) })
	}
}

func TestParsePolicyRefusesRule(t *testing.T) {
	const (
		methods     = `, "request_methods": ["GET"]`
		credentials = `, "credentials": ["u:hunter2"]`
	)
	for _, row := range []struct{ name, rule, want string }{
		{"no object", `"u:hunter2"`, " must be an object with the fields prefix, suffix, exact, request_methods, credentials"},
		{
			"unknown field", `{"prefix": "/", "credential": ["u:hunter2"]}`,
			` has the unknown field "credential"; its fields are prefix, suffix, exact, request_methods, credentials`,
		},
		{"field twice", `{"prefix": "/a", "prefix": "/b"` + methods + credentials + `}`, " has the field prefix twice"},
		{"no path", `{"request_methods": ["GET"]` + credentials + `}`, " needs one of prefix, suffix and exact"},
		{
			"two paths", `{"exact": "/a", "suffix": "b"` + methods + credentials + `}`,
			" has more than one of prefix, suffix and exact; make a rule of each",
		},
		{"path empty", `{"prefix": ""` + methods + credentials + `}`, ".prefix must not be empty"},
		{"path null", `{"exact": null` + methods + credentials + `}`, ".exact must be a string"},
		{"path relative", `{"prefix": "a"` + methods + credentials + `}`, ".prefix must begin with a slash"},
		{
			"path with a query", `{"suffix": "?a=b"` + methods + credentials + `}`,
			".suffix must not contain a question mark: the query is no part of the path",
		},
		{
			"path with dots", `{"exact": "/a/../b"` + methods + credentials + `}`,
			`.exact must be a path without "//", "/./", "/../", ";" and backslashes`,
		},
		{
			"path with encoded slashes", `{"prefix": "/%2Fa"` + methods + credentials + `}`,
			`.prefix must be a path without "//", "/./", "/../", ";" and backslashes`,
		},
		{"no methods", `{"prefix": "/"` + credentials + `}`, ".request_methods is missing; it must be a list"},
		{"methods empty", `{"prefix": "/", "request_methods": []` + credentials + `}`, ".request_methods must not be empty"},
		{"methods a string", `{"prefix": "/", "request_methods": "GET"` + credentials + `}`, ".request_methods must be a list"},
		{
			"any method", `{"prefix": "/", "request_methods": ["GET", "*"]` + credentials + `}`,
			".request_methods[1] must be an HTTP method such as GET; list each method",
		},
		{"no credentials", `{"prefix": "/"` + methods + `}`, ".credentials is missing; it must be a list"},
		{"credentials empty", `{"prefix": "/"` + methods + `, "credentials": []}`, ".credentials must not be empty"},
		{
			"credential an object", `{"prefix": "/"` + methods + `, "credentials": ["a:b", {"u": "hunter2"}]}`,
			".credentials[1] must be a string",
		},
		{"credential empty", `{"prefix": "/"` + methods + `, "credentials": [""]}`, ".credentials[0] must not be empty"},
		{
			"credential a word", `{"prefix": "/"` + methods + `, "credentials": ["hunter2"]}`,
			".credentials[0] must be user:password, or the base64 encoding of it",
		},
		{
			"credential base64 of a word", `{"prefix": "/"` + methods + `, "credentials": ["aHVudGVyMg=="]}`,
			".credentials[0] must be user:password, or the base64 encoding of it",
		},
		{
			"credential a colon", `{"prefix": "/"` + methods + `, "credentials": [":"]}`,
			".credentials[0] has neither a user nor a password",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			first := `{"prefix": "/first", "request_methods": ["GET"], "credentials": ["a:b"]}`
			refuses(t, `{"basic_auth_rules": [`+first+`, `+row.rule+`]}`, "basic_auth_rules[1]"+row.want)
		})
	}
}

func refuses(t *testing.T, configuration, want string) {
	t.Helper()
	p, err := parsePolicy([]byte(configuration))
	if err == nil {
		t.Fatalf("accepted as %+v, want an error", p)
	}
	if err.Error() != want {
		t.Errorf("error is\n  %s\nwant\n  %s", err, want)
	}
	if strings.Contains(err.Error(), secret) {
		t.Errorf("the error quotes a credential: %s", err)
	}
}

func FuzzParsePolicy(f *testing.F) {
	f.Add(`{"basic_auth_rules":[{"prefix":"/a","request_methods":["GET"],"credentials":["u:p"]}],"realm":"r"}`)
	f.Add(`{"basic_auth_rules":[{"exact":"/%2e","request_methods":[null],"credentials":{}}]}`)
	f.Add(`{"":{}}`)
	f.Add(`[`)
	f.Fuzz(func(t *testing.T, configuration string) {
		p, err := parsePolicy([]byte(configuration))
		if err != nil {
			return
		}
		for i, r := range p.rules {
			if r.matches == nil || r.path == "" || len(r.methods) == 0 || len(r.credentials) == 0 {
				t.Errorf("rule %d of an accepted configuration can never ask for credentials: %+v", i, r)
			}
		}
	})
}
