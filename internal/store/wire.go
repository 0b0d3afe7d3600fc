// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	dialTimeout    = 5 * time.Second
	continueWait   = 5 * time.Second
	idleTimeout    = 30 * time.Second
	idlePerStore   = 8
	headersAtMost  = 64 << 10
	tokenAtMost    = 16 << 10
	userAgent      = "wasmplugin-operator"
	bearer         = "Bearer "
	clientComplain = "the store's client: "
)

// wire is the connections of a client. They are made anew when the CA file changes.
type wire struct {
	options ClientOptions

	mutex     sync.Mutex
	authority []byte
	transport *http.Transport
}

// current is the transport for what the CA file holds now.
func (w *wire) current() (*http.Transport, error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	var authority []byte
	if w.options.CAFile != "" {
		var err error
		if authority, err = os.ReadFile(w.options.CAFile); err != nil {
			return nil, newError(Unreachable, clientComplain+"the CA file can't be read: %s", err)
		}
	}
	if w.transport != nil && bytes.Equal(authority, w.authority) {
		return w.transport, nil
	}
	var roots *x509.CertPool
	if w.options.CAFile != "" {
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(authority) {
			return nil, newError(Unreachable, clientComplain+"the CA file %s holds no certificate in PEM form", w.options.CAFile)
		}
	}
	if w.transport != nil {
		w.transport.CloseIdleConnections()
	}
	w.authority, w.transport = authority, w.newTransport(roots)
	return w.transport, nil
}

func (w *wire) newTransport(roots *x509.CertPool) *http.Transport {
	dial := w.options.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	return &http.Transport{
		DialContext:         dial,
		TLSHandshakeTimeout: dialTimeout,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: w.options.ServerName},
		DisableCompression:  true,
		// A request that is denied is answered before its module travels.
		ExpectContinueTimeout:  continueWait,
		MaxResponseHeaderBytes: headersAtMost,
		MaxIdleConnsPerHost:    idlePerStore,
		IdleConnTimeout:        idleTimeout,
	}
}

func (w *wire) closeIdle() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.transport != nil {
		w.transport.CloseIdleConnections()
	}
}

func (w *wire) token() (string, error) {
	token := w.options.Token
	if w.options.TokenFile != "" {
		content, err := os.ReadFile(w.options.TokenFile)
		if err != nil {
			return "", newError(Unreachable, clientComplain+"the token file can't be read: %s", err)
		}
		token = string(content)
	}
	token = strings.TrimSpace(token)
	if token == "" || len(token) > tokenAtMost || strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "", newError(Unreachable, clientComplain+"what the token file holds is no token")
	}
	return token, nil
}

// send sends a request, and returns its answer if that is a good one.
func (c *Client) send(ctx context.Context, about request, query url.Values, body io.Reader, header http.Header) (*answer, error) {
	transport, err := c.wire.current()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	sent, err := c.newRequest(ctx, about, query, body, header)
	if err != nil {
		cancel()
		return nil, err
	}
	// The transport itself follows no redirect, so the token goes nowhere else.
	response, err := transport.RoundTrip(sent) //nolint:bodyclose // Whoever reads the answer closes it.
	if err != nil {
		if ended := ctx.Err(); ended != nil {
			err = ended
		}
		cancel()
		known := about.ofNetwork(err)
		if known.cause == nil && c.wire.options.Dial != nil {
			known.cause = err // it is the caller's own, who knows what may be repeated
		}
		return nil, known
	}
	got := &answer{response: response, about: about, cancel: cancel}
	if code := response.StatusCode; code/100 != 2 && code != http.StatusNotModified {
		return nil, got.problem()
	}
	return got, nil
}

func (c *Client) newRequest(ctx context.Context, about request, query url.Values, body io.Reader, header http.Header) (*http.Request, error) {
	token, err := c.wire.token()
	if err != nil {
		return nil, err
	}
	target := *c.base
	target.Path, target.RawQuery = about.path, query.Encode()
	sent, err := http.NewRequestWithContext(ctx, about.method, target.String(), body)
	if err != nil {
		return nil, newError(Invalid, "%s: the request can't be written; check the store's upload URL", about.subject)
	}
	maps.Copy(sent.Header, header)
	sent.Header.Set("Authorization", bearer+token)
	sent.Header.Set("User-Agent", userAgent)
	if body != nil {
		sent.Header.Set("Expect", "100-continue")
	}
	return sent, nil
}

// answer is a response, whose reading ends the request.
type answer struct {
	response *http.Response
	about    request
	cancel   context.CancelFunc
}

// Read reads the body.
func (a *answer) Read(buffer []byte) (int, error) {
	return a.response.Body.Read(buffer)
}

// Close ends the request.
func (a *answer) Close() error {
	defer a.cancel()
	return a.response.Body.Close()
}

// done lets the connection be used again.
func (a *answer) done() {
	_, _ = io.CopyN(io.Discard, a.response.Body, maxRest)
	_ = a.Close()
}

func (a *answer) decode(into any) error {
	defer a.done()
	if json.NewDecoder(io.LimitReader(a.response.Body, maxAnswer)).Decode(into) != nil {
		return newError(Unreachable, "%s: the store's answer broke off, or is not one", a.about.subject)
	}
	return nil
}

// problem is the error of an answer. Who pushes gets the store's own words, which say what no status does: the names
// that a module misses, or the quota. Nothing else repeats them.
func (a *answer) problem() error {
	defer a.done()
	known := a.about.ofStatus(a.response.StatusCode)
	if a.about.method != http.MethodPut || !strings.HasPrefix(a.about.path, "/namespaces/") || known.Kind == Unreachable {
		return known
	}
	var said Problem
	if json.NewDecoder(io.LimitReader(a.response.Body, maxProblem)).Decode(&said) == nil {
		if message := printable(said.Message); message != "" {
			known.sentence = a.about.subject + ": " + message
		}
	}
	return known
}
