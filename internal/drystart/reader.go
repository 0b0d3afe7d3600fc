// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"encoding/binary"
	"math"
)

// reader reads WebAssembly's binary format. After the first value that is cut off it yields zeros.
type reader struct {
	rest []byte
	cut  bool
}

func (r *reader) fail() {
	r.rest, r.cut = nil, true
}

// number reads an unsigned number. Signed ones take as many bytes, so it skips them, too.
func (r *reader) number() uint64 {
	value, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[size:]
	return value
}

func (r *reader) byte() byte {
	if len(r.rest) == 0 {
		r.fail()
		return 0
	}
	value := r.rest[0]
	r.rest = r.rest[1:]
	return value
}

func (r *reader) take(size uint64) []byte {
	if size > math.MaxUint32 || size > uint64(len(r.rest)) {
		r.fail()
		return nil
	}
	value := r.rest[:size]
	r.rest = r.rest[size:]
	return value
}

// bytes reads a vector of bytes with its length before it.
func (r *reader) bytes() []byte { return r.take(r.number()) }

// count reads the length of a vector. Each element takes a byte at least, so there can't be more than there are bytes.
func (r *reader) count() uint64 {
	count := r.number()
	if count > uint64(len(r.rest)) {
		r.fail()
		return 0
	}
	return count
}

// limits reads the limits of a memory or table. The upper one is as high as can be where there is none.
func (r *reader) limits() (lower, upper uint64) {
	const hasUpper = 1
	flags := r.byte()
	lower, upper = r.number(), math.MaxUint32
	if flags&hasUpper != 0 {
		upper = r.number()
	}
	return lower, upper
}

const (
	funcref   = 0x70
	externref = 0x6f
	// refNullable and ref are followed by what they refer to.
	refNullable = 0x63
	ref         = 0x64
)

func (r *reader) skipValueType() {
	if kind := r.byte(); kind == refNullable || kind == ref {
		r.number()
	}
}

// skipValueTypes skips a vector of types and returns its length.
func (r *reader) skipValueTypes() uint64 {
	count := r.count()
	for i := uint64(0); i < count && !r.cut; i++ {
		r.skipValueType()
	}
	return count
}

// skipExpression skips a constant expression, and says whether all of it is known.
func (r *reader) skipExpression() bool {
	const (
		end, globalGet, i32Const, i64Const, f32Const, f64Const = 0x0b, 0x23, 0x41, 0x42, 0x43, 0x44
		i32Add, i32Mul, i64Add, i64Mul                         = 0x6a, 0x6c, 0x7c, 0x7e
		refNull, refFunc, vector, vectorConst                  = 0xd0, 0xd2, 0xfd, 0x0c
	)
	for !r.cut {
		switch code := r.byte(); {
		case code == end:
			return true
		case code == globalGet, code == i32Const, code == i64Const, code == refNull, code == refFunc:
			r.number()
		case code == f32Const:
			r.take(4)
		case code == f64Const:
			r.take(8)
		case code == vector && r.number() == vectorConst:
			r.take(16)
		case code >= i32Add && code <= i32Mul, code >= i64Add && code <= i64Mul:
		default:
			return false
		}
	}
	return false
}
