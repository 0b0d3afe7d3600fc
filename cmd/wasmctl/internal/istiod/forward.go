// SPDX-License-Identifier: Apache-2.0

package istiod

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
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

	"github.com/solarmesh/wasmplugin-operator/internal/proxies"
)

// forwardError says why a Pod's port can't be reached, in the words of the API server or the kubelet.
type forwardError struct{ text string }

func (e *forwardError) Error() string { return e.text }

// forwarded asks an istiod through a port that the API server forwards. No port is opened on this machine, where others
// could use it.
type forwarded struct {
	proxies.Asker
	name string
	pod  *tunnel
}

func forwardTo(config *rest.Config, pod *corev1.Pod, port int) (proxies.Asker, error) {
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
	to := &tunnel{dialer: dialer, port: port}
	return &forwarded{
		Asker: proxies.Over(pod.Name, &http.Client{Transport: &http.Transport{DialContext: to.dial}}),
		name:  pod.Namespace + "/" + pod.Name, pod: to,
	}, nil
}

// Ask implements Asker.
func (f *forwarded) Ask(ctx context.Context, resource string) ([]byte, error) {
	answer, err := f.Asker.Ask(ctx, resource)
	known, isKnown := errors.AsType[*proxies.Error](err)
	if !isKnown {
		return answer, err
	}
	if refused, ok := errors.AsType[*forwardError](err); ok {
		return nil, &proxies.Error{Istiod: known.Istiod, Reason: proxies.Unreachable, Text: f.hint(refused.text)}
	}
	if known.Reason == proxies.Denied {
		known.Text = "refuses to say what its proxies do"
	}
	return nil, known
}

func (f *forwarded) hint(why string) string {
	text := "can't be reached through the API server: " + why
	if strings.Contains(why, "forbidden") {
		namespace, _, _ := strings.Cut(f.name, "/")
		text += fmt.Sprintf("; it takes the right to create pods/portforward in namespace %s, or a way of yours with --istiod-url", namespace)
	}
	return text
}

// Close implements Asker.
func (f *forwarded) Close() error {
	return errors.Join(f.Asker.Close(), f.pod.close())
}

// tunnel is a connection to a Pod, on which each stream is a connection to one of its ports.
type tunnel struct {
	dialer httpstream.Dialer
	port   int

	mutex      sync.Mutex
	connection httpstream.Connection
	next       int
}

// dial opens a stream, on a new connection where the last one has ended.
func (t *tunnel) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	type result struct {
		stream net.Conn
		err    error
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

func (t *tunnel) open() (net.Conn, error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.connection != nil {
		select {
		case <-t.connection.CloseChan():
			t.connection = nil
		default:
		}
	}
	if t.connection == nil {
		connection, protocol, err := t.dialer.Dial(portforward.PortForwardProtocolV1Name)
		if err != nil {
			return nil, &forwardError{err.Error()}
		}
		if protocol != portforward.PortForwardProtocolV1Name {
			return nil, &forwardError{fmt.Sprintf("it speaks protocol %q", protocol)}
		}
		t.connection = connection
	}
	t.next++
	stream, err := openStream(t.connection, t.port, t.next)
	if err != nil {
		_ = t.connection.Close() // the next one begins anew
		t.connection = nil
		return nil, &forwardError{err.Error()}
	}
	return stream, nil
}

func (t *tunnel) close() error {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.connection == nil {
		return nil
	}
	return t.connection.Close()
}

// stream is a connection to a port of a Pod. What keeps it from being one comes on a stream beside it.
type stream struct {
	httpstream.Stream
	connection httpstream.Connection
	problems   httpstream.Stream
	said       chan string
}

func openStream(connection httpstream.Connection, port, id int) (*stream, error) {
	headers := http.Header{}
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	headers.Set(corev1.PortHeader, strconv.Itoa(port))
	headers.Set(corev1.PortForwardRequestIDHeader, strconv.Itoa(id))
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
	s := &stream{Stream: data, connection: connection, problems: problems, said: make(chan string, 1)}
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
			return 0, &forwardError{text}
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
