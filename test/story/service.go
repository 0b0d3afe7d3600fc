// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// endpoint is a port of a pod.
type endpoint struct {
	address string
	// ready is the address of the pod's readiness probe.
	ready string
}

// service stands for a Service of the cluster: an address that leads each connection to one of the pods.
type service struct {
	listener net.Listener
	// unready publishes the addresses of pods that are not ready too.
	unready bool

	mu        sync.Mutex
	endpoints []endpoint
	next      int
	open      sync.WaitGroup
}

func startService(unready bool) (*service, error) {
	ports, err := chain.FreePorts(1)
	if err != nil {
		return nil, err
	}
	s := &service{unready: unready}
	if s.listener, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", ports[0])); err != nil {
		return nil, err
	}
	go s.serve()
	return s, nil
}

func (s *service) address() string { return s.listener.Addr().String() }

func (s *service) setEndpoints(endpoints []endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endpoints = endpoints
}

// Stop ends it, once its connections are over.
func (s *service) Stop() error {
	err := s.listener.Close()
	s.open.Wait()
	return err
}

func (s *service) serve() {
	for {
		client, err := s.listener.Accept()
		if err != nil {
			return // stopped
		}
		s.open.Go(func() { s.connect(client) })
	}
}

// connect leads a connection to the next pod that takes it.
func (s *service) connect(client net.Conn) {
	defer client.Close()
	for _, candidate := range s.turn() {
		if !s.unready && !isReady(candidate.ready) {
			continue
		}
		pod, err := net.DialTimeout("tcp", candidate.address, time.Second)
		if err != nil {
			continue
		}
		join(client, pod)
		return
	}
}

// turn is the order in which the next connection tries the pods.
func (s *service) turn() []endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.endpoints) == 0 {
		return nil
	}
	s.next = (s.next + 1) % len(s.endpoints)
	return append(append([]endpoint{}, s.endpoints[s.next:]...), s.endpoints[:s.next]...)
}

// join copies in both directions until both have ended, or the pod has.
func join(client, pod net.Conn) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(pod, client) // Either side may go whenever it likes.
		_ = closeWrite(pod)
	}()
	_, _ = io.Copy(client, pod)
	_ = client.Close()
	<-done
	_ = pod.Close()
}

func closeWrite(connection net.Conn) error {
	if tcp, ok := connection.(*net.TCPConn); ok {
		return tcp.CloseWrite()
	}
	return errors.New("not a TCP connection")
}

func isReady(address string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	answer, err := chain.Probe{URL: "http://" + address + "/readyz"}.Do(ctx)
	return err == nil && answer.Status == http.StatusOK
}
