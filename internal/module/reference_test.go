// SPDX-License-Identifier: Apache-2.0

package module

import (
	"strings"
	"testing"
)

var someHex = strings.Repeat("0a", 32)

func TestParse(t *testing.T) {
	tests := map[string]struct {
		url, sha256 string
		want, tag   string
		oci, pinned bool
	}{
		"oci":                  {"oci://registry.example.com/team/auth:1.4", "", "oci://registry.example.com/team/auth:1.4", "1.4", true, false},
		"no scheme":            {"registry.example.com:5000/auth:1", "", "oci://registry.example.com:5000/auth:1", "1", true, false},
		"no tag":               {"oci://registry.example.com/auth", "", "oci://registry.example.com/auth:latest", "latest", true, false},
		"Docker Hub":           {"solarmesh/auth", "", "oci://index.docker.io/solarmesh/auth:latest", "latest", true, false},
		"digest":               {"oci://r.example.com/auth@sha256:" + someHex, "", "oci://r.example.com/auth@sha256:" + someHex, "", true, true},
		"digest twice":         {"oci://r.example.com/auth@sha256:" + someHex, someHex, "oci://r.example.com/auth@sha256:" + someHex, "", true, true},
		"tag and digest":       {"oci://r.example.com/auth:1@sha256:" + someHex, "", "oci://r.example.com/auth@sha256:" + someHex, "", true, true},
		"tag and sha256":       {"oci://r.example.com/auth:1", someHex, "oci://r.example.com/auth:1", "1", true, true},
		"https":                {"https://files.example.com/auth.wasm", "", "https://files.example.com/auth.wasm", "", false, false},
		"https, sha256":        {"https://files.example.com/auth.wasm", someHex, "https://files.example.com/auth.wasm", "", false, true},
		"query is not printed": {"https://files.example.com/auth.wasm?sig=" + secret, "", "https://files.example.com/auth.wasm", "", false, false},
		"http, IPv6":           {"http://[2001:db8::1]:8080/auth.wasm", "", "http://[2001:db8::1]:8080/auth.wasm", "", false, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			ref, err := Parse(tc.url, tc.sha256)
			if err != nil {
				t.Fatal(err)
			}
			if ref.String() != tc.want || ref.Tag() != tc.tag || ref.OCI() != tc.oci || ref.Pinned() != tc.pinned {
				t.Errorf("got %s, tag %q, oci %t, pinned %t, want %+v", ref, ref.Tag(), ref.OCI(), ref.Pinned(), tc)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	tests := map[string]struct {
		url, sha256 string
		want        Kind
	}{
		"row 1: empty":                            {"", "", InvalidReference},
		"row 1: space":                            {"oci://registry.example.com/au th", "", InvalidReference},
		"row 1: bad escape":                       {"https://files.example.com/%zz", "", InvalidReference},
		"row 1: no host":                          {"https:///auth.wasm", "", InvalidReference},
		"row 1: beyond ASCII":                     {"https://exämple.com/a.wasm", "", InvalidReference},
		"row 1: fragment":                         {"https://example.com/a.wasm#b", "", InvalidReference},
		"row 1: too long":                         {"https://example.com/" + strings.Repeat("a", maxURL), "", InvalidReference},
		"row 2: ftp":                              {"ftp://example.com/a.wasm", "", InvalidReference},
		"row 2: gopher":                           {"gopher://example.com/a.wasm", "", InvalidReference},
		"row 2: javascript":                       {"javascript:alert(1)", "", InvalidReference},
		"row 2: FILE":                             {"FILE:///etc/passwd", "", InvalidReference},
		"row 2: file":                             {"file:///etc/passwd", "", InvalidReference},
		"row 3: decimal address":                  {"http://2852039166/a.wasm", "", InvalidReference},
		"row 3: hexadecimal address":              {"http://0xa9fea9fe/a.wasm", "", InvalidReference},
		"row 3: octal address":                    {"http://0251.0376.0251.0376/a.wasm", "", InvalidReference},
		"row 3: short address":                    {"http://127.1/a.wasm", "", InvalidReference},
		"row 3: address with a dot behind":        {"http://127.1./a.wasm", "", InvalidReference},
		"row 3: decimal address of a registry":    {"oci://2852039166:5000/a", "", InvalidReference},
		"row 3: IPv6 zone":                        {"http://[fe80::1%25eth0]/a.wasm", "", InvalidReference},
		"row 3: port 0":                           {"http://example.com:0/a.wasm", "", InvalidReference},
		"row 3: port above 65535":                 {"oci://example.com:65536/a", "", InvalidReference},
		"row 5: password in https":                {"https://u:" + secret + "@example.com/a.wasm", "", InvalidReference},
		"row 5: user in https":                    {"https://" + secret + "@example.com/a.wasm", "", InvalidReference},
		"row 5: password in oci":                  {"oci://u:" + secret + "@example.com/a", "", InvalidReference},
		"row 5: password in oci without a scheme": {"u:" + secret + "@example.com/a", "", InvalidReference},
		"row 6: sha256 too short":                 {"https://example.com/a.wasm", someHex[1:], InvalidReference},
		"row 6: sha256 in capitals":               {"https://example.com/a.wasm", strings.ToUpper(someHex), InvalidReference},
		"row 6: sha256 with a prefix":             {"https://example.com/a.wasm", "sha256:" + someHex, InvalidReference},
		"row 6: sha256 against the URL's":         {"oci://example.com/a@sha256:" + someHex, strings.Repeat("1", 64), InvalidReference},
		"row 6: digest too short":                 {"oci://example.com/a@sha256:" + someHex[1:], "", InvalidReference},
		"row 6: digest in capitals":               {"oci://example.com/a@sha256:" + strings.ToUpper(someHex), "", InvalidReference},
		"row 6: digest of another kind":           {"oci://example.com/a@sha512:" + someHex + someHex, "", InvalidReference},
		"the store":                               {"store://auth:1", "", Unsupported},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			ref, err := Parse(tc.url, tc.sha256)
			if err == nil {
				t.Fatalf("accepted as %s", ref)
			}
			wantKind(t, err, tc.want)
		})
	}
}

func TestRow8PinnedTellsWhetherADigestIsThere(t *testing.T) {
	tagged := parse(t, "oci://registry.example.com/auth:1")
	if tagged.Pinned() {
		t.Error("a tag counts as pinned")
	}
	pinned := tagged.At("sha256:" + someHex)
	if want := "oci://registry.example.com/auth@sha256:" + someHex; !pinned.Pinned() || pinned.String() != want || tagged.Pinned() {
		t.Errorf("At: %s, pinned %t, want %s", pinned, pinned.Pinned(), want)
	}
	file := parse(t, "https://files.example.com/auth.wasm")
	if file.At("sha256:"+someHex).String() != file.String() {
		t.Error("a file of a web server has no tag to resolve")
	}
}
