// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// meter stands between a client and the API server. It counts requests and bytes, and knows when writes were answered.
type meter struct {
	*chain.CountingProxy

	requests       atomic.Int64 // requests since the start
	mu             sync.Mutex
	written        map[string]bool
	first          time.Time
	answers        []time.Time
	failures       []string
	sent, received int64
	recording      bool
	// recorded are writes by their path.
	recorded map[string]request
}

func newMeter(config *rest.Config) (*meter, error) {
	proxy, err := chain.StartCountingProxy(config)
	if err != nil {
		return nil, err
	}
	m := &meter{CountingProxy: proxy, recorded: map[string]request{}}
	m.Reset()
	proxy.Intercept(m.see)
	return m, nil
}

// Reset forgets what was.
func (m *meter) Reset() {
	m.CountingProxy.Reset()
	sent, received := m.Bytes()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.written, m.first, m.answers, m.failures = map[string]bool{}, time.Time{}, nil, nil
	m.sent, m.received = sent, received
}

// record keeps all writes from now on, or keeps none.
func (m *meter) record(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.recording = on
}

// traffic is what went through since the last Reset.
func (m *meter) traffic() traffic {
	sent, received := m.Bytes()
	m.mu.Lock()
	defer m.mu.Unlock()
	return trafficOf(m.Requests(), sent-m.sent, received-m.received)
}

// see forwards a request, and notes the answer.
func (m *meter) see(w http.ResponseWriter, r *http.Request) bool {
	m.begin()
	_, resource := wordsOf(chain.Request{Method: r.Method, Path: r.URL.Path})
	if r.Method == http.MethodGet || !isOurs(resource) {
		m.Forward(w, r)
		return true
	}
	m.keep(r)
	seen := &answer{ResponseWriter: w}
	m.Forward(seen, r)
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case seen.status >= http.StatusMultipleChoices:
		m.failures = append(m.failures, fmt.Sprintf("%s %s: %d", r.Method, r.URL.Path, seen.status))
	case !m.written[r.URL.Path]:
		m.written[r.URL.Path] = true
		m.answers = append(m.answers, time.Now())
	}
	return true
}

// count is how many requests came since the start.
func (m *meter) count() int64 { return m.requests.Load() }

// begin notes a request, and when the first one came.
func (m *meter) begin() {
	m.requests.Add(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.first.IsZero() {
		m.first = time.Now()
	}
}

// begun is when the first request came; the time given if none did.
func (m *meter) begun(otherwise time.Time) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.first.IsZero() {
		return otherwise
	}
	return m.first
}

// keep records a write, if that is wanted.
func (m *meter) keep(r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.recording {
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		m.failures = append(m.failures, err.Error())
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	m.recorded[r.URL.Path] = request{
		method: r.Method, path: r.URL.RequestURI(),
		contentType: r.Header.Get("Content-Type"), accept: r.Header.Get("Accept"), body: body,
	}
}

// answer remembers its status.
type answer struct {
	http.ResponseWriter
	status int
}

// WriteHeader makes it an http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

// Unwrap lets events of a watch be flushed.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// wait waits until so many objects were written, and returns when that was.
func (m *meter) wait(ctx context.Context, objects int) (time.Time, error) {
	var at time.Time
	err := chain.Until(ctx, func(context.Context) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		if len(m.answers) < objects {
			return fmt.Errorf("%d of %d objects were written; failures: %.500v", len(m.answers), objects, m.failures)
		}
		at = m.answers[objects-1]
		return nil
	})
	return at, err
}

// failed are the writes that were refused.
func (m *meter) failed() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failures
}
