// SPDX-License-Identifier: Apache-2.0

package module

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

const (
	userAgent       = "wasmplugin-operator"
	maxRedirects    = 3
	maxHeaders      = 64 * kib
	idleConnections = 16
	idleTimeout     = 30 * time.Second
	answerTimeout   = 15 * time.Second
)

// realm finds the token servers that a registry's challenge names.
var realm = regexp.MustCompile(`(?i)\brealm="([^"]*)"`)

// newTransport is what all requests go through, whatever sends them: web servers, registries, token servers, redirects.
func newTransport(options Options, insecure bool) *http.Transport {
	rules := policy{loopback: options.AllowLoopback, noPrivate: options.BlockPrivate, blocked: options.Blocked}
	built := &http.Transport{
		DialContext: rules.dialer(options.Resolver).DialContext,
		TLSClientConfig: &tls.Config{
			MinVersion: tls.VersionTLS12, RootCAs: options.RootCAs,
			InsecureSkipVerify: insecure, //nolint:gosec // Only for the hosts that the installation lists.
		},
		ForceAttemptHTTP2: true,
		// What a server compressed on its own account would be unpacked here without a bound.
		DisableCompression:     true,
		TLSHandshakeTimeout:    dialTimeout,
		ResponseHeaderTimeout:  answerTimeout,
		MaxResponseHeaderBytes: maxHeaders,
		MaxIdleConns:           idleConnections,
		IdleConnTimeout:        idleTimeout,
	}
	if options.ProxyFromEnvironment {
		built.Proxy = http.ProxyFromEnvironment
	}
	return built
}

// guard watches the requests of one fetch, also those that a library makes on its way: their schemes, redirects and the
// bytes that come back. Its errors are sentences for users.
type guard struct {
	fetcher *Fetcher
	// scheme is that of an http(s) reference, "" for an image.
	scheme string
	left   atomic.Int64
}

func (f *Fetcher) newGuard(ref Reference) http.RoundTripper {
	g := &guard{fetcher: f}
	limits := f.options.Limits
	if ref.address != nil {
		g.scheme = ref.address.Scheme
		g.left.Store(limits.Compressed)
	} else {
		// A layer, an index and a manifest, and what the login takes.
		g.left.Store(limits.Compressed + 3*limits.Manifest)
	}
	return transport.NewUserAgent(g, userAgent)
}

// RoundTrip sends a request that may be sent.
func (g *guard) RoundTrip(request *http.Request) (*http.Response, error) {
	insecure := g.fetcher.insecure(request.URL.Host)
	if err := g.check(request, insecure); err != nil {
		return nil, err
	}
	connections := g.fetcher.strict
	if insecure {
		connections = g.fetcher.lenient
	}
	response, err := connections.RoundTrip(request)
	if insecure && g.scheme == "" && speaksPlainHTTP(err) {
		return nil, err // that registry is asked over HTTP next, and the outcome of that is what counts
	}
	if err != nil {
		return nil, ofNetwork(err)
	}
	if err := checkAnswer(response); err != nil {
		_ = response.Body.Close()
		return nil, err
	}
	response.Body = &countedBody{ReadCloser: response.Body, left: &g.left}
	return response, nil
}

func (g *guard) check(request *http.Request, insecure bool) error {
	redirects := 0
	for earlier := request.Response; earlier != nil; earlier = earlier.Request.Response {
		redirects++
		if earlier.Request.URL.Scheme != request.URL.Scheme {
			return newError(Blocked, "is redirected from %s to another scheme, which is not followed; write the URL that it leads to",
				earlier.Request.URL.Scheme)
		}
	}
	switch {
	case redirects > maxRedirects:
		return newError(Blocked, "is redirected more than %d times", maxRedirects)
	case request.URL.Scheme == "https" || request.URL.Scheme == g.scheme || (insecure && request.URL.Scheme == "http"):
		return nil
	default:
		return newError(Blocked, "leads to a server without TLS; modules come from a registry over https, except from those "+
			"that the installation lists as insecure")
	}
}

// checkAnswer refuses what no one needs to read on: a server that can't serve, and a token server at an address that is
// not even a name. (A name is checked when it is dialed.)
func checkAnswer(response *http.Response) error {
	if transient(response.StatusCode) {
		return ofStatus(response, "")
	}
	if response.StatusCode != http.StatusUnauthorized {
		return nil
	}
	for _, challenge := range response.Header.Values("Www-Authenticate") {
		for _, match := range realm.FindAllStringSubmatch(challenge, -1) {
			if server, err := url.Parse(match[1]); err == nil && internalLiteral(server) && server.Host != response.Request.URL.Host {
				return newError(Blocked, "its registry sends credentials to a token server at an internal address")
			}
		}
	}
	return nil
}

func internalLiteral(server *url.URL) bool {
	address, err := netip.ParseAddr(server.Hostname())
	return err == nil && policy{noPrivate: true}.check(address) != nil
}

// insecure says whether the installation lists a host, with or without its port.
func (f *Fetcher) insecure(host string) bool {
	listed := f.options.Insecure
	if slices.Contains(listed, host) {
		return true
	}
	bare, _, err := net.SplitHostPort(host)
	return err == nil && slices.Contains(listed, bare)
}

// countedBody bounds what all answers of a fetch bring together.
type countedBody struct {
	io.ReadCloser

	left *atomic.Int64
}

func (b *countedBody) Read(buffer []byte) (int, error) {
	n, err := b.ReadCloser.Read(buffer)
	if b.left.Add(-int64(n)) < 0 {
		return 0, newError(TooLarge, "the server sends more than a module may be large")
	}
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	return n, ofNetwork(err)
}

// ofNetwork is the sentence for what went wrong on the way. The error itself may hold a URL's query, and is dropped.
func ofNetwork(err error) error {
	if known, ok := errors.AsType[*Error](err); ok {
		return known
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	if isTimeout(err) {
		return newError(TimedOut, "the server did not answer, or not to the end, in time")
	}
	return newError(Unreachable, "%s", networkSentence(err))
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return errors.Is(err, context.DeadlineExceeded) || (ok && timeout.Timeout())
}

func speaksPlainHTTP(err error) bool {
	record, ok := errors.AsType[tls.RecordHeaderError](err)
	return ok && string(record.RecordHeader[:]) == "HTTP/"
}

func networkSentence(err error) string {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "the server's certificate is not trusted; check its name and validity, or give the operator its authority's certificate"
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "the server's name can't be resolved; check its spelling and the cluster's DNS"
	}
	if speaksPlainHTTP(err) {
		return "the server speaks plain HTTP, not TLS; use its TLS port, or have it listed among the operator's insecure registries"
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the server refuses connections"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no route to the server; check the network and its policies"
	default:
		return "the connection to the server broke off"
	}
}
