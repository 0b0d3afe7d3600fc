// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// CountingProxy stands between a client and an API server, and remembers every request. It listens with plain HTTP on
// the loopback interface. The credentials are the proxy's: a client that reads a kubeconfig sends none without TLS.
type CountingProxy struct {
	// URL is where it listens.
	URL string

	server  *http.Server
	forward http.Handler

	received, sent atomic.Int64

	mu          sync.Mutex
	requests    []Request
	intercept   Intercept
	connections map[net.Conn]struct{}
}

// Request is one that came to a CountingProxy, whatever became of it.
type Request struct {
	Method, Path, Query string
	// Accept tells reads of whole objects from reads of metadata.
	Accept string
}

// Intercept sees a request before it is forwarded. If it returns true it has answered, and nothing is forwarded. It runs
// in the goroutine of the request.
type Intercept func(http.ResponseWriter, *http.Request) bool

// StartCountingProxy starts a proxy in front of the server that config names. It acts as config's user.
func StartCountingProxy(config *rest.Config) (*CountingProxy, error) {
	target, err := url.Parse(config.Host)
	if err != nil {
		return nil, fmt.Errorf("cannot read the address of the server: %w", err)
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to %s: %w", target, err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("no port for the counting proxy: %w", err)
	}
	p := &CountingProxy{URL: "http://" + listener.Addr().String(), connections: map[net.Conn]struct{}{}}
	p.forward = &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     transport,
		FlushInterval: -1, // events of a watch must not wait for more of them
		ErrorLog:      log.New(io.Discard, "", 0),
	}
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0), ConnState: p.count}
	go p.server.Serve(countingListener{listener, p}) //nolint:errcheck // It ends with Close.
	return p, nil
}

// ServeHTTP makes a CountingProxy an http.Handler.
func (p *CountingProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.requests = append(p.requests, Request{
		Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Accept: r.Header.Get("Accept"),
	})
	intercept := p.intercept
	p.mu.Unlock()
	if intercept != nil && intercept(w, r) {
		return
	}
	p.Forward(w, r)
}

// Forward passes a request to the server and the answer to w. An Intercept calls it to see or change either.
func (p *CountingProxy) Forward(w http.ResponseWriter, r *http.Request) { p.forward.ServeHTTP(w, r) }

// count follows the connections of clients.
func (p *CountingProxy) count(connection net.Conn, state http.ConnState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch state {
	case http.StateNew:
		p.connections[connection] = struct{}{}
	case http.StateClosed, http.StateHijacked:
		delete(p.connections, connection)
	default: // it stays open
	}
}

// Cut resets every connection of a client, whatever goes through it. New ones are accepted.
func (p *CountingProxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for connection := range p.connections {
		reset(connection)
	}
}

// Abort resets the connection that a request came by, without an answer. An Intercept that calls it returns true then.
func (p *CountingProxy) Abort(w http.ResponseWriter) {
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // it ends the connection, too
	}
	reset(connection)
}

// reset ends a connection as the end of the machine at its other end would: what is under way is lost.
func reset(connection net.Conn) {
	if counted, ok := connection.(countedConnection); ok {
		if tcp, ok := counted.Conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // it may have ended by itself
		}
	}
	_ = connection.Close()
}

// Connections is how many clients' connections are open. With none, no request of a client that ended is still to come.
func (p *CountingProxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.connections)
}

// Bytes are those that clients sent and were sent since the start, headers and watches included.
func (p *CountingProxy) Bytes() (fromClients, toClients int64) {
	return p.received.Load(), p.sent.Load()
}

// Requests are those that came since the start or the last Reset, in their order.
func (p *CountingProxy) Requests() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.requests)
}

// Reset forgets all requests.
func (p *CountingProxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests = nil
}

// Intercept replaces what sees each request before it is forwarded; nil forwards all.
func (p *CountingProxy) Intercept(intercept Intercept) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.intercept = intercept
}

// WriteKubeconfig writes a kubeconfig that leads through the proxy.
func (p *CountingProxy) WriteKubeconfig(path string) error {
	const name = "chain"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: p.URL}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name}
	config.CurrentContext = name
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return fmt.Errorf("cannot write a kubeconfig: %w", err)
	}
	return nil
}

// Close ends the proxy and every connection through it.
func (p *CountingProxy) Close() error {
	if err := p.server.Close(); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("the counting proxy did not end: %w", err)
	}
	return nil
}

// countingListener counts the bytes of the connections that it accepts.
type countingListener struct {
	net.Listener
	proxy *CountingProxy
}

// Accept makes it a net.Listener.
func (l countingListener) Accept() (net.Conn, error) {
	connection, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return countedConnection{connection, l.proxy}, nil
}

type countedConnection struct {
	net.Conn
	proxy *CountingProxy
}

func (c countedConnection) Read(buffer []byte) (int, error) {
	n, err := c.Conn.Read(buffer)
	c.proxy.received.Add(int64(n))
	return n, err
}

func (c countedConnection) Write(buffer []byte) (int, error) {
	n, err := c.Conn.Write(buffer)
	c.proxy.sent.Add(int64(n))
	return n, err
}

// FailWith answers the requests that match with an HTTP status and the API server's form of an error.
func FailWith(status int, match func(*http.Request) bool) Intercept {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !match(r) {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":%q,"code":%d}`,
			cmp.Or(http.StatusText(status), "failed")+", on purpose", status)
		return true
	}
}
