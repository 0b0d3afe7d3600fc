// SPDX-License-Identifier: Apache-2.0

package proxywasm

import "math"

// Reader reads WebAssembly's binary format. It allocates nothing and believes no length: after the first value that is cut
// off, or longer than it can be, it yields zeros.
type Reader struct {
	rest []byte
	cut  bool
}

// NewReader returns a Reader of a section's content.
func NewReader(content []byte) *Reader { return &Reader{rest: content} }

// Cut says whether something was cut off.
func (r *Reader) Cut() bool { return r.cut }

// Fail ends the reading as if the rest were cut off.
func (r *Reader) Fail() { r.rest, r.cut = nil, true }

// Byte reads a byte.
func (r *Reader) Byte() byte {
	if len(r.rest) == 0 {
		r.Fail()
		return 0
	}
	value := r.rest[0]
	r.rest = r.rest[1:]
	return value
}

// Number reads an unsigned number of up to 32 bits.
func (r *Reader) Number() uint64 {
	const longest = 5
	value := r.leb128(longest)
	if value > math.MaxUint32 {
		r.Fail()
		return 0
	}
	return value
}

// Long reads an unsigned number of up to 64 bits, and skips a signed one.
func (r *Reader) Long() uint64 {
	const longest = 10
	return r.leb128(longest)
}

func (r *Reader) leb128(longest int) uint64 {
	const bits, more = 7, 0x80
	var value uint64
	for i := range longest {
		next := r.Byte()
		value |= uint64(next&^more) << (bits * i)
		if next&more == 0 {
			return value
		}
	}
	r.Fail()
	return 0
}

// Take reads as many bytes.
func (r *Reader) Take(size uint64) []byte {
	if size > uint64(len(r.rest)) {
		r.Fail()
		return nil
	}
	value := r.rest[:size]
	r.rest = r.rest[size:]
	return value
}

// Bytes reads a vector of bytes: a name, or the content of a section.
func (r *Reader) Bytes() []byte { return r.Take(r.Number()) }

// Count reads the length of a vector. Each element takes a byte at least, so there can't be more than there are bytes.
func (r *Reader) Count() uint64 {
	count := r.Number()
	if count > uint64(len(r.rest)) {
		r.Fail()
		return 0
	}
	return count
}

// Limits reads the limits of a memory or table. The upper one is as high as can be where there is none.
func (r *Reader) Limits() (lower, upper uint64) {
	const hasUpper = 1
	flags := r.Byte()
	lower, upper = r.Long(), math.MaxUint32
	if flags&hasUpper != 0 {
		upper = r.Long()
	}
	return lower, upper
}

// SkipValueType skips a type of values.
func (r *Reader) SkipValueType() {
	const refNullable, ref = 0x63, 0x64
	if kind := r.Byte(); kind == refNullable || kind == ref {
		// What it refers to.
		r.Long()
	}
}

// SkipValueTypes skips a vector of types and returns its length.
func (r *Reader) SkipValueTypes() uint64 {
	count := r.Count()
	for i := uint64(0); i < count && !r.cut; i++ {
		r.SkipValueType()
	}
	return count
}

// SkipExpression skips a constant expression, and says whether all of it is known.
func (r *Reader) SkipExpression() bool {
	const (
		end, globalGet, i32Const, i64Const, f32Const, f64Const = 0x0b, 0x23, 0x41, 0x42, 0x43, 0x44
		i32Add, i32Mul, i64Add, i64Mul                         = 0x6a, 0x6c, 0x7c, 0x7e
		refNull, refFunc, vector, vectorConst                  = 0xd0, 0xd2, 0xfd, 0x0c
	)
	for !r.cut {
		switch code := r.Byte(); {
		case code == end:
			return true
		case code == globalGet, code == i32Const, code == i64Const, code == refNull, code == refFunc:
			r.Long()
		case code == f32Const:
			r.Take(4)
		case code == f64Const:
			r.Take(8)
		case code == vector && r.Number() == vectorConst:
			r.Take(16)
		case code >= i32Add && code <= i32Mul, code >= i64Add && code <= i64Mul:
		default:
			return false
		}
	}
	return false
}
