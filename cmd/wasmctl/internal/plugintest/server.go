// SPDX-License-Identifier: Apache-2.0

package plugintest

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/solarmesh/wasmplugin-operator/internal/httpcase"
)

// server stands behind the proxy: it answers as the present case says, and remembers what it was asked.
type server struct {
	listener net.Listener
	http     *http.Server

	mutex   sync.Mutex
	answer  httpcase.Message
	reached *httpcase.Message
}

func startServer(ctx context.Context) (*server, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the server behind Envoy: %w", err)
	}
	s := &server{listener: listener}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.http.Serve(listener) }() // it ends with Close, and Envoy says what fails
	return s, nil
}

func (s *server) port() int {
	if address, ok := s.listener.Addr().(*net.TCPAddr); ok {
		return address.Port
	}
	return 0
}

func (s *server) close() { _ = s.http.Close() } // nothing is left that could fail

// expect begins a case.
func (s *server) expect(answer httpcase.Message) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.answer, s.reached = answer, nil
}

// got is the first request of the case, nil for none.
func (s *server) got() *httpcase.Message {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.reached
}

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(io.LimitReader(request.Body, httpcase.MaxFileSize))
	if err != nil {
		// What the plugin made of the request is no whole one.
		panic(http.ErrAbortHandler)
	}
	s.mutex.Lock()
	answer := s.answer
	if s.reached == nil {
		s.reached = &httpcase.Message{
			Method: request.Method, Target: request.RequestURI, Body: string(body),
			Headers: append([]httpcase.Header{{Name: "host", Value: request.Host}}, headersOf(request.Header)...),
		}
		if request.ContentLength >= 0 && len(body) > 0 {
			length := httpcase.Header{Name: "content-length", Value: strconv.FormatInt(request.ContentLength, 10)}
			s.reached.Headers = append(s.reached.Headers, length)
		}
	}
	s.mutex.Unlock()
	header := writer.Header()
	// Go would add these.
	header["Date"], header["Content-Type"] = nil, nil
	for _, given := range answer.Headers {
		header.Add(given.Name, given.Value)
	}
	writer.WriteHeader(answer.Status)
	_, _ = io.WriteString(writer, answer.Body) // a client that is gone has its own error
}

func headersOf(header http.Header) []httpcase.Header {
	var list []httpcase.Header
	for _, name := range slices.Sorted(maps.Keys(header)) {
		for _, value := range header[name] {
			list = append(list, httpcase.Header{Name: strings.ToLower(name), Value: value})
		}
	}
	return list
}
