// SPDX-License-Identifier: Apache-2.0

package module

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const (
	user  = "robot"
	token = "token-" + secret
)

func pullSecret(registry string) []byte {
	return fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, registry, base64.StdEncoding.EncodeToString([]byte(user+":"+secret)))
}

// basic wants a user name and a password.
func basic(w http.ResponseWriter, r *http.Request) (answered bool) {
	if name, password, ok := r.BasicAuth(); ok && name == user && password == secret {
		return false
	}
	w.Header().Set("Www-Authenticate", `Basic realm="registry"`)
	http.Error(w, secret, http.StatusUnauthorized)
	return true
}

// bearer wants a token from a realm.
func bearer(realm string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") == "Bearer "+token {
			return false
		}
		w.Header().Set("Www-Authenticate", fmt.Sprintf(`Bearer realm=%q,service="registry"`, realm))
		http.Error(w, secret, http.StatusUnauthorized)
		return true
	}
}

// tokens is a token server.
func tokens(t *testing.T) *httptest.Server {
	t.Helper()
	return server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !basic(w, r) {
			_, _ = fmt.Fprintf(w, `{"token":%q}`, token)
		}
	}))
}

func TestLogin(t *testing.T) {
	registry := newImages(t)
	registry.push(t, ociImage(file(moduleFile, plugin{}.bytes())))
	issuer := tokens(t)
	options := trusting(registry.Server, issuer)
	// A token server beside the registry has a name; as an address it would have to be the registry's own.
	options.Resolver = names(t, []string{"127.0.0.1"})
	_, port, _ := strings.Cut(host(issuer), ":")
	realm := "https://example.com:" + port + "/token"
	elsewhere, wrong := pullSecret("elsewhere.example.com"), []byte(strings.Replace(string(pullSecret(host(registry.Server))), "auth\":\"", "auth\":\"Zm9vOmJhcg==\",\"x\":\"", 1))
	tests := map[string]struct {
		before func(http.ResponseWriter, *http.Request) bool
		secret []byte
		want   Kind
		hint   string
	}{
		"no login":                              {nil, nil, "", ""},
		"no login, with a secret":               {nil, pullSecret(host(registry.Server)), "", ""},
		"basic":                                 {basic, pullSecret(host(registry.Server)), "", ""},
		"basic, no secret":                      {basic, nil, Denied, "set spec.imagePullSecret"},
		"basic, secret for others":              {basic, elsewhere, Denied, "no entry for this registry"},
		"basic, wrong password":                 {basic, wrong, Denied, "check the credentials"},
		"bearer":                                {bearer(realm), pullSecret(host(registry.Server)), "", ""},
		"bearer, no secret":                     {bearer(realm), nil, Denied, "set spec.imagePullSecret"},
		"bearer, wrong password":                {bearer(realm), wrong, Denied, "check the credentials"},
		"bearer, own address is the realm":      {bearer(registry.URL + "/token"), nil, Denied, ""},
		"bearer, realm at a private address":    {bearer("https://10.1.2.3/token"), pullSecret(host(registry.Server)), Blocked, "token server"},
		"bearer, realm is a metadata service":   {bearer("https://169.254.169.254/token"), pullSecret(host(registry.Server)), Blocked, "token server"},
		"bearer, realm is loopback":             {bearer("https://127.0.0.1:1/token"), pullSecret(host(registry.Server)), Blocked, "token server"},
		"bearer, realm without TLS":             {bearer("http://example.com/token"), pullSecret(host(registry.Server)), Denied, ""},
		"bearer, realm is a file":               {bearer("file:///etc/passwd"), pullSecret(host(registry.Server)), Denied, ""},
		"bearer, no realm":                      {challenge("Bearer"), pullSecret(host(registry.Server)), Denied, ""},
		"a login that nobody knows":             {challenge("Negotiate " + secret), pullSecret(host(registry.Server)), Denied, ""},
		"secret is not JSON":                    {basic, []byte("user: " + secret), InvalidPullSecret, "docker-registry"},
		"secret is null":                        {basic, []byte("null"), InvalidPullSecret, "docker-registry"},
		"secret is of the old kind":             {basic, []byte(`{"` + host(registry.Server) + `":{"auth":"` + secret + `"}}`), InvalidPullSecret, "docker-registry"},
		"secret is empty":                       {basic, []byte{}, InvalidPullSecret, "docker-registry"},
		"secret's entry is not base64":          {basic, []byte(`{"auths":{"` + host(registry.Server) + `":{"auth":"` + secret + `"}}}`), InvalidPullSecret, "base64"},
		"another entry of the secret is broken": {basic, []byte(strings.Replace(string(pullSecret(host(registry.Server))), `{"auths":{`, `{"auths":{"other":{"auth":"!"},`, 1)), "", ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			registry.before = tc.before
			fetcher := newFetcher(t, options)
			_, err := fetcher.Fetch(t.Context(), parse(t, registry.url(":1")), tc.secret)
			wantKind(t, err, tc.want)
			if tc.want == "" && err != nil {
				t.Error(err)
			}
			if err != nil && !strings.Contains(err.Error(), tc.hint) {
				t.Errorf("%q, want %q", err, tc.hint)
			}
			_, resolveErr := fetcher.Resolve(t.Context(), parse(t, registry.url(":1")), tc.secret)
			wantKind(t, resolveErr, tc.want)
		})
	}
}

func challenge(header string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Www-Authenticate", header)
		http.Error(w, secret, http.StatusUnauthorized)
		return true
	}
}

func TestTokenServers(t *testing.T) {
	registry := newImages(t)
	tests := map[string]struct {
		handler http.Handler
		want    Kind
		after   time.Duration
	}{
		"HTML":                   {status(http.StatusOK), Denied, 0},
		"no token":               {serving([]byte(`{"error":"` + secret + `"}`)), Denied, 0},
		"403 with a reason":      {status(http.StatusForbidden), Denied, 0},
		"500":                    {status(http.StatusInternalServerError), Unreachable, 0},
		"429 with Retry-After":   {status(http.StatusTooManyRequests, "Retry-After", "30"), Unreachable, 30 * time.Second},
		"a token without an end": {serving([]byte(`{"token":"` + strings.Repeat(secret, 10_000) + `"}`)), Denied, 0},
		"redirect to metadata":   {redirectTo(func(*http.Request) string { return "https://169.254.169.254/" }), Denied, 0},
		"redirect by name":       {redirectTo(func(*http.Request) string { return "https://metadata.example.com/" }), Blocked, 0},
		"redirect without TLS":   {redirectTo(func(*http.Request) string { return "http://127.0.0.1/?" + secret }), Denied, 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			issuer := server(t, tc.handler)
			_, port, _ := strings.Cut(host(issuer), ":")
			options := trusting(registry.Server, issuer)
			options.Resolver = names(t, []string{"127.0.0.1"}, []string{"169.254.169.254"})
			registry.before = bearer("https://example.com:" + port + "/token")
			_, err := newFetcher(t, options).Fetch(t.Context(), parse(t, registry.url(":1")), pullSecret(host(registry.Server)))
			wantKind(t, err, tc.want)
			if known, ok := errors.AsType[*Error](err); !ok || known.RetryAfter != tc.after {
				t.Errorf("%+v, want to be retried after %s", known, tc.after)
			}
		})
	}
	t.Run("by a name at a blocked address", func(t *testing.T) {
		port, connections := forbiddenServer(t)
		options := trusting(registry.Server)
		options.Blocked = []netip.Prefix{netip.MustParsePrefix(forbidden + "/32")}
		options.Resolver = names(t, []string{forbidden})
		registry.before = bearer("https://token.example.com:" + port + "/")
		_, err := newFetcher(t, options).Fetch(t.Context(), parse(t, registry.url(":1")), pullSecret(host(registry.Server)))
		wantKind(t, err, Blocked)
		if n := connections.Load(); n != 0 {
			t.Errorf("%d connections to the blocked address", n)
		}
	})
}

func TestCredentialsStayWithTheirRegistry(t *testing.T) {
	var content []byte
	var visits atomic.Int32
	storage := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		visits.Add(1)
		for header, values := range r.Header {
			if strings.Contains(strings.Join(values, " "), secret) || header == "Authorization" {
				t.Errorf("the storage behind the registry gets %s: %v", header, values)
			}
		}
		_, _ = w.Write(content)
	}))
	content = zipped(tarred(file(moduleFile, plugin{}.bytes())))
	for name, login := range map[string]func(realm string) func(http.ResponseWriter, *http.Request) bool{
		"basic":  func(string) func(http.ResponseWriter, *http.Request) bool { return basic },
		"bearer": bearer,
	} {
		t.Run(name, func(t *testing.T) {
			registry, issuer := newImages(t), tokens(t)
			registry.push(t, ociImage(file(moduleFile, plugin{}.bytes())))
			_, port, _ := strings.Cut(host(issuer), ":")
			wall := login("https://example.com:" + port + "/token")
			registry.before = func(w http.ResponseWriter, r *http.Request) bool {
				if wall(w, r) {
					return true
				}
				if !strings.Contains(r.URL.Path, "/blobs/") {
					return false
				}
				http.Redirect(w, r, storage.URL+"/blob", http.StatusTemporaryRedirect)
				return true
			}
			options := trusting(registry.Server, issuer, storage)
			options.Resolver = names(t, []string{"127.0.0.1"})
			visits.Store(0)
			if _, err := newFetcher(t, options).Fetch(t.Context(), parse(t, registry.url(":1")), pullSecret(host(registry.Server))); err != nil {
				t.Fatal(err)
			}
			if visits.Load() != 1 {
				t.Errorf("%d visits to the storage", visits.Load())
			}
		})
	}
}
