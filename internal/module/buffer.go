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

// buffer collects a module in chunks, so that it never holds more than was read, and counts them against the memory of
// all fetches.
type buffer struct {
	limit  int64
	memory *budget
	hash   hash.Hash
	chunks [][]byte
	size   int64
	taken  int64
}

func newBuffer(limit int64, memory *budget) *buffer {
	return &buffer{limit: limit, memory: memory, hash: sha256.New()}
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
	if err := b.take(chunkSize); err != nil {
		return nil, err
	}
	chunk := make([]byte, 0, chunkSize)
	b.chunks = append(b.chunks, chunk)
	return chunk[:chunkSize], nil
}

func (b *buffer) take(bytes int64) error {
	err := b.memory.take(bytes)
	if err == nil {
		b.taken += bytes
	}
	return err
}

// digest is that of the bytes so far.
func (b *buffer) digest() string {
	return sha256Prefix + hex.EncodeToString(b.hash.Sum(nil))
}

// content joins the chunks, and forgets them.
func (b *buffer) content() ([]byte, error) {
	if err := b.take(b.size); err != nil {
		return nil, err
	}
	whole := make([]byte, 0, b.size)
	for i, chunk := range b.chunks {
		whole = append(whole, chunk...)
		b.chunks[i] = nil
	}
	b.chunks = nil
	return whole, nil
}

// module is the result of a fetch, if the content is a module that Envoy can load and the one that was asked for.
func (b *buffer) module(facts Facts) (*Module, error) {
	content, err := b.content()
	if err != nil {
		return nil, err
	}
	if facts.ABI, err = Inspect(content); err != nil {
		return nil, err
	}
	facts.Digest, facts.Size = b.digest(), b.size
	return &Module{Facts: facts, Content: content}, nil
}

// release gives the memory back to other fetches.
func (b *buffer) release() {
	b.chunks = nil
	b.memory.left.Add(b.taken)
	b.taken = 0
}
