// SPDX-License-Identifier: Apache-2.0

package module

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
)

// chunkSize is by how much a buffer grows: by what has arrived, never by what a server announced.
const chunkSize = mib

// buffer collects a module in chunks, so that it never holds more than was read, and takes them of its namespace's share.
type buffer struct {
	limit     int64
	memory    *Memory
	namespace string
	hash      hash.Hash
	chunks    [][]byte
	size      int64
	taken     int64
}

func newBuffer(limit int64, memory *Memory, namespace string) *buffer {
	return &buffer{limit: limit, memory: memory, namespace: namespace, hash: sha256.New()}
}

// fill reads a module to its end.
func (b *buffer) fill(source io.Reader) error {
	for {
		chunk, err := b.room()
		if err != nil {
			return err
		}
		n, err := source.Read(chunk)
		last := len(b.chunks) - 1
		b.chunks[last] = b.chunks[last][:len(b.chunks[last])+n]
		b.size += int64(n)
		_, _ = b.hash.Write(chunk[:n])
		switch {
		case b.size > b.limit:
			return newError(TooLarge, "the module is larger than %d bytes", b.limit)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// room is where the next bytes go.
func (b *buffer) room() ([]byte, error) {
	if last := len(b.chunks) - 1; last >= 0 {
		if chunk := b.chunks[last]; len(chunk) < cap(chunk) {
			return chunk[len(chunk):cap(chunk)], nil
		}
	}
	if err := b.memory.take(b.namespace, chunkSize); err != nil {
		return nil, err
	}
	b.taken += chunkSize
	chunk := make([]byte, 0, chunkSize)
	b.chunks = append(b.chunks, chunk)
	return chunk[:chunkSize], nil
}

// digest is that of the bytes so far.
func (b *buffer) digest() string {
	return sha256Prefix + hex.EncodeToString(b.hash.Sum(nil))
}

// module joins the chunks, and forgets them. The result takes its memory until it is released.
func (b *buffer) module(facts Facts) *Module {
	var whole []byte
	b.memory.join(b.namespace, b.size, func() {
		whole = make([]byte, 0, b.size)
		for i, chunk := range b.chunks {
			whole = append(whole, chunk...)
			b.chunks[i] = nil
		}
		b.release()
		b.taken = b.size
	})
	facts.Digest, facts.Size = b.digest(), b.size
	return &Module{Facts: facts, Content: whole, release: b.release}
}

// release gives the memory back to others.
func (b *buffer) release() {
	b.chunks = nil
	b.memory.give(b.namespace, b.taken)
	b.taken = 0
}
