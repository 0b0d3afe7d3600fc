// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestLoopbackOnly(t *testing.T) {
	for _, address := range []string{
		"http://10.0.0.1:8080", "http://istiod.istio-system.svc:15014", "http://127.0.0.1.example.com:8080", "http://0.0.0.0:8080",
		"https://127.0.0.1:8080", "127.0.0.1:8080", "http://", "", "http://127.0.0.1:8080/debug", "http://127.0.0.1:8080?x=y",
		"http://127.0.0.1:8080#x", "http://user:secret@127.0.0.1:8080", "http://[::1", "file:///etc/passwd",
	} {
		asker, err := DialLoopback(address)
		if err == nil {
			t.Errorf("%s was accepted: %v", address, asker)
			continue
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: a password in %q", address, err)
		}
	}
	for _, address := range []string{"http://127.0.0.1:8080", "http://localhost:8080/", "http://[::1]:8080", "http://127.0.0.2"} {
		asker, err := DialLoopback(address)
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		if err := asker.Close(); err != nil {
			t.Error(err)
		}
	}
}

func overLoopback(t *testing.T, answer http.HandlerFunc) *loopback {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	asker, err := DialLoopback(server.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = asker.Close() })
	return asker.(*loopback)
}

func TestLoopbackAnswers(t *testing.T) {
	asker := overLoopback(t, func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.Method + " " + r.URL.String())) })
	for _, resource := range []string{"syncz", "config_dump?types=ecds&proxyID=a.shop"} {
		if answer, err := asker.Ask(t.Context(), resource); string(answer) != "GET /debug/"+resource || err != nil {
			t.Errorf("got %s, %v", answer, err)
		}
	}
}

func TestLoopbackStatus(t *testing.T) {
	followed := false
	for _, c := range []struct{ code, want int }{{404, 404}, {500, 500}, {302, 302}, {401, 0}, {403, 0}} {
		asker := overLoopback(t, func(w http.ResponseWriter, r *http.Request) {
			followed = followed || r.URL.Path == "/elsewhere"
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(c.code)
			_, _ = w.Write([]byte("Proxy not connected\n" + strings.Repeat("x", 1000)))
		})
		_, err := asker.Ask(t.Context(), "adsz")
		if c.want == 0 {
			wantReason(t, err, Denied)
			continue
		}
		said := (*StatusError)(nil)
		if !errors.As(err, &said) || said.Code != c.want || !strings.HasPrefix(said.Text, "Proxy not connected x") || len(said.Text) > maxText+4 {
			t.Errorf("%d: got %v", c.code, err)
		}
	}
	if followed {
		t.Error("a redirect was followed")
	}
}

func TestLoopbackFails(t *testing.T) {
	large := overLoopback(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1001)) })
	large.maxBytes = 1000
	_, err := large.Ask(t.Context(), "adsz")
	wantReason(t, err, TooLarge)

	broken := overLoopback(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("[]"))
	})
	_, err = broken.Ask(t.Context(), "adsz")
	wantReason(t, err, Unreachable)

	for _, begin := range []bool{false, true} {
		slow := overLoopback(t, func(w http.ResponseWriter, r *http.Request) {
			if begin {
				_, _ = w.Write([]byte("["))
				_ = http.NewResponseController(w).Flush()
			}
			<-r.Context().Done()
		})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err = slow.Ask(ctx, "adsz")
		cancel()
		wantReason(t, err, TimedOut)
	}

	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	asker, err := DialLoopback(gone.URL)
	if err != nil {
		t.Fatal(err)
	}
	_, err = asker.Ask(t.Context(), "adsz")
	wantReason(t, err, Unreachable)
}

func wantReason(t *testing.T, err error, want Reason) {
	t.Helper()
	known := (*Error)(nil)
	if !errors.As(err, &known) || known.Reason != want || known.Text == "" || known.Istiod == "" {
		t.Errorf("got %v, want %s", err, want)
	}
}
