// SPDX-License-Identifier: Apache-2.0

package drystart

import "github.com/tetratelabs/wazero/experimental"

// allocator gives a module its linear memory, up to a limit, and remembers when that was not enough.
type allocator struct {
	limit  uint64
	denied bool
}

// Allocate implements experimental.MemoryAllocator.
func (a *allocator) Allocate(capacity, _ uint64) experimental.LinearMemory {
	return &linearMemory{allocator: a, bytes: make([]byte, 0, min(capacity, a.limit))}
}

type linearMemory struct {
	allocator *allocator
	bytes     []byte
}

// Reallocate implements experimental.LinearMemory.
func (m *linearMemory) Reallocate(size uint64) []byte {
	if size > m.allocator.limit {
		m.allocator.denied = true
		return nil
	}
	if size > uint64(cap(m.bytes)) {
		// Twice as much spares most of the copies that growing page by page would make.
		grown := make([]byte, size, min(max(size, 2*uint64(cap(m.bytes))), m.allocator.limit))
		copy(grown, m.bytes)
		m.bytes = grown
	}
	m.bytes = m.bytes[:size]
	return m.bytes
}

// Free implements experimental.LinearMemory.
func (m *linearMemory) Free() { m.bytes = nil }
