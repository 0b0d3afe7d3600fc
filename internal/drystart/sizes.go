// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"encoding/binary"
	"fmt"

	"github.com/solarmesh/wasmplugin-operator/internal/proxywasm"
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

const (
	funcref   = 0x70
	externref = 0x6f
)

// sectionChecks compare what sections say of sizes to the bounds.
var sectionChecks = map[byte]func(r *proxywasm.Reader) error{
	proxywasm.SectionType:     checkTypes,
	proxywasm.SectionFunction: func(r *proxywasm.Reader) error { return atMost(r.Count(), maxFunctions, "functions") },
	proxywasm.SectionTable:    checkTables,
	proxywasm.SectionGlobal:   func(r *proxywasm.Reader) error { return atMost(r.Count(), maxGlobals, "global variables") },
	proxywasm.SectionElement:  checkElements,
	proxywasm.SectionCode:     checkCode,
	proxywasm.SectionData:     checkData,
	proxywasm.SectionTag:      func(r *proxywasm.Reader) error { return atMost(r.Count(), maxTypes, "tags") },
}

func atMost(count, bound uint64, what string) error {
	if count > bound {
		return fmt.Errorf("%w: %d %s", errTooMuch, count, what)
	}
	return nil
}

func checkTypes(r *proxywasm.Reader) error {
	const function = 0x60
	count := r.Count()
	if err := atMost(count, maxTypes, "types"); err != nil {
		return err
	}
	for ; count > 0 && !r.Cut(); count-- {
		if r.Byte() != function {
			return proxywasm.ErrUnknown
		}
		params, results := r.SkipValueTypes(), r.SkipValueTypes()
		if err := atMost(max(params, results), maxTypeSize, "parameters or results of a function"); err != nil {
			return err
		}
	}
	return nil
}

func checkTables(r *proxywasm.Reader) error {
	count := r.Count()
	if err := atMost(count, maxTables, "tables"); err != nil {
		return err
	}
	var entries uint64
	for ; count > 0 && !r.Cut(); count-- {
		if kind := r.Byte(); kind != funcref && kind != externref {
			return proxywasm.ErrUnknown
		}
		lower, _ := r.Limits()
		entries += min(lower, maxEntries+1)
	}
	return atMost(entries, maxEntries, "entries of tables")
}

// boundTables gives each table an upper limit, since nothing else bounds how far a table may grow. Only tables that were
// checked are loaded.
func boundTables(section []byte) []byte {
	const withUpper = 1
	r := proxywasm.NewReader(section)
	count := r.Count()
	out := binary.AppendUvarint(nil, count)
	for range count {
		out = append(out, r.Byte(), withUpper)
		lower, upper := r.Limits()
		out = binary.AppendUvarint(out, lower)
		out = binary.AppendUvarint(out, min(upper, max(lower, maxEntries/count)))
	}
	return out
}

func checkElements(r *proxywasm.Reader) error {
	count := r.Count()
	if err := atMost(count, maxSegments, "element segments"); err != nil {
		return err
	}
	for ; count > 0 && !r.Cut(); count-- {
		if !skipElements(r) {
			return proxywasm.ErrUnknown
		}
	}
	return nil
}

// skipElements skips a segment, and says whether all of it is known.
func skipElements(r *proxywasm.Reader) bool {
	const passive, explicit, expressions = 1, 2, 4
	flags := r.Number()
	if flags&passive == 0 {
		if flags&explicit != 0 {
			r.Number()
		}
		if !r.SkipExpression() {
			return false
		}
	}
	if flags&(passive|explicit) != 0 {
		r.SkipValueType()
	}
	for items := r.Count(); items > 0 && !r.Cut(); items-- {
		if flags&expressions == 0 {
			r.Number()
		} else if !r.SkipExpression() {
			return false
		}
	}
	return true
}

func checkCode(r *proxywasm.Reader) error {
	count := r.Count()
	if err := atMost(count, maxFunctions, "functions"); err != nil {
		return err
	}
	for ; count > 0 && !r.Cut(); count-- {
		body := proxywasm.NewReader(r.Bytes())
		var locals uint64
		for groups := body.Count(); groups > 0 && !body.Cut(); groups-- {
			// A group is at most 2^32, and there are no more than bytes; the sum can't wrap.
			locals += min(body.Number(), maxLocals+1)
			body.SkipValueType()
		}
		if body.Cut() {
			r.Fail()
		}
		if err := atMost(locals, maxLocals, "local variables of a function"); err != nil {
			return err
		}
	}
	return nil
}

func checkData(r *proxywasm.Reader) error {
	const passive, explicit = 1, 2
	count := r.Count()
	if err := atMost(count, maxSegments, "data segments"); err != nil {
		return err
	}
	for ; count > 0 && !r.Cut(); count-- {
		flags := r.Number()
		if flags&explicit != 0 {
			r.Number()
		}
		if flags&passive == 0 && !r.SkipExpression() {
			return proxywasm.ErrUnknown
		}
		r.Bytes()
	}
	return nil
}
