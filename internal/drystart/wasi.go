// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"crypto/rand"
	"encoding/binary"
	"maps"
	"slices"
	"time"
)

// The error numbers that Envoy returns.
const (
	errnoBadFile      uint32 = 8
	errnoNotDirectory uint32 = 20 // as Envoy has it; in WASI it is 54
	errnoFault        uint32 = 21
	errnoInvalid      uint32 = 28
	errnoNoEntry      uint32 = 44
	errnoNoSys        uint32 = 52
	errnoNotSupported uint32 = 58
	errnoNotCapable   uint32 = 76
)

const (
	stdout = 1
	stderr = 2

	clockRealtime  = 0
	clockMonotonic = 1

	maxRandomBytes = 64 << 10
)

// started is where the monotonic clock begins.
var started = time.Now()

// zeroThen writes 0 to where the parameter points and fails.
func zeroThen(param int, errno uint32) func(c *call) uint32 {
	return func(c *call) uint32 {
		c.setWord(param, 0)
		return errno
	}
}

func (c *call) argsSizes() uint32 {
	c.setWord(0, 0)
	c.setWord(1, 0)
	return ok
}

// variables are the environment as C has it.
func (c *call) variables() [][]byte {
	var list [][]byte
	for _, name := range slices.Sorted(maps.Keys(c.request.Env)) {
		list = append(list, []byte(name+"="+c.request.Env[name]+"\x00"))
	}
	return list
}

func (c *call) environSizes() uint32 {
	var count, size uint32
	for _, variable := range c.variables() {
		count++
		size += length(variable)
	}
	c.setWord(0, count)
	c.setWord(1, size)
	return ok
}

func (c *call) environ() uint32 {
	const pointerSize = 4
	pointers, text := c.word(0), c.word(1)
	for _, variable := range c.variables() {
		if !c.mem().WriteUint32Le(pointers, text) || !c.mem().Write(text, variable) {
			return errnoFault
		}
		pointers += pointerSize
		text += length(variable)
	}
	return ok
}

func (c *call) clockTime() uint32 {
	var nanoseconds int64
	switch c.word(0) {
	case clockRealtime:
		nanoseconds = time.Now().UnixNano()
	case clockMonotonic:
		nanoseconds = time.Since(started).Nanoseconds()
	default:
		return errnoNotSupported
	}
	c.setLong(2, uint64(nanoseconds))
	return ok
}

func (c *call) clockResolution() uint32 {
	if id := c.word(0); id != clockRealtime && id != clockMonotonic {
		return errnoNotSupported
	}
	c.setLong(1, 1)
	return ok
}

func (c *call) random() uint32 {
	if c.word(1) > maxRandomBytes {
		return errnoInvalid
	}
	if c.word(1) > 0 {
		// Since Go 1.24 it never returns an error.
		_, _ = rand.Read(c.bytes(0))
	}
	return ok
}

// poll says that nothing happened. Runtimes that sleep by it ask again until their time has come.
func (c *call) poll() uint32 {
	c.setWord(3, 0)
	return ok
}

func (c *call) isOutput() bool { return c.word(0) == stdout || c.word(0) == stderr }

func (c *call) outputOnly() uint32 {
	if !c.isOutput() {
		return errnoBadFile
	}
	return ok
}

func (c *call) fdStat() uint32 {
	if !c.isOutput() {
		return errnoBadFile
	}
	const rightToWrite, rightsAt, size = 64, 8, 24
	stat := make([]byte, size)
	stat[rightsAt] = rightToWrite
	// Envoy does not look at whether this succeeds either.
	c.mem().Write(c.word(1), stat)
	return ok
}

func (c *call) fdTell() uint32 {
	if !c.isOutput() {
		return errnoBadFile
	}
	c.setLong(1, 0)
	return ok
}

func (c *call) fdRenumber() uint32 {
	if to := c.word(1); !c.isOutput() || to != stdout && to != stderr {
		return errnoBadFile
	}
	return errnoNotSupported
}

func (c *call) fdWrite() uint32 { return c.writeOutput(3) }

// fdPwrite takes no notice of the offset.
func (c *call) fdPwrite() uint32 { return c.writeOutput(4) }

// writeOutput logs what is written to an output, and writes the count of bytes to where the parameter points.
func (c *call) writeOutput(param int) uint32 {
	if !c.isOutput() {
		return errnoBadFile
	}
	const vectorSize = 8
	level := levelInfo
	if c.word(0) == stderr {
		level = levelError
	}
	var text []byte
	whole := true
	written, address := uint32(0), c.word(1)
	for range c.word(2) {
		vector := c.read(address, vectorSize)
		if c.fault {
			return errnoFault
		}
		piece := c.read(binary.LittleEndian.Uint32(vector), binary.LittleEndian.Uint32(vector[4:]))
		// More than a message can't be kept.
		kept := piece[:min(len(piece), maxMessageBytes+1-len(text))]
		text, whole = append(text, kept...), whole && len(kept) == len(piece)
		written += length(piece)
		address += vectorSize
	}
	if !c.fault {
		c.logs.write(level, string(text), whole)
		c.setWord(param, written)
	}
	return ok
}

func (c *call) sockAccept() uint32 {
	c.setLong(2, 0)
	return errnoNotSupported
}

func (c *call) sockReceive() uint32 {
	c.setWord(4, 0)
	c.fault = !c.mem().WriteUint16Le(c.word(5), 0) || c.fault
	return errnoNotSupported
}
