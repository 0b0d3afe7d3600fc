// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"encoding/binary"
	"fmt"
)

// The bounds on what a module has. They are V8's or lower, and far above what compilers write.
const (
	maxTypes     = 1_000_000
	maxFunctions = 1_000_000
	maxGlobals   = 1_000_000
	maxSegments  = 100_000
	maxTables    = 100
	maxEntries   = 10_000_000 // of all tables
	maxTypeSize  = 1000       // parameters, or results, of a function
	maxLocals    = 50_000     // of a function
)

// sectionChecks compare what sections say of sizes to the bounds.
var sectionChecks = map[byte]func(r *reader) error{
	sectionType:     checkTypes,
	sectionFunction: func(r *reader) error { return atMost(r.count(), maxFunctions, "functions") },
	sectionTable:    checkTables,
	sectionGlobal:   func(r *reader) error { return atMost(r.count(), maxGlobals, "global variables") },
	sectionElement:  checkElements,
	sectionCode:     checkCode,
	sectionData:     checkData,
	sectionTag:      func(r *reader) error { return atMost(r.count(), maxTypes, "tags") },
}

func atMost(count, bound uint64, what string) error {
	if count > bound {
		return fmt.Errorf("%w: %d %s", errTooMuch, count, what)
	}
	return nil
}

func checkTypes(r *reader) error {
	const function = 0x60
	count := r.count()
	if err := atMost(count, maxTypes, "types"); err != nil {
		return err
	}
	for ; count > 0 && !r.cut; count-- {
		if r.byte() != function {
			return errUnknown
		}
		params, results := r.skipValueTypes(), r.skipValueTypes()
		if err := atMost(max(params, results), maxTypeSize, "parameters or results of a function"); err != nil {
			return err
		}
	}
	return nil
}

func checkTables(r *reader) error {
	count := r.count()
	if err := atMost(count, maxTables, "tables"); err != nil {
		return err
	}
	var entries uint64
	for ; count > 0 && !r.cut; count-- {
		if kind := r.byte(); kind != funcref && kind != externref {
			return errUnknown
		}
		lower, _ := r.limits()
		entries += lower
	}
	return atMost(entries, maxEntries, "entries of tables")
}

// boundTables gives each table an upper limit, since nothing else bounds how far a table may grow. Only tables that were
// checked are loaded.
func boundTables(section []byte) []byte {
	const withUpper = 1
	r := &reader{rest: section}
	count := r.count()
	out := binary.AppendUvarint(nil, count)
	for range count {
		out = append(out, r.byte(), withUpper)
		lower, upper := r.limits()
		out = binary.AppendUvarint(out, lower)
		out = binary.AppendUvarint(out, min(upper, max(lower, maxEntries/count)))
	}
	return out
}

func checkElements(r *reader) error {
	count := r.count()
	if err := atMost(count, maxSegments, "element segments"); err != nil {
		return err
	}
	for ; count > 0 && !r.cut; count-- {
		if !skipElements(r) {
			return errUnknown
		}
	}
	return nil
}

// skipElements skips a segment, and says whether all of it is known.
func skipElements(r *reader) bool {
	const passive, explicit, expressions = 1, 2, 4
	flags := r.number()
	if flags&passive == 0 {
		if flags&explicit != 0 {
			r.number()
		}
		if !r.skipExpression() {
			return false
		}
	}
	if flags&(passive|explicit) != 0 {
		r.skipValueType()
	}
	for items := r.count(); items > 0 && !r.cut; items-- {
		if flags&expressions == 0 {
			r.number()
		} else if !r.skipExpression() {
			return false
		}
	}
	return true
}

func checkCode(r *reader) error {
	count := r.count()
	if err := atMost(count, maxFunctions, "functions"); err != nil {
		return err
	}
	for ; count > 0 && !r.cut; count-- {
		body := &reader{rest: r.bytes()}
		var locals uint64
		for groups := body.count(); groups > 0 && !body.cut; groups-- {
			// A group is at most 2^32, and there are no more than bytes; the sum can't wrap.
			locals += min(body.number(), maxLocals+1)
			body.skipValueType()
		}
		if body.cut {
			r.fail()
		}
		if err := atMost(locals, maxLocals, "local variables of a function"); err != nil {
			return err
		}
	}
	return nil
}

func checkData(r *reader) error {
	const passive, explicit = 1, 2
	count := r.count()
	if err := atMost(count, maxSegments, "data segments"); err != nil {
		return err
	}
	for ; count > 0 && !r.cut; count-- {
		flags := r.number()
		if flags&explicit != 0 {
			r.number()
		}
		if flags&passive == 0 && !r.skipExpression() {
			return errUnknown
		}
		r.bytes()
	}
	return nil
}
