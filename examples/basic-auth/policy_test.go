// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
)

// mustParse returns the policy of a list of rules.
func mustParse(t testing.TB, rules string) *policy {
	t.Helper()
	p, err := parsePolicy([]byte(`{"basic_auth_rules": [` + rules + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func basic(credential string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(credential))
}

func TestAllowsByPath(t *testing.T) {
	const rest = `, "request_methods": ["GET"], "credentials": ["ok:test"]}`
	for _, row := range []struct {
		name, rule  string
		asked, free []string // targets
	}{
		{
			name: "prefix", rule: `{"prefix": "/productpage"`,
			asked: []string{
				"/productpage", "/productpage/", "/productpage?u=x", "/productpage?", "/productpage/a/b", "/productpages",
				// Other ways to write it.
				"//productpage", "/./productpage", "/x/../productpage", "/x//..//productpage", `/\productpage`, `\productpage`,
				"/%70roductpage", "/%2Fproductpage", "/%2fproductpage", "/%5cproductpage", "/x/%2e%2E/productpage", "/x%2F..%2Fproductpage",
				"/x%2Fy/../productpage", "/x%zz/../productpage", "/%70roductpage%", "/;v=1/productpage", "/x/..;v=1/productpage", "/productpage;v=1",
				// A server that resolves nothing takes these for pages below it.
				"/productpage/../x", "/productpage%2F..%2Fx", "/%70roductpage/../x",
			},
			free: []string{
				"/", "", "*", "/product", "/x/productpage", "/PRODUCTPAGE", "/x?/productpage", "/x?a=/../productpage",
				"/%2570roductpage", "/%", "/%7", "/%g0", "/..", "/x;/productpage",
			},
		},
		{
			name: "prefix with a slash at its end", rule: `{"prefix": "/admin/"`,
			asked: []string{"/admin/", "/admin/a", "/admin/.", "/admin/a/..", "/x/../admin/", "/admin//"},
			free:  []string{"/admin", "/administrator", "/x/../admin"},
		},
		{
			name: "prefix of all", rule: `{"prefix": "/"`,
			asked: []string{"/", "", "*", "/a", "//", "/..", "?a=b", "%", "http://a/b"},
		},
		{
			name: "exact", rule: `{"exact": "/a/b"`,
			asked: []string{"/a/b", "/a/b?c", "/a//b", "/a/x/../b", "/%61/b", "/a%2Fb", "/a/b;c", "/a;c/b"},
			free:  []string{"/a/b/", "/a/bc", "/a", "/x/a/b"},
		},
		{
			name: "exact, encoded", rule: `{"exact": "/a%20b"`,
			asked: []string{"/a%20b", "/%61%20b", "/a b"},
			free:  []string{"/a+b", "/a%2520b"},
		},
		{
			name: "suffix", rule: `{"suffix": ".pdf"`,
			asked: []string{"/a.pdf", "/.pdf", "/a.pdf?x", "/a%2Epdf", "/a.pdf;v=1", "/a.pd%66"},
			free:  []string{"/a.pdf/", "/a.txt", "/a?.pdf", "/a.PDF"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := mustParse(t, row.rule+rest)
			for _, target := range row.asked {
				if p.allows("GET", target, "") {
					t.Errorf("%q passes without credentials", target)
				}
				if !p.allows("GET", target, basic("ok:test")) {
					t.Errorf("%q does not pass with credentials", target)
				}
			}
			for _, target := range row.free {
				if !p.allows("GET", target, "") {
					t.Errorf("%q is asked for credentials", target)
				}
			}
		})
	}
}

func TestAllowsByMethod(t *testing.T) {
	p := mustParse(t, `{"prefix": "/", "request_methods": ["GET", "post"], "credentials": ["ok:test"]}`)
	for method, free := range map[string]bool{
		"GET": false, "get": false, "POST": false, "Post": false, "HEAD": false, "PUT": true, "GETS": true, "": true,
	} {
		if got := p.allows(method, "/", ""); got != free {
			t.Errorf("method %q passes without credentials: %v, want %v", method, got, free)
		}
	}
}

func TestAllowsByCredentials(t *testing.T) {
	p := mustParse(t, `{"prefix": "/", "request_methods": ["GET"], "credentials": ["ok:test", "YWRtaW4zOmFkbWluMw==", "a:b:c", "é:ü", "user:"]}`)
	for authorization, want := range map[string]bool{
		"Basic b2s6dGVzdA==":    true,
		"basic b2s6dGVzdA==":    true,
		"BASIC   b2s6dGVzdA== ": true,
		basic("admin3:admin3"):  true,
		basic("a:b:c"):          true,
		basic("é:ü"):            true,
		basic("user:"):          true,

		"":                               false,
		"Basic":                          false,
		"Basic ":                         false,
		"Basicb2s6dGVzdA==":              false,
		"Bearer b2s6dGVzdA==":            false,
		"b2s6dGVzdA==":                   false,
		"Basic ok:test":                  false,
		"Basic b2s6dGVzdA":               false,
		"Basic b2s6dGVzdA== x":           false,
		"Basic b2s6dGVzdA==,Basic eDp5":  false,
		"Basic b2s6dGVzdA==, Basic eDp5": false,
		basic("YWRtaW4zOmFkbWluMw=="):    false,
		basic("ok"):                      false,
		basic("ok:"):                     false,
		basic(":test"):                   false,
		basic("ok:tes"):                  false,
		basic("ok:testt"):                false,
		basic("OK:test"):                 false,
		basic("ok:test\n"):               false,
		basic("ok:test\x00"):             false,
		basic("ok:" + strings.Repeat("x", 1<<16)): false,
	} {
		if got := p.allows("GET", "/", authorization); got != want {
			t.Errorf("authorization %.60q passes: %v, want %v", authorization, got, want)
		}
	}
}

// TestAllowsByAllRules: several rules that apply must all be satisfied, in whatever order they stand.
func TestAllowsByAllRules(t *testing.T) {
	const (
		all   = `{"prefix": "/", "request_methods": ["GET"], "credentials": ["user:1", "admin:2"]}`
		admin = `{"prefix": "/admin", "request_methods": ["GET"], "credentials": ["admin:2"]}`
	)
	for _, rules := range []string{all + "," + admin, admin + "," + all} {
		p := mustParse(t, rules)
		for _, row := range []struct {
			target, credential string
			want               bool
		}{
			{"/", "user:1", true},
			{"/", "admin:2", true},
			{"/", "admin:1", false},
			{"/admin", "user:1", false},
			{"/admin", "admin:2", true},
			{"/admin", "", false},
		} {
			if got := p.allows("GET", row.target, basic(row.credential)); got != row.want {
				t.Errorf("%s with %q passes: %v, want %v", row.target, row.credential, got, row.want)
			}
		}
	}
	if !mustParse(t, "").allows("GET", "/", "") {
		t.Error("a policy without rules asks for credentials")
	}
}

// FuzzAllows: nothing that a client sends stops the plugin, and whatever follows the rule's path or is resolved before
// it, the request does not pass with credentials that are wrong.
func FuzzAllows(f *testing.F) {
	f.Add("/x", basic("ok:wrong"))
	f.Add("/%", "Basic \xff")
	f.Add(";/../%2e%2e/", "")
	f.Add(`\..\`, "Basic ====")
	p := mustParse(f, `{"prefix": "/productpage", "request_methods": ["GET"], "credentials": ["ok:test"]}`)
	f.Fuzz(func(t *testing.T, part, authorization string) {
		p.allows("GET", part, authorization)
		if authorization == basic("ok:test") {
			return
		}
		if target := "/productpage" + part; p.allows("GET", target, authorization) {
			t.Errorf("%q passes with %q", target, authorization)
		}
		if target := "/" + url.PathEscape(part) + "/../productpage"; p.allows("GET", target, authorization) {
			t.Errorf("%q passes with %q", target, authorization)
		}
	})
}
