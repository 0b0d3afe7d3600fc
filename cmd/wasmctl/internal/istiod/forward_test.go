// SPDX-License-Identifier: Apache-2.0

package istiod

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// apiServer lists Pods and forwards their ports, as an API server and a kubelet do: over SPDY, as old ones, or WebSocket, as
// those of 1.31 and later do.
type apiServer struct {
	*httptest.Server
	pods []corev1.Pod
	// istiod is the address of the Pods' debug data; empty where nothing listens there.
	istiod string
	// forbid refuses to list, or to forward.
	forbidList, forbidForward bool
	mute, websocket           bool

	mutex       sync.Mutex
	connections []httpstream.Connection
	ports       []string
}

func newAPIServer(t *testing.T, pods ...corev1.Pod) *apiServer {
	t.Helper()
	a := &apiServer{pods: pods}
	istiod := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "["+`"`+r.URL.String()+`"`+"]")
	}))
	a.istiod = istiod.Listener.Addr().String()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/namespaces/istio-system/pods", a.list)
	mux.HandleFunc("/api/v1/namespaces/istio-system/pods/{pod}/portforward", a.forward)
	a.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		a.drop()
		a.Close()
		istiod.Close()
	})
	return a
}

func status(w http.ResponseWriter, code int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Message: message, Reason: metav1.StatusReasonForbidden, Code: int32(code), //nolint:gosec // 403
	})
}

func (a *apiServer) list(w http.ResponseWriter, r *http.Request) {
	if a.forbidList {
		status(w, http.StatusForbidden, `pods is forbidden: User "night" cannot list resource "pods"`)
		return
	}
	if r.URL.Query().Get("labelSelector") != "app=istiod" {
		http.Error(w, "another selector", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}, Items: a.pods})
}

func (a *apiServer) forward(w http.ResponseWriter, r *http.Request) {
	switch {
	case a.mute:
		<-r.Context().Done()
		return
	case a.forbidForward:
		status(w, http.StatusForbidden, `pods "istiod-0" is forbidden: User "night" cannot create resource "pods/portforward"`)
		return
	case a.websocket != (r.Method == http.MethodGet):
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
			go a.join(stream, problems[id])
		}
	}
}

func (a *apiServer) upgrade(w http.ResponseWriter, r *http.Request, added httpstream.NewStreamHandler) httpstream.Connection {
	if !a.websocket {
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
func (a *apiServer) join(data, problems httpstream.Stream) {
	defer problems.Close()
	defer data.Close()
	a.mutex.Lock()
	a.ports = append(a.ports, data.Headers().Get(corev1.PortHeader))
	a.mutex.Unlock()
	to, err := net.Dial("tcp", a.istiod)
	if err != nil {
		fmt.Fprintf(problems, "an error occurred forwarding %s: connection refused", data.Headers().Get(corev1.PortHeader))
		return
	}
	defer to.Close()
	go func() { _, _ = io.Copy(to, data) }()
	_, _ = io.Copy(data, to)
}

// drop ends all forwarding.
func (a *apiServer) drop() {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	for _, connection := range a.connections {
		_ = connection.Close()
	}
	a.connections = nil
}

func pod(name string, ready corev1.ConditionStatus, args ...string) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "istio-system", Name: name, Labels: map[string]string{"app": "istiod", "istio.io/rev": "rev-" + name}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "discovery", Args: args}}},
		Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}},
	}
}

func find(t *testing.T, a *apiServer) ([]Istiod, error) {
	t.Helper()
	options := Options{Namespace: "istio-system"}
	found, err := options.Find(t.Context(), &rest.Config{Host: a.URL})
	t.Cleanup(func() {
		for _, istiod := range found {
			_ = istiod.Close()
		}
	})
	return found, err
}

func TestAsksEveryReadyIstiodThroughItsPort(t *testing.T) {
	for _, overWebsocket := range []bool{false, true} {
		t.Run(fmt.Sprintf("over WebSocket %v", overWebsocket), func(t *testing.T) { asksEvery(t, overWebsocket) })
	}
}

func asksEvery(t *testing.T, overWebsocket bool) {
	t.Helper()
	a := newAPIServer(t, pod("istiod-1", corev1.ConditionTrue, "discovery", "--monitoringAddr=:15099"), pod("istiod-2", corev1.ConditionFalse),
		pod("istiod-0", corev1.ConditionTrue))
	a.websocket = overWebsocket
	found, err := find(t, a)
	if err != nil || len(found) != 2 || found[0].Name != "istiod-0" || found[1].Revision != "rev-istiod-1" {
		t.Fatalf("found %v, %v", found, err)
	}
	for _, istiod := range found {
		for range 3 {
			answer, err := istiod.Ask(t.Context(), "config_dump?proxyID=a.b-1")
			if err != nil || string(answer) != `["/debug/config_dump?proxyID=a.b-1"]` {
				t.Fatalf("answer %s, %v", answer, err)
			}
		}
	}
	if ports := strings.Join(a.ports, " "); !strings.Contains(ports, "15014") || !strings.Contains(ports, "15099") {
		t.Errorf("ports %s", ports)
	}
}

func TestAsksAgainAfterTheServerWentAway(t *testing.T) {
	a := newAPIServer(t, pod("istiod-0", corev1.ConditionTrue))
	found, err := find(t, a)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := found[0].Ask(t.Context(), "syncz"); err != nil {
		t.Fatal(err)
	}
	a.drop()
	// It may be that the first one meets the end of the old connection.
	var answer []byte
	for range 2 {
		if answer, err = found[0].Ask(t.Context(), "syncz"); err == nil {
			break
		}
	}
	if err != nil || string(answer) != `["/debug/syncz"]` {
		t.Errorf("answer %s, %v", answer, err)
	}
	a.Close()
	a.drop()
	if _, err = found[0].Ask(t.Context(), "syncz"); err == nil {
		t.Error("answered without a server")
	}
}

func TestSaysWhyIstiodCannotBeAsked(t *testing.T) {
	tests := map[string]struct {
		change func(*apiServer)
		want   []string
	}{
		"no right to list":    {func(a *apiServer) { a.forbidList = true }, []string{"look for istiod: pods is forbidden", "pods/portforward in namespace istio-system", "--istiod-url"}},
		"no istiod":           {func(a *apiServer) { a.pods = nil }, []string{"there is no istiod", "namespace istio-system", "--istio-namespace"}},
		"none ready":          {func(a *apiServer) { a.pods = []corev1.Pod{pod("istiod-0", corev1.ConditionFalse)} }, []string{"no istiod in namespace istio-system is ready"}},
		"no right to forward": {func(a *apiServer) { a.forbidForward = true }, []string{"istiod istiod-0: can't be reached through the API server", "is forbidden", "create pods/portforward in namespace istio-system"}},
		"nothing listens":     {func(a *apiServer) { a.istiod = "127.0.0.1:1" }, []string{"istiod istiod-0: can't be reached through the API server", "forwarding 15014: connection refused"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a := newAPIServer(t, pod("istiod-0", corev1.ConditionTrue))
			test.change(a)
			found, err := find(t, a)
			if err == nil {
				_, err = found[0].Ask(t.Context(), "syncz")
			}
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q doesn't say %q", err, want)
				}
			}
		})
	}
}

func TestHeedsTheEndOfItsTime(t *testing.T) {
	a := newAPIServer(t, pod("istiod-0", corev1.ConditionTrue))
	a.mute = true
	found, err := find(t, a)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begun := time.Now()
	if _, err := found[0].Ask(ctx, "syncz"); err == nil || !strings.Contains(err.Error(), "doesn't answer") {
		t.Errorf("error %v", err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
	a.CloseClientConnections()
}
