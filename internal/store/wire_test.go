// SPDX-License-Identifier: Apache-2.0

package store

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// Projected tokens are renewed in their file.
func TestTokenIsReadEachTime(t *testing.T) {
	var seen []string
	c, options := serve(t, func(_ http.ResponseWriter, request *http.Request) {
		seen = append(seen, request.Header.Get("Authorization"))
	})
	for _, token := range []string{"one", "two"} {
		write(t, options.TokenFile, []byte(token))
		if err := c.Untag(t.Context(), "shop", "auth", "1"); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Join(seen, " ") != "Bearer one Bearer two" {
		t.Errorf("sent %q", seen)
	}
	for name, content := range map[string]string{"empty": "\n", "two lines": secret + "\nX-Header: a", "too long": strings.Repeat("a", tokenAtMost+1)} {
		write(t, options.TokenFile, []byte(content))
		if err := c.Untag(t.Context(), "shop", "auth", "1"); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(seen) != 2 {
		t.Error("a request was sent without a token")
	}
}

func TestAuthorityIsReadAgain(t *testing.T) {
	c, options := serve(t, func(http.ResponseWriter, *http.Request) {})
	right, err := os.ReadFile(options.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	other := httptest.NewTLSServer(nil)
	other.Close()
	write(t, options.CAFile, []byte("nothing"))
	if err := c.Untag(t.Context(), "shop", "auth", "1"); err == nil || !strings.Contains(err.Error(), "CA file") {
		t.Errorf("%v", err)
	}
	write(t, options.CAFile, right)
	if err := c.Untag(t.Context(), "shop", "auth", "1"); err != nil {
		t.Error(err)
	}
}

func TestCertificates(t *testing.T) {
	_, options := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a request arrived") })
	options.ServerName = "store.elsewhere"
	if err := client(t, options).Untag(t.Context(), "shop", "auth", "1"); KindOf(err) != Unreachable || !strings.Contains(err.Error(), "other names") {
		t.Errorf("%v", err)
	}
	options.ServerName, options.CAFile = "", ""
	if err := client(t, options).Untag(t.Context(), "shop", "auth", "1"); KindOf(err) != Unreachable || !strings.Contains(err.Error(), "authority") {
		t.Errorf("%v", err)
	}
}
