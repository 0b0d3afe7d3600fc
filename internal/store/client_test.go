// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// secret is what no error may hold: it is in tokens, capabilities and bodies.
const secret = "hunter2-is-nobodys-business-at-all-at-all-x"

// serve starts a server that answers for the store, and makes a client of it.
func serve(t *testing.T, handler http.HandlerFunc) (*Client, ClientOptions) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	folder := t.TempDir()
	options := ClientOptions{URL: server.URL, CAFile: filepath.Join(folder, "ca.crt"), TokenFile: filepath.Join(folder, "token")}
	write(t, options.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	write(t, options.TokenFile, []byte(secret+"\n"))
	return client(t, options), options
}

func client(t *testing.T, options ClientOptions) *Client {
	t.Helper()
	made, err := NewClient(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(made.CloseIdleConnections)
	return made
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// calls are all that a client can do.
var calls = map[string]func(context.Context, *Client) error{
	"Put":   func(ctx context.Context, c *Client) error { return c.Put(ctx, digest, secret, []byte("a")) },
	"Get":   func(ctx context.Context, c *Client) error { return second(readAll(c.Get(ctx, digest, secret))) },
	"Refer": func(ctx context.Context, c *Client) error { return second(c.References(ctx, nil)) },
	"Set":   func(ctx context.Context, c *Client) error { _, _, err := c.Set(ctx, "1"); return err },
	"Tag":   func(ctx context.Context, c *Client) error { _, _, err := c.Tag(ctx, "shop", "auth", "1"); return err },
	"Tagged": func(ctx context.Context, c *Client) error {
		return second(readAll(c.Tagged(ctx, "shop", "auth", digest)))
	},
	"Push": func(ctx context.Context, c *Client) error {
		return second(c.Push(ctx, "shop", "auth", "1", strings.NewReader("a"), ""))
	},
	"Untag": func(ctx context.Context, c *Client) error { return c.Untag(ctx, "shop", "auth", "1") },
}

func second[T any](_ T, err error) error { return err }

func readAll(content io.ReadCloser, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = content.Close() }()
	return io.ReadAll(content)
}

func TestStatuses(t *testing.T) {
	var status int
	c, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "https://example.com/"+secret)
		w.WriteHeader(status)
		_, _ = w.Write([]byte("<html>" + secret))
	})
	for code, want := range map[int]struct {
		kind      Kind
		temporary bool
		says      string
	}{
		301: {Invalid, false, "check its upload URL"},
		400: {Invalid, false, "does not understand"},
		401: {Denied, false, "audience wasm.solarmesh.io"},
		403: {Denied, false, "on modules.wasm.solarmesh.io"},
		404: {NotFound, false, "nothing of that name"},
		409: {Conflict, false, "another module"},
		412: {Conflict, false, "moved from"},
		413: {TooLarge, false, "larger"},
		418: {Invalid, false, "status 418"},
		422: {Refused, false, "refuses the content"},
		429: {Unreachable, true, "status 429"},
		500: {Unreachable, true, "status 500"},
		501: {Unsupported, false, "durable"},
		503: {Unreachable, true, "status 503"},
		507: {Full, true, "no room"},
	} {
		status = code
		for name, call := range calls {
			t.Run(fmt.Sprint(code, " ", name), func(t *testing.T) {
				err := call(t.Context(), c)
				known, ok := errors.AsType[*Error](err)
				if !ok || known.Kind != want.kind || known.Temporary() != want.temporary || !strings.Contains(err.Error(), want.says) {
					t.Errorf("%v", err)
				}
				if KindOf(fmt.Errorf("wrapped: %w", err)) != want.kind {
					t.Errorf("the kind of a wrapped error is %q", KindOf(err))
				}
				if ok && strings.Contains(err.Error(), "hunter2") {
					t.Errorf("the error holds what it must not: %v", err)
				}
			})
		}
	}
}

// Answers that are good by their status only.
func TestAnswersThatAreNone(t *testing.T) {
	var body string
	c, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) })
	for _, body = range []string{"", "<html>" + secret, `{"digest":"` + secret + `"}`, `["` + secret + `"]`} {
		for name, call := range calls {
			err := call(t.Context(), c)
			if err != nil && (KindOf(err) == "" || strings.Contains(err.Error(), "hunter2")) {
				t.Errorf("%s of %q: %v", name, body, err)
			}
			// What no body is needed for succeeds; a digest is checked, and so is a tag's.
			if err == nil && (name == "Get" || name == "Tagged" || name == "Tag") {
				t.Errorf("%s takes %q", name, body)
			}
		}
	}
}

// Who pushes reads the store's own words, as one short line.
func TestWordsForPushers(t *testing.T) {
	c, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnprocessableEntity)
		_ = json.NewEncoder(w).Encode(Problem{Message: "the module imports env.x\r\n\x1b[31mand " + strings.Repeat("ü", 1000)})
	})
	_, err := c.Push(t.Context(), "shop", "auth", "1", strings.NewReader("a"), "")
	if KindOf(err) != Refused || !strings.Contains(err.Error(), "shop/auth:1: the module imports env.x") {
		t.Fatal(err)
	}
	if strings.ContainsAny(err.Error(), "\r\n\x1b") || len(err.Error()) > maxMessage+100 {
		t.Errorf("%d bytes: %q", len(err.Error()), err)
	}
	if err := c.Put(t.Context(), digest, "", nil); err == nil || strings.Contains(err.Error(), "imports") {
		t.Errorf("the manager's error repeats the answer: %v", err)
	}
}

func TestRequests(t *testing.T) {
	content := []byte("module")
	sum := sha256.Sum256(content)
	mine := "sha256:" + hex.EncodeToString(sum[:])
	var got string
	c, _ := serve(t, func(w http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		got = fmt.Sprintf("%s %s %s %s", request.Method, request.URL.RequestURI(), request.Header.Get("If-Match"), body)
		if request.Header.Get("Authorization") != "Bearer "+secret {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		switch {
		case strings.HasSuffix(request.URL.Path, "/tags/1") && request.Method != http.MethodDelete:
			_ = json.NewEncoder(w).Encode(TaggedModule{Digest: mine, Size: 6})
		case request.URL.Path == "/references":
			_ = json.NewEncoder(w).Encode(MissingModules{Missing: []Reference{{Digest: mine}}})
		case request.Method == http.MethodGet:
			_, _ = w.Write(content)
		}
	})
	hexDigits := hex.EncodeToString(sum[:])
	check := func(err error, want string) {
		t.Helper()
		if err != nil || got != want {
			t.Errorf("sent %q, want %q; %v", got, want, err)
		}
	}
	check(c.Put(t.Context(), mine, "", content), "PUT /modules/sha256/"+hexDigits+"  module")
	check(c.Put(t.Context(), mine, secret, content), "PUT /modules/sha256/"+hexDigits+"?capability="+secret+"  module")
	read, err := readAll(c.Get(t.Context(), mine, secret))
	check(err, "GET /modules/sha256/"+hexDigits+"?capability="+secret+"  ")
	if !bytes.Equal(read, content) {
		t.Errorf("read %q", read)
	}
	missing, err := c.References(t.Context(), []Reference{{Digest: mine, Capability: secret}})
	check(err, `PUT /references  {"references":[{"digest":"`+mine+`","capability":"`+secret+`"}]}`)
	if len(missing) != 1 || missing[0].Digest != mine {
		t.Errorf("missing %v", missing)
	}
	found, size, err := c.Tag(t.Context(), "shop", "auth", "1")
	check(err, "GET /namespaces/shop/modules/auth/tags/1  ")
	if found != mine || size != 6 {
		t.Errorf("tag names %s of %d bytes", found, size)
	}
	_, err = readAll(c.Tagged(t.Context(), "shop", "auth", mine))
	check(err, "GET /namespaces/shop/modules/auth/sha256/"+hexDigits+"  ")
	_, err = c.Push(t.Context(), "shop", "auth", "1", bytes.NewReader(content), digest)
	check(err, `PUT /namespaces/shop/modules/auth/tags/1 "`+digest+`" module`)
	check(c.Untag(t.Context(), "shop", "auth", "1"), "DELETE /namespaces/shop/modules/auth/tags/1  ")
}

func TestContentIsVerified(t *testing.T) {
	c, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(secret)) })
	for _, name := range []string{"Get", "Tagged"} {
		if err := calls[name](t.Context(), c); KindOf(err) != Refused || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStoreThatHangs(t *testing.T) {
	released := make(chan struct{})
	_, options := serve(t, func(http.ResponseWriter, *http.Request) { <-released })
	defer close(released)
	options.Timeout = 50 * time.Millisecond
	if err := client(t, options).Untag(t.Context(), "shop", "auth", "1"); KindOf(err) != Unreachable || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if err := client(t, options).Untag(stopped, "shop", "auth", "1"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestStoreThatIsDown(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	address := server.URL
	server.Close()
	err := client(t, ClientOptions{URL: address, Token: secret}).Untag(t.Context(), "shop", "auth", "1")
	if known, ok := errors.AsType[*Error](err); !ok || !known.Temporary() || !strings.Contains(err.Error(), "did not answer") {
		t.Errorf("%v", err)
	}
}

func TestClientsThatCanNotBe(t *testing.T) {
	for _, options := range []ClientOptions{
		{},
		{URL: "http://store:8443", Token: "a"}, // a token never travels unencrypted
		{URL: "https://", Token: "a"},
		{URL: "https://user:" + secret + "@store", Token: "a"},
		{URL: "https://store/path", Token: "a"},
		{URL: "https://store?" + secret, Token: "a"},
		{URL: "https://store"},
		{URL: "https://store", Token: "a", TokenFile: "b"},
	} {
		if _, err := NewClient(options); KindOf(err) != Invalid || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%+v: %v", options, err)
		}
	}
	c := client(t, ClientOptions{URL: "https://127.0.0.1:1", Token: "a"})
	if err := c.Put(t.Context(), "sha256:0", "", nil); KindOf(err) != Invalid {
		t.Errorf("%v", err)
	}
	if _, _, err := c.Tag(t.Context(), "..", "auth", "1"); KindOf(err) != Invalid {
		t.Errorf("%v", err)
	}
}
