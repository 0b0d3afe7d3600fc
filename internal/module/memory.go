// SPDX-License-Identifier: Apache-2.0

package module

import (
	"io"
	"sync"
)

// Memory bounds the bytes of all modules that are held at a time, whoever reads them: to Limits.InFlight together, and to
// half of that for each namespace, so that servers of one that are slow hold up nobody else. As much as one module takes is
// kept for joining what was read, so that nobody's download was in vain.
type Memory struct {
	limit, all, each int64

	mutex       sync.Mutex
	held        int64
	byNamespace map[string]int64

	joining sync.Mutex
}

// NewMemory makes the memory that limits allow.
func NewMemory(limits Limits) *Memory {
	limits = limits.withDefaults()
	return &Memory{
		limit: limits.Module, all: limits.InFlight - limits.Module, each: limits.InFlight / 2, byNamespace: map[string]int64{},
	}
}

// Read reads a module to its end, from elsewhere than a Fetcher does, for a namespace. Its facts are its digest and its size
// alone. The error is the source's own, or an *Error.
func (m *Memory) Read(namespace string, source io.Reader) (*Module, error) {
	return m.collect(namespace, func(content *buffer) (Facts, error) { return Facts{}, content.fill(source) })
}

// collect has a module read into a buffer, and holds it. Whatever happens meanwhile, what isn't held takes no memory.
func (m *Memory) collect(namespace string, read func(*buffer) (Facts, error)) (*Module, error) {
	content := newBuffer(m.limit, m, namespace)
	var module *Module
	defer func() {
		if module == nil {
			content.release()
		}
	}()
	facts, err := read(content)
	if err != nil {
		return nil, err
	}
	module = content.module(facts)
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
	switch {
	case m.byNamespace[namespace]+bytes > m.each:
		return waiting("other modules of this namespace take up its half of the memory for modules; this one waits its turn")
	case m.held+bytes > m.all:
		return waiting("other modules take up the memory for modules; this one waits its turn")
	}
	m.add(namespace, bytes)
	return nil
}

// join takes bytes of what is kept for that, for one at a time, until the work has given back what it no longer needs.
func (m *Memory) join(namespace string, bytes int64, work func()) {
	m.joining.Lock()
	defer m.joining.Unlock()
	m.mutex.Lock()
	m.add(namespace, bytes)
	m.mutex.Unlock()
	work()
}

func (m *Memory) add(namespace string, bytes int64) {
	m.held += bytes
	m.byNamespace[namespace] += bytes
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
