// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
)

// countedServer says who asks for what, over TLS.
func countedServer(t *testing.T) *CountingProxy {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s", r.Header.Get("Authorization"), r.Method, r.URL, body)
	}))
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	proxy, err := StartCountingProxy(&rest.Config{
		Host: server.URL, BearerToken: "proxy", TLSClientConfig: rest.TLSClientConfig{CAData: ca},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := proxy.Close(); err != nil {
			t.Error(err)
		}
	})
	return proxy
}

func send(t *testing.T, proxy *CountingProxy, method, path, body string) Answer {
	t.Helper()
	answer, err := Probe{
		URL: proxy.URL + path, Method: method, Body: body,
		Header: map[string]string{"Accept": "text/plain"},
	}.Do(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestCountingProxyForwardsAndCounts(t *testing.T) {
	proxy := countedServer(t)
	if got, want := send(t, proxy, http.MethodPatch, "/a%2Fb?x=1", "content").Body, "Bearer proxy PATCH /a%2Fb?x=1 content"; got != want {
		t.Errorf("forwarded %q, want %q", got, want)
	}
	send(t, proxy, http.MethodGet, "/c", "")
	want := []Request{
		{Method: "PATCH", Path: "/a/b", Query: "x=1", Accept: "text/plain"},
		{Method: "GET", Path: "/c", Accept: "text/plain"},
	}
	if got := proxy.Requests(); !slices.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
	proxy.Reset()
	if got := proxy.Requests(); len(got) != 0 {
		t.Errorf("%v is left after a reset", got)
	}
}

func TestCountingProxyIntercepts(t *testing.T) {
	proxy := countedServer(t)
	proxy.Intercept(FailWith(http.StatusServiceUnavailable, func(r *http.Request) bool { return r.Method == http.MethodPatch }))
	answer := send(t, proxy, http.MethodPatch, "/a", "")
	if answer.Status != http.StatusServiceUnavailable || !strings.Contains(answer.Body, `"code":503`) {
		t.Errorf("the intercepted request got %v", answer)
	}
	if answer := send(t, proxy, http.MethodGet, "/a", ""); answer.Status != http.StatusOK {
		t.Errorf("another request got %v", answer)
	}
	proxy.Intercept(nil)
	if answer := send(t, proxy, http.MethodPatch, "/a", ""); answer.Status != http.StatusOK {
		t.Errorf("after the fault was taken away: %v", answer)
	}
	if got := len(proxy.Requests()); got != 3 {
		t.Errorf("%d requests counted, want 3: those that fail count too", got)
	}
}

// TestCountingProxyStreams: an event of a watch arrives while the watch goes on.
func TestCountingProxyStreams(t *testing.T) {
	released := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "event")
		_ = http.NewResponseController(w).Flush()
		<-released
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(released) })
	proxy, err := StartCountingProxy(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, proxy.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	event := make([]byte, len("event"))
	if _, err := io.ReadFull(response.Body, event); err != nil || string(event) != "event" {
		t.Errorf("read %q, %v while the stream is open", event, err)
	}
	if err := proxy.Close(); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadAll(response.Body); err == nil {
		t.Error("the stream ended as if it were complete, although the proxy was closed")
	}
}

func TestCountingProxyCountsBytesAndCuts(t *testing.T) {
	proxy := countedServer(t)
	send(t, proxy, http.MethodGet, "/a", "")
	received, sent := proxy.Bytes()
	send(t, proxy, http.MethodPost, "/a", strings.Repeat("x", 1000))
	if moreReceived, moreSent := proxy.Bytes(); moreReceived-received < 1000 || moreSent-sent < 1000 {
		t.Errorf("1,000 bytes and their echo count as %d and %d", moreReceived-received, moreSent-sent)
	}
	arrived := make(chan struct{})
	proxy.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		close(arrived)
		<-r.Context().Done()
		return true
	})
	go func() { <-arrived; proxy.Cut() }()
	if answer, err := (Probe{URL: proxy.URL + "/b"}).Do(t.Context()); err == nil {
		t.Errorf("a request whose connection was cut got %v", answer)
	}
}
