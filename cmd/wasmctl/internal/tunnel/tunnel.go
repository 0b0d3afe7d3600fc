// SPDX-License-Identifier: Apache-2.0

// Package tunnel leads to a port of a Pod through the API server, as kubectl port-forward does, but opens no port on this
// machine, where others could use it.
package tunnel

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

// Error says why a Pod's port can't be reached.
type Error struct {
	// Why is in the words of the API server or the kubelet.
	Why       string
	namespace string
}

// Error is for whoever knows which Pod is meant.
func (e *Error) Error() string { return "can't be reached through the API server: " + e.Why }

// Advise adds the right that is missing, and what goes without it.
func (e *Error) Advise(without string) string {
	if !strings.Contains(e.Why, "forbidden") {
		return e.Error()
	}
	return fmt.Sprintf("%s; it takes the right to create pods/portforward in namespace %s, or %s", e, e.namespace, without)
}

// Ready says whether a Pod answers.
func Ready(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// Tunnel is a connection to a Pod, on which each stream is a connection to one of its ports.
type Tunnel struct {
	dialer    httpstream.Dialer
	namespace string
	port      int

	// opening is held by the one that opens a stream, which may take long; next is its number.
	opening sync.Mutex
	next    int

	mutex      sync.Mutex
	connection httpstream.Connection
	closed     bool
}

// New makes a tunnel, which must be closed. Nothing is sent yet.
func New(config *rest.Config, pod *corev1.Pod, port int) (*Tunnel, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("reach the cluster: %w", err)
	}
	address := client.CoreV1().RESTClient().Post().Resource("pods").Namespace(pod.Namespace).Name(pod.Name).SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, fmt.Errorf("reach the cluster: %w", err)
	}
	overWebsocket, err := portforward.NewSPDYOverWebsocketDialerForStreaming(address, config)
	if err != nil {
		return nil, fmt.Errorf("reach the cluster: %w", err)
	}
	overSPDY := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, address)
	// As kubectl does: an API server of 1.31 speaks WebSocket, older ones, and some proxies in front, SPDY alone.
	dialer := portforward.NewFallbackDialerForStreaming(overWebsocket, overSPDY, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
	return &Tunnel{dialer: dialer, namespace: pod.Namespace, port: port}, nil
}

// Dial opens a stream to the port, whatever the address says, on a new connection where the last one has ended.
func (t *Tunnel) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	type result struct {
		stream net.Conn
		err    error
	}
	if t.isClosed() {
		return nil, net.ErrClosed
	}
	// What client-go has for this takes no context.
	opened := make(chan result, 1)
	go func() {
		stream, err := t.open()
		opened <- result{stream, err}
	}()
	select {
	case r := <-opened:
		return r.stream, r.err
	case <-ctx.Done():
		go func() {
			if r := <-opened; r.err == nil {
				_ = r.stream.Close() // nobody wants it any more
			}
		}()
		return nil, ctx.Err()
	}
}

func (t *Tunnel) open() (net.Conn, error) {
	t.opening.Lock()
	defer t.opening.Unlock()
	if connection := t.standing(); connection != nil {
		if stream, err := t.openStream(connection); err == nil {
			return stream, nil
		}
		_ = connection.Close() // it ended, and nobody had read that yet
	}
	connection, err := t.connect()
	if err != nil {
		return nil, t.problem(err.Error())
	}
	stream, err := t.openStream(connection)
	if err != nil {
		_ = connection.Close() // the next one begins anew
		return nil, t.problem(err.Error())
	}
	return stream, nil
}

// standing is the connection, or nil where there is none, or it has ended.
func (t *Tunnel) standing() httpstream.Connection {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.connection == nil {
		return nil
	}
	select {
	case <-t.connection.CloseChan():
		return nil
	default:
		return t.connection
	}
}

func (t *Tunnel) connect() (httpstream.Connection, error) {
	connection, protocol, err := t.dialer.Dial(portforward.PortForwardProtocolV1Name)
	if err != nil {
		return nil, err
	}
	t.mutex.Lock()
	defer t.mutex.Unlock()
	switch {
	case protocol != portforward.PortForwardProtocolV1Name:
		err = fmt.Errorf("it speaks protocol %q", protocol)
	case t.closed:
		err = net.ErrClosed
	default:
		t.connection = connection
		return connection, nil
	}
	_ = connection.Close() // nobody wants it
	return nil, err
}

func (t *Tunnel) isClosed() bool {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.closed
}

func (t *Tunnel) problem(why string) error { return &Error{Why: why, namespace: t.namespace} }

// Close ends all streams. It waits for none that is being opened.
func (t *Tunnel) Close() error {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.closed = true
	if t.connection == nil {
		return nil
	}
	return t.connection.Close()
}

// stream is a connection to a port of a Pod. What keeps it from being one comes on a stream beside it.
type stream struct {
	httpstream.Stream
	tunnel     *Tunnel
	connection httpstream.Connection
	problems   httpstream.Stream
	said       chan string
}

// openStream is called by the one that opens.
func (t *Tunnel) openStream(connection httpstream.Connection) (*stream, error) {
	t.next++
	headers := http.Header{}
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	headers.Set(corev1.PortHeader, strconv.Itoa(t.port))
	headers.Set(corev1.PortForwardRequestIDHeader, strconv.Itoa(t.next))
	problems, err := connection.CreateStream(headers)
	if err != nil {
		return nil, err
	}
	_ = problems.Close() // nothing is written there
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := connection.CreateStream(headers)
	if err != nil {
		connection.RemoveStreams(problems)
		return nil, err
	}
	s := &stream{Stream: data, tunnel: t, connection: connection, problems: problems, said: make(chan string, 1)}
	go func() {
		text, _ := io.ReadAll(io.LimitReader(problems, 4096)) // what there is of it
		s.said <- string(bytes.TrimSpace(text))
	}()
	return s, nil
}

// wordsAfter is how long to wait for the reason of an end.
const wordsAfter = time.Second

// Read says why nothing comes where somebody knows.
func (s *stream) Read(p []byte) (int, error) {
	n, err := s.Stream.Read(p)
	if n > 0 || err == nil {
		return n, err
	}
	timer := time.NewTimer(wordsAfter)
	defer timer.Stop()
	select {
	case text := <-s.said:
		s.said <- text
		if text != "" {
			return 0, s.tunnel.problem(text)
		}
	case <-timer.C:
	}
	return 0, err
}

// Close implements net.Conn.
func (s *stream) Close() error {
	err := s.Reset()
	s.connection.RemoveStreams(s.Stream, s.problems)
	return err
}

type podAddr struct{}

// Network implements net.Addr.
func (podAddr) Network() string { return "portforward" }

func (podAddr) String() string { return "pod" }

// LocalAddr implements net.Conn.
func (s *stream) LocalAddr() net.Addr { return podAddr{} }

// RemoteAddr implements net.Conn.
func (s *stream) RemoteAddr() net.Addr { return podAddr{} }

// The deadlines of net.Conn aren't kept: an HTTP client closes a connection whose time is over.

// SetDeadline implements net.Conn.
func (s *stream) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (s *stream) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (s *stream) SetWriteDeadline(time.Time) error { return nil }
