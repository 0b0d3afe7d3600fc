// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// ModuleServer serves modules, or any content, over HTTP, and counts the requests. It runs in this process.
type ModuleServer struct {
	server   *http.Server
	address  string
	served   chan error
	mu       sync.Mutex
	content  map[string][]byte
	statuses map[string]int
	once     map[string]int
	requests map[string]int
}

// StartModuleServer starts a server without content on a free port. It needs no wait: it listens when it returns.
func StartModuleServer() (*ModuleServer, error) {
	ports, err := FreePorts(1)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", local(ports[0]))
	if err != nil {
		return nil, fmt.Errorf("cannot start the module server: %w", err)
	}
	s := &ModuleServer{
		address:  listener.Addr().String(),
		served:   make(chan error, 1),
		content:  map[string][]byte{},
		statuses: map[string]int{},
		once:     map[string]int{},
		requests: map[string]int{},
	}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() { s.served <- s.server.Serve(listener) }()
	return s, nil
}

// URL is the address of a path, which starts with a slash.
func (s *ModuleServer) URL(path string) string { return "http://" + s.address + path }

// Serve puts content under a path, in place of what was there.
func (s *ModuleServer) Serve(path string, content []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.content[path] = content
}

// ServeFile puts the content that a file has now under a path.
func (s *ModuleServer) ServeFile(path, file string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("cannot serve %s: %w", path, err)
	}
	s.Serve(path, content)
	return nil
}

// Answer lets a path answer an HTTP status instead of its content; 0 restores the content.
func (s *ModuleServer) Answer(path string, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.statuses[path] = status
}

// AnswerOnce lets a path answer an HTTP status to the next request alone.
func (s *ModuleServer) AnswerOnce(path string, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.once[path] = status
}

// Requests is how often a path was asked for, whatever was answered.
func (s *ModuleServer) Requests(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[path]
}

// ServeHTTP implements http.Handler.
func (s *ModuleServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests[r.URL.Path]++
	content, found := s.content[r.URL.Path]
	status := cmp.Or(s.once[r.URL.Path], s.statuses[r.URL.Path])
	delete(s.once, r.URL.Path)
	s.mu.Unlock()
	switch {
	case status != 0:
		http.Error(w, http.StatusText(status), status)
	case !found:
		http.NotFound(w, r)
	default:
		w.Header().Set("Content-Type", "application/wasm")
		_, _ = w.Write(content) // A client that has gone is not the server's problem.
	}
}

// Stop closes the server and its connections. Stopping it again does nothing.
func (s *ModuleServer) Stop() error {
	if err := s.server.Close(); err != nil {
		return err
	}
	select {
	case err := <-s.served:
		if !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("the module server had ended by itself: %w", err)
		}
	default:
	}
	return nil
}
