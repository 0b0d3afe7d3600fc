// SPDX-License-Identifier: Apache-2.0

package module

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestNetworkFaults(t *testing.T) {
	strangers := server(t, serving(plugin{}.bytes()))
	plain := httptest.NewServer(serving(plugin{}.bytes()))
	t.Cleanup(plain.Close)
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	breaking := server(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		connection, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = connection.Close()
		}
	}))
	unknown := names(t, nil)
	tests := map[string]struct {
		url  string
		want string
	}{
		"authority unknown":     {strangers.URL, "certificate is not trusted"},
		"https to plain HTTP":   {"https://" + host(plain), "plain HTTP"},
		"oci to plain HTTP":     {"oci://" + host(plain) + "/a", "plain HTTP"},
		"refused":               {closed.URL, "refuses connections"},
		"name unknown":          {"https://nowhere.example.test/", "name can't be resolved"},
		"connection broken off": {breaking.URL, "broke off"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			options := trusting(breaking)
			options.RootCAs.AddCert(breaking.Certificate())
			if name == "authority unknown" {
				options = Options{AllowLoopback: true}
			}
			options.Resolver = unknown
			_, err := newFetcher(t, options).Fetch(t.Context(), parse(t, tc.url), nil)
			wantKind(t, err, Unreachable)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

func TestStatuses(t *testing.T) {
	soon := time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat)
	tests := map[string]struct {
		handler   http.Handler
		want      Kind
		temporary bool
		least     time.Duration
		most      time.Duration
	}{
		"204":                        {status(http.StatusNoContent), BadArtifact, false, 0, 0},
		"300 without a location":     {status(http.StatusMultipleChoices), BadArtifact, false, 0, 0},
		"401":                        {status(http.StatusUnauthorized), Denied, false, 0, 0},
		"403":                        {status(http.StatusForbidden), Denied, false, 0, 0},
		"404":                        {status(http.StatusNotFound), NotFound, false, 0, 0},
		"410":                        {status(http.StatusGone), NotFound, false, 0, 0},
		"418":                        {status(http.StatusTeapot), BadArtifact, false, 0, 0},
		"429":                        {status(http.StatusTooManyRequests), Unreachable, true, 0, 0},
		"429, Retry-After":           {status(http.StatusTooManyRequests, "Retry-After", "7"), Unreachable, true, 7 * time.Second, 7 * time.Second},
		"503, Retry-After as a date": {status(http.StatusServiceUnavailable, "Retry-After", soon), Unreachable, true, 30 * time.Second, 90 * time.Second},
		"503, Retry-After of a year": {status(http.StatusServiceUnavailable, "Retry-After", "31536000"), Unreachable, true, time.Hour, time.Hour},
		"503, Retry-After nonsense":  {status(http.StatusServiceUnavailable, "Retry-After", "-"+secret), Unreachable, true, 0, 0},
		"500":                        {status(http.StatusInternalServerError), Unreachable, true, 0, 0},
		"row 12: a web page":         {status(http.StatusOK), NotWasm, false, 0, 0},
	}
	for name, tc := range tests {
		for _, kind := range []string{"web", "registry"} {
			t.Run(kind+" answers "+name, func(t *testing.T) {
				served := server(t, tc.handler)
				ref, want := parse(t, served.URL+"/a.wasm?"+secret), tc.want
				if kind == "registry" {
					ref = parse(t, "oci://"+host(served)+"/a:1")
					if tc.want == NotWasm {
						want = BadArtifact // it should have been a manifest
					}
				}
				_, err := newFetcher(t, trusting(served)).Fetch(t.Context(), ref, nil)
				wantKind(t, err, want)
				known, ok := errors.AsType[*Error](err)
				if !ok || known.Temporary() != tc.temporary || known.RetryAfter < tc.least || known.RetryAfter > tc.most {
					t.Fatalf("%+v, want temporary %t, to be retried in %s to %s", known, tc.temporary, tc.least, tc.most)
				}
				if !strings.HasPrefix(err.Error(), ref.String()+": ") {
					t.Errorf("%q does not begin with what it is about", err)
				}
			})
		}
	}
}

func TestInsecureServers(t *testing.T) {
	strangers := server(t, serving(plugin{}.bytes()))
	for _, listed := range []string{host(strangers), "127.0.0.1"} {
		options := Options{AllowLoopback: true, Insecure: []string{listed}}
		if _, err := newFetcher(t, options).Fetch(t.Context(), parse(t, strangers.URL), nil); err != nil {
			t.Errorf("%s listed: %v", listed, err)
		}
	}
	options := Options{AllowLoopback: true, Insecure: []string{"127.0.0.1:1", "registry.example.com"}}
	_, err := newFetcher(t, options).Fetch(t.Context(), parse(t, strangers.URL), nil)
	wantKind(t, err, Unreachable)
}

func TestCertPool(t *testing.T) {
	if _, err := CertPool([]byte("no certificate")); err == nil {
		t.Error("took a file without a certificate")
	}
	served := server(t, serving(plugin{}.bytes()))
	pool, err := CertPool(pemOf(served))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newFetcher(t, Options{AllowLoopback: true, RootCAs: pool}).Fetch(t.Context(), parse(t, served.URL), nil); err != nil {
		t.Error(err)
	}
}

func TestAnUnknownErrorIsNotRepeated(t *testing.T) {
	err := about(parse(t, "https://example.com/a"), io.ErrClosedPipe)
	if KindOf(err) != Unreachable || strings.Contains(err.Error(), io.ErrClosedPipe.Error()) {
		t.Errorf("got %v", err)
	}
}
