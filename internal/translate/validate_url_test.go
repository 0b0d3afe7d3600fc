// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"strings"
	"testing"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

func urlError(url string) error {
	return checkURL(Input{Plugin: &wasmv1alpha1.WasmPlugin{Spec: wasmv1alpha1.WasmPluginSpec{URL: url}}})
}

// The CRD has the same rules; these stand for objects that were stored under another CRD.
func TestURLsThatAreRefused(t *testing.T) {
	tests := map[string][]string{
		"must not contain a user name or password": {
			"https://user:password@example.com/a.wasm", "https://user:password@example.com", "http://password@example.com?a=b",
			"oci://user:password@example.com/a", "user:password@example.com/a", "oci://user:password@example.com",
			"user:password@example.com:5000", "store://user:password@a",
		},
		"has a digest that isn't one": {
			"oci://example.com/a@sha256:password", "basic-auth@sha256:password", "https:/user:password@example.com/a",
			"oci://example.com/a@md5:password", "example.com/a@b@sha256:" + strings.Repeat("a", 64),
		},
		"has a character that no image's name has": {
			"javascript:password(1)", "oci://example.com/a?password=b", `oci://example.com\password`, "example.com/a;password",
		},
		"has an unknown scheme":                               {"ftp://password.example.com/a", "gopher://password", "FILE:///password", "://password"},
		"has a port that is":                                  {"file:/etc/password", "https://example.com:70000/password"},
		"has a host with a character that no host's name has": {"http://password%80/a", "https://%ffpassword.example.com/a"},
		"has a host that is a number, or an address in an unusual form": {
			"http://2852039166/password", "http://0xA9FEA9FE/password", "http://0251.0376.0251.0376/password", "http://169.254.43518/password",
			"http://169.254.169.254./password", "http://0xa9.0xfe.0xa9.0xfe/password", "http://1.2.3.4.5/password", "http://256.1.1.1/password",
			"oci://2852039166:80/password", "2852039166:80/password:1.0", "http://0x/password", "http://metadata.08/password",
		},
		"names a link-local address, that of a cloud's metadata service": {
			"http://169.254.169.254/password", "https://169.254.169.254:443/password", "http://169.254.169.254?password", "http://169.254.0.23",
			"oci://169.254.169.254/password", "169.254.169.254:80/password", "http://100.100.100.200/password", "http://168.63.129.16/password",
			"http://192.0.0.192/password", "http://[fd00:ec2::254]/password", "http://[FD00:0EC2:0:0::254]:80/password",
			"http://[fd20:ce::254]/password", "http://[fe80::1%25eth0]/password", "http://[febf::1]/password", "oci://[fe80::1]:5000/password",
			"http://[::ffff:169.254.169.254]/password", "http://[::ffff:a9fe:a9fe]/password", "http://[0:0:0:0:0:ffff:a9fe:a9fe]/password",
			"http://[::169.254.169.254]/password", "http://[64:ff9b::a9fe:a9fe]/password", "http://[0064:ff9b::169.254.169.254]/password",
			"http://[::]/password",
		},
	}
	for problem, urls := range tests {
		for _, url := range urls {
			t.Run(url, func(t *testing.T) {
				err := urlError(url)
				if err == nil || !strings.HasPrefix(err.Error(), "spec.url: "+problem) {
					t.Errorf("got %v, want that it %s", err, problem)
				}
				if err != nil && strings.Contains(err.Error(), "password") && !strings.Contains(err.Error(), "user name or password") {
					t.Errorf("the URL is repeated: %v", err)
				}
			})
		}
	}
}

func TestURLsThatAreGood(t *testing.T) {
	for _, url := range []string{
		"http://127.0.0.1:8080/a.wasm", "http://[::1]:8080/a.wasm", "oci://127.0.0.1:5000/a:1.0", "localhost:5000/a:1.0", "http://localhost/a",
		"http://192.0.2.1/a", "https://[2001:db8::1]:8443/a", "oci://[2001:db8::1]:5000/a", "http://10.0.0.1/a", "http://192.168.1.1:80?a",
		"http://100.100.100.20/a", "http://192.0.0.19/a", "http://169.253.1.1/a", "https://169.254.169.254.example.com/a",
		"https://1password.example.com/a", "https://0x.example.com/a", "https://example.com/@scope/a?x=@y", "https://example.com?x=@y",
		"basic-auth:1.4", "basic-auth@sha256:" + strings.Repeat("a", 64), "basic-auth:1.4@sha256:" + strings.Repeat("a", 64),
		"docker.io/1234/a:1.0", "oci://example.com./a:1.0", "store://2024:1", "store://basic-auth",
	} {
		t.Run(url, func(t *testing.T) {
			if err := urlError(url); err != nil {
				t.Error(err)
			}
		})
	}
}
