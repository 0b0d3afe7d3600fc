// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/streaming/pkg/httpstream"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/tunnel/tunneltest"
)

func open(t *testing.T, server *tunneltest.APIServer) *Tunnel {
	t.Helper()
	made, err := New(&rest.Config{Host: server.URL}, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "echo"}}, 7)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// echo listens, and says to each what it says, twice at once.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	return listener.Addr().String()
}

func TestStreamsOfOneConnectionAreApart(t *testing.T) {
	for _, overWebSocket := range []bool{false, true} {
		server := tunneltest.New(t, http.NewServeMux(), echo(t))
		server.WebSocket = overWebSocket
		to := open(t, server)
		var streams []net.Conn
		for range 3 {
			stream, err := to.Dial(t.Context(), "tcp", "anything:1")
			if err != nil {
				t.Fatal(err)
			}
			streams = append(streams, stream)
		}
		for i, stream := range streams {
			// More than one frame.
			want := strings.Repeat(string(rune('a'+i)), 300_000)
			go func() { _, _ = io.WriteString(stream, want) }()
			got := make([]byte, len(want))
			if _, err := io.ReadFull(stream, got); err != nil || string(got) != want {
				t.Errorf("over WebSocket %v: stream %d said something else, %v", overWebSocket, i, err)
			}
		}
		if err := to.Close(); err != nil {
			t.Error(err)
		}
		if n, err := streams[0].Read(make([]byte, 1)); err == nil {
			t.Errorf("read %d of a tunnel that is closed", n)
		}
	}
}

// ended is a connection whose end nobody has read yet.
type ended struct{ httpstream.Connection }

func (ended) CreateStream(http.Header) (httpstream.Stream, error) { return nil, syscall.EPIPE }

func (ended) CloseChan() <-chan bool { return nil }

func (ended) Close() error { return nil }

func TestDialsAnewWhereTheConnectionHasEnded(t *testing.T) {
	to := open(t, tunneltest.New(t, http.NewServeMux(), echo(t)))
	defer func() { _ = to.Close() }()
	to.connection = ended{}
	stream, err := to.Dial(t.Context(), "tcp", "anything:1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(stream, "a"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 1)
	if _, err := io.ReadFull(stream, got); err != nil || string(got) != "a" {
		t.Errorf("it says %q, %v", got, err)
	}
}

// What client-go has for dialing takes no context: nobody may wait for it, and what it makes later is closed.
func TestCloseWaitsForNoDial(t *testing.T) {
	server := tunneltest.New(t, http.NewServeMux(), echo(t))
	server.Mute = func() {}
	to := open(t, server)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, err := to.Dial(ctx, "tcp", "anything:1")
		failed <- err
	}()
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if err := to.Close(); err != nil {
		t.Error(err)
	}
	if _, err := to.Dial(t.Context(), "tcp", "anything:1"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a tunnel that is closed: %v", err)
	}
}

func TestReady(t *testing.T) {
	pod := func(conditions ...corev1.PodCondition) *corev1.Pod {
		return &corev1.Pod{Status: corev1.PodStatus{Conditions: conditions}}
	}
	yes, no := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue}, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse}
	scheduled := corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}
	goes := pod(yes)
	goes.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	for want, pods := range map[bool][]*corev1.Pod{true: {pod(yes), pod(scheduled, yes)}, false: {pod(), pod(no), pod(scheduled), goes}} {
		for _, one := range pods {
			if Ready(one) != want {
				t.Errorf("ready %v: %v", !want, one.Status)
			}
		}
	}
}
