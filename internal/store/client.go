// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	defaultTimeout = 2 * time.Minute
	// maxAnswer bounds what is read of a JSON answer: a whole set of references.
	maxAnswer  = 16 << 20
	maxProblem = 16 << 10
	// maxRest is how much of an answer is read to use its connection again.
	maxRest = 64 << 10
)

// Queries of GET /modules/sha256/HEX.
const (
	// Local asks for what the replica that answers has itself.
	Local = "local"
	// Brought says that the module was just brought, so that no set of references names it yet.
	Brought = "brought"
)

// ClientOptions say where the store is, and who asks.
type ClientOptions struct {
	// URL is that of the upload port: https://HOST:PORT.
	URL string
	// CAFile holds the certificate authorities of the store, in PEM form. Default: the system's.
	CAFile string
	// ServerName is the name that the store's certificate must have. Default: the URL's host.
	ServerName string
	// TokenFile holds the token. It is read for each request, since projected tokens are renewed.
	TokenFile string
	// Token is used instead of a TokenFile.
	Token string
	// Dial makes the connections, for who reaches the store by another way than its URL. What it fails with is what an error
	// of the client wraps. Default: TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Timeout bounds one request with its bodies. Default: 2 minutes.
	Timeout time.Duration
}

// Client speaks to the store's upload port. It may be used by many goroutines.
type Client struct {
	base    *url.URL
	timeout time.Duration
	wire    *wire
}

// NewClient makes a client. It sends nothing yet.
func NewClient(options ClientOptions) (*Client, error) {
	base, err := url.Parse(options.URL)
	if err != nil || base.Scheme != "https" || base.Host == "" || base.User != nil || strings.Trim(base.Path, "/") != "" || base.RawQuery != "" {
		return nil, newError(Invalid, "the store's upload URL must read https://HOST:PORT: a token never travels unencrypted")
	}
	if (options.TokenFile == "") == (options.Token == "") {
		return nil, newError(Invalid, "a client of the store needs a token, or the file that holds it")
	}
	if options.ServerName == "" {
		options.ServerName = base.Hostname()
	}
	timeout := options.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	return &Client{base: &url.URL{Scheme: base.Scheme, Host: base.Host}, timeout: timeout, wire: &wire{options: options}}, nil
}

// CloseIdleConnections closes what no request uses.
func (c *Client) CloseIdleConnections() {
	c.wire.closeIdle()
}

// Put brings a module to where proxies fetch it.
func (c *Client) Put(ctx context.Context, digest, capability string, content []byte) error {
	ref := Reference{Digest: digest, Capability: capability}
	if err := ref.Check(); err != nil {
		return newError(Invalid, "%s", err)
	}
	request := request{method: http.MethodPut, path: ref.uploadPath(), subject: "storing " + digest, right: "create on modules.wasm.solarmesh.io"}
	answer, err := c.send(ctx, request, ref.query(), bytes.NewReader(content), nil)
	if err != nil {
		return err
	}
	answer.done()
	return nil
}

// Get is the content of a module that proxies fetch. Reading it to its end verifies it.
func (c *Client) Get(ctx context.Context, digest, capability string) (io.ReadCloser, error) {
	body, err := c.open(ctx, Reference{Digest: digest, Capability: capability}, nil)
	if err != nil {
		return nil, err
	}
	return newVerified(body, digest), nil
}

// OpenLocal is the content of a module from the disk of the replica that answers, which asks no other for it. It is not
// verified yet.
func (c *Client) OpenLocal(ctx context.Context, ref Reference) (io.ReadCloser, error) {
	return c.open(ctx, ref, url.Values{Local: {"true"}})
}

// Have makes the replica that answers have a module that was brought to another one, and count it as in use until the manager
// does: where it lacks it, it fetches it from the others first.
func (c *Client) Have(ctx context.Context, ref Reference) error {
	content, err := c.open(ctx, ref, url.Values{Brought: {"true"}})
	if err != nil {
		return err
	}
	return content.Close() // what counts is that it was opened
}

func (c *Client) open(ctx context.Context, ref Reference, extra url.Values) (io.ReadCloser, error) {
	if err := ref.Check(); err != nil {
		return nil, newError(Invalid, "%s", err)
	}
	query := ref.query()
	maps.Copy(query, extra)
	request := request{method: http.MethodGet, path: ref.uploadPath(), subject: "reading " + ref.Digest, right: "get on modules.wasm.solarmesh.io"}
	answer, err := c.send(ctx, request, query, nil, nil)
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// References tells the store of all modules that are in use, which it then keeps. It answers with those that it lacks.
func (c *Client) References(ctx context.Context, references []Reference) ([]Reference, error) {
	body, err := json.Marshal(ReferenceSet{References: references})
	if err != nil {
		return nil, newError(Invalid, "the references can't be written: %s", err)
	}
	request := request{
		method: http.MethodPut, path: "/references",
		subject: "telling the store which modules are in use", right: "update on modules.wasm.solarmesh.io",
	}
	answer, err := c.send(ctx, request, nil, bytes.NewReader(body), nil)
	if err != nil {
		return nil, err
	}
	var missing MissingModules
	if err := answer.decode(&missing); err != nil {
		return nil, err
	}
	return missing.Missing, nil
}

// Set is what a replica knows of the modules in use, unless its version is the known one: then changed is false.
func (c *Client) Set(ctx context.Context, known string) (set ReferenceSet, changed bool, err error) {
	request := request{
		method: http.MethodGet, path: "/references",
		subject: "asking which modules are in use", right: "get on modules.wasm.solarmesh.io",
	}
	answer, err := c.send(ctx, request, nil, nil, http.Header{"If-None-Match": {strconv.Quote(known)}})
	if err != nil {
		return ReferenceSet{}, false, err
	}
	if answer.response.StatusCode == http.StatusNotModified {
		answer.done()
		return ReferenceSet{}, false, nil
	}
	if err := answer.decode(&set); err != nil {
		return ReferenceSet{}, false, err
	}
	return set, true, nil
}

// Tag is the module that a tag of an uploaded module names.
func (c *Client) Tag(ctx context.Context, namespace, name, tag string) (digest string, size int64, err error) {
	request, err := tagRequest(http.MethodGet, "reading", "get", namespace, name, tag)
	if err != nil {
		return "", 0, err
	}
	answer, err := c.send(ctx, request, nil, nil, nil)
	if err != nil {
		return "", 0, err
	}
	var found TaggedModule
	if err := answer.decode(&found); err != nil {
		return "", 0, err
	}
	if err := (Reference{Digest: found.Digest}).Check(); err != nil {
		return "", 0, request.ofStatus(http.StatusOK)
	}
	return found.Digest, found.Size, nil
}

// Tagged is the content of an uploaded module. Reading it to its end verifies it.
func (c *Client) Tagged(ctx context.Context, namespace, name, digest string) (io.ReadCloser, error) {
	if err := CheckName(namespace, name); err != nil {
		return nil, newError(Invalid, "%s", err)
	}
	if err := (Reference{Digest: digest}).Check(); err != nil {
		return nil, newError(Invalid, "%s", err)
	}
	request := request{
		method:  http.MethodGet,
		path:    "/namespaces/" + namespace + "/modules/" + name + "/sha256/" + strings.TrimPrefix(digest, digestPrefix),
		subject: fmt.Sprintf("reading module %s/%s", namespace, name),
		right:   "get on modules.wasm.solarmesh.io of that namespace and name",
	}
	answer, err := c.send(ctx, request, nil, nil, nil)
	if err != nil {
		return nil, err
	}
	return newVerified(answer, digest), nil
}

// Push uploads a module under a tag. A tag that names another module already is moved only where ifMatch is the digest
// of that one.
func (c *Client) Push(ctx context.Context, namespace, name, tag string, content io.Reader, ifMatch string) (TaggedModule, error) {
	request, err := tagRequest(http.MethodPut, "pushing", "push", namespace, name, tag)
	if err != nil {
		return TaggedModule{}, err
	}
	header := http.Header{}
	if ifMatch != "" {
		header.Set("If-Match", strconv.Quote(ifMatch))
	}
	answer, err := c.send(ctx, request, nil, content, header)
	if err != nil {
		return TaggedModule{}, err
	}
	var pushed TaggedModule
	if err := answer.decode(&pushed); err != nil {
		return TaggedModule{}, err
	}
	return pushed, nil
}

// Untag takes a tag away. What it named is collected when no other tag names it.
func (c *Client) Untag(ctx context.Context, namespace, name, tag string) error {
	request, err := tagRequest(http.MethodDelete, "deleting", "delete", namespace, name, tag)
	if err != nil {
		return err
	}
	answer, err := c.send(ctx, request, nil, nil, nil)
	if err != nil {
		return err
	}
	answer.done()
	return nil
}

func tagRequest(method, doing, verb, namespace, name, tag string) (request, error) {
	if err := CheckName(namespace, name); err != nil {
		return request{}, newError(Invalid, "%s", err)
	}
	if err := CheckTag(tag); err != nil {
		return request{}, newError(Invalid, "%s", err)
	}
	return request{
		method:  method,
		path:    "/namespaces/" + namespace + "/modules/" + name + "/tags/" + tag,
		subject: fmt.Sprintf("%s module %s/%s:%s", doing, namespace, name, tag),
		right:   fmt.Sprintf("%s on modules.wasm.solarmesh.io of that namespace and name", verb),
	}, nil
}

func (r Reference) uploadPath() string {
	return publicPath + strings.TrimPrefix(r.Digest, digestPrefix)
}

func (r Reference) query() url.Values {
	query := url.Values{}
	if r.Capability != "" {
		query.Set("capability", r.Capability)
	}
	return query
}
