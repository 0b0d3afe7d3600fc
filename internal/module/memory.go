// SPDX-License-Identifier: Apache-2.0

package module

import (
	"io"
	"sync"
)

// Memory bounds the bytes of all modules that are held at a time, whoever reads them: to Limits.InFlight together, and to
// half of that for each namespace, so that servers of one that are slow hold up nobody else.
type Memory struct {
	limit, all, each int64

	mutex       sync.Mutex
	held        int64
	byNamespace map[string]int64
}

// NewMemory makes the memory that limits allow.
func NewMemory(limits Limits) *Memory {
	limits = limits.withDefaults()
	return &Memory{
		limit: limits.Module, all: limits.InFlight, each: limits.InFlight / 2, byNamespace: map[string]int64{},
	}
}

// Read reads a module to its end, from elsewhere than a Fetcher does, for a namespace. Its facts are its digest and its size
// alone. The error is the source's own, or an *Error.
func (m *Memory) Read(namespace string, source io.Reader) (*Module, error) {
	content := newBuffer(m.limit, m, namespace)
	err := content.fill(source)
	var module *Module
	if err == nil {
		module, err = content.module(Facts{})
	}
	if err != nil {
		content.release()
		return nil, err
	}
	return module, nil
}

// Held is how many bytes are taken now.
func (m *Memory) Held() int64 {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return m.held
}

// take takes bytes of a namespace's share.
func (m *Memory) take(namespace string, bytes int64) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.byNamespace[namespace]+bytes > m.each {
		return waiting("other modules of this namespace take up its half of the memory for modules; this one waits its turn")
	}
	return m.takeAnyway(namespace, bytes)
}

// takeBriefly takes bytes for a moment, which may be of others' shares.
func (m *Memory) takeBriefly(namespace string, bytes int64) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return m.takeAnyway(namespace, bytes)
}

func (m *Memory) takeAnyway(namespace string, bytes int64) error {
	if m.held+bytes > m.all {
		return waiting("other modules take up the memory for modules; this one waits its turn")
	}
	m.held += bytes
	m.byNamespace[namespace] += bytes
	return nil
}

func (m *Memory) give(namespace string, bytes int64) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.held -= bytes
	if m.byNamespace[namespace] -= bytes; m.byNamespace[namespace] == 0 {
		delete(m.byNamespace, namespace)
	}
}

func waiting(why string) error {
	busy := newError(Busy, "%s", why)
	busy.RetryAfter = busyRetry
	return busy
}
