// SPDX-License-Identifier: Apache-2.0

// Package tunneltest has an API server for tests, through which ports of Pods are reached.
package tunneltest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/gorilla/websocket"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// APIServer forwards ports of Pods, as an API server and a kubelet do: over SPDY, as old ones, or WebSocket, as those of 1.31
// and later do.
type APIServer struct {
	*httptest.Server
	// Target is the address of what listens on the Pods' ports.
	Target string
	// ForbidForward refuses to forward.
	ForbidForward bool
	// Mute is called where it is set, and no answer ever comes.
	Mute      func()
	WebSocket bool

	mutex       sync.Mutex
	connections []httpstream.Connection
	ports       []string
	ended       chan struct{}
}

// New starts one, to which the test adds what else it answers.
func New(t *testing.T, mux *http.ServeMux, target string) *APIServer {
	t.Helper()
	a := &APIServer{Target: target, ended: make(chan struct{})}
	mux.HandleFunc("/api/v1/namespaces/{namespace}/pods/{pod}/portforward", a.forward)
	a.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		close(a.ended)
		a.Drop()
		a.Close()
	})
	return a
}

// Ports are those that were asked for.
func (a *APIServer) Ports() []string {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return slices.Clone(a.ports)
}

// Answer answers with an object.
func Answer(object any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(object)
	}
}

// Forbid answers as an API server does to who lacks a right.
func Forbid(w http.ResponseWriter, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusForbidden)
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Message: message, Reason: metav1.StatusReasonForbidden, Code: http.StatusForbidden,
	})
}

func (a *APIServer) forward(w http.ResponseWriter, r *http.Request) {
	switch {
	case a.Mute != nil:
		a.Mute()
		select {
		case <-r.Context().Done():
		case <-a.ended:
		}
		return
	case a.ForbidForward:
		Forbid(w, fmt.Sprintf(`pods %q is forbidden: User "night" cannot create resource "pods/portforward"`, r.PathValue("pod")))
		return
	case a.WebSocket != (r.Method == http.MethodGet):
		http.Error(w, "not this way", http.StatusBadRequest)
		return
	}
	streams := make(chan httpstream.Stream, 8)
	connection := a.upgrade(w, r, func(stream httpstream.Stream, _ <-chan struct{}) error {
		streams <- stream
		return nil
	})
	if connection == nil {
		return
	}
	a.mutex.Lock()
	a.connections = append(a.connections, connection)
	a.mutex.Unlock()
	problems := map[string]httpstream.Stream{}
	for {
		select {
		case <-connection.CloseChan():
			return
		case stream := <-streams:
			id := stream.Headers().Get(corev1.PortForwardRequestIDHeader)
			if stream.Headers().Get(corev1.StreamType) == corev1.StreamTypeError {
				problems[id] = stream
				continue
			}
			go a.join(r.Context(), stream, problems[id])
		}
	}
}

func (a *APIServer) upgrade(w http.ResponseWriter, r *http.Request, added httpstream.NewStreamHandler) httpstream.Connection {
	if !a.WebSocket {
		if _, err := httpstream.Handshake(r, w, []string{portforward.PortForwardProtocolV1Name}); err != nil {
			return nil
		}
		return spdy.NewResponseUpgrader().UpgradeResponse(w, r, added)
	}
	upgrader := websocket.Upgrader{Subprotocols: []string{"SPDY/3.1+" + portforward.PortForwardProtocolV1Name}}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return nil
	}
	connection, err := spdy.NewServerConnection(portforward.NewTunnelingConnection("server", conn), added)
	if err != nil {
		return nil
	}
	return connection
}

// join is what a kubelet does with the streams of a connection.
func (a *APIServer) join(ctx context.Context, data, problems httpstream.Stream) {
	defer problems.Close()
	defer data.Close()
	a.mutex.Lock()
	a.ports = append(a.ports, data.Headers().Get(corev1.PortHeader))
	a.mutex.Unlock()
	to, err := (&net.Dialer{}).DialContext(ctx, "tcp", a.Target)
	if err != nil {
		fmt.Fprintf(problems, "an error occurred forwarding %s: connection refused", data.Headers().Get(corev1.PortHeader))
		return
	}
	defer to.Close()
	go func() { _, _ = io.Copy(to, data) }()
	_, _ = io.Copy(data, to)
}

// Drop ends all forwarding.
func (a *APIServer) Drop() {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	for _, connection := range a.connections {
		_ = connection.Close()
	}
	a.connections = nil
}
