// SPDX-License-Identifier: Apache-2.0

package module

const (
	maxVarint32 = 5
	maxVarint64 = 10
	varintBits  = 7
	moreBit     = 0x80
	hasMaximum  = 0x01
	// maxEntries is how many imports and exports V8 takes.
	maxEntries = 1_000_000

	// nullable and nonNullable begin a reference type of more than one byte.
	nullable    = 0x63
	nonNullable = 0x64
)

// reader takes WebAssembly's encoding apart. It allocates nothing, and believes no length that leads past the end.
type reader struct {
	rest []byte
}

func (r *reader) byte() (byte, bool) {
	if len(r.rest) == 0 {
		return 0, false
	}
	value := r.rest[0]
	r.rest = r.rest[1:]
	return value, true
}

// number reads an unsigned LEB128 of up to 32 bits.
func (r *reader) number() (uint32, bool) {
	var value uint64
	for i := range maxVarint32 {
		next, ok := r.byte()
		if !ok {
			return 0, false
		}
		value |= uint64(next&^moreBit) << (varintBits * i)
		if next&moreBit == 0 {
			return uint32(value), value>>32 == 0 //nolint:gosec // The second result says whether it fits.
		}
	}
	return 0, false
}

// bytes reads a vector of bytes: a name, or a section's content.
func (r *reader) bytes() ([]byte, bool) {
	length, ok := r.number()
	if !ok || uint64(length) > uint64(len(r.rest)) {
		return nil, false
	}
	value := r.rest[:length]
	r.rest = r.rest[length:]
	return value, true
}

// list visits the entries of a vector, which must be all that there is.
func (r *reader) list(visit func(*reader) bool) bool {
	length, ok := r.number()
	if !ok || length > maxEntries {
		return false
	}
	for range length {
		if !visit(r) {
			return false
		}
	}
	return len(r.rest) == 0
}

// skipType passes over the type of an import.
func (r *reader) skipType(kind byte) bool {
	switch kind {
	case externFunction:
		_, ok := r.number()
		return ok
	case externTable:
		return r.skipValueType() && r.skipLimits()
	case externMemory:
		return r.skipLimits()
	case externGlobal:
		okType := r.skipValueType()
		_, okMutable := r.byte()
		return okType && okMutable
	default: // an exception
		_, okAttribute := r.byte()
		_, okType := r.number()
		return okAttribute && okType
	}
}

func (r *reader) skipValueType() bool {
	first, ok := r.byte()
	if !ok || (first != nullable && first != nonNullable) {
		return ok
	}
	// A heap type, in the same number of bytes as an unsigned number.
	_, ok = r.number()
	return ok
}

func (r *reader) skipLimits() bool {
	flags, ok := r.byte()
	if !ok {
		return false
	}
	numbers := 1
	if flags&hasMaximum != 0 {
		numbers = 2
	}
	for range numbers {
		if !r.skipNumber() {
			return false
		}
	}
	return true
}

// skipNumber passes over a LEB128 of up to 64 bits.
func (r *reader) skipNumber() bool {
	for range maxVarint64 {
		next, ok := r.byte()
		if !ok {
			return false
		}
		if next&moreBit == 0 {
			return true
		}
	}
	return false
}
