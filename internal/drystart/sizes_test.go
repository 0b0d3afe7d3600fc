// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"errors"
	"slices"
	"testing"
)

// TestSizes: a few bytes that ask for a lot, each section in turn. A runtime that believed them would need gigabytes.
func TestSizes(t *testing.T) {
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0x0f}
	million := []byte{0x80, 0x89, 0x7a} // 2,000,000
	filled := func(count []byte) []byte { return append(slices.Clone(count), make([]byte, 2_000_000)...) }
	for _, row := range []struct {
		name    string
		section byte
		content []byte
		want    error
	}{
		{"types that are not there", sectionType, huge, errCut},
		{"parameters that are not there", sectionType, append([]byte{1, 0x60}, huge...), errCut},
		{"a type with too many parameters", sectionType, slices.Concat([]byte{1, 0x60, 0xd0, 0x0f}, make([]byte, 2000), []byte{0}), errTooMuch},
		{"types of a kind that is not known", sectionType, []byte{1, 0x5f, 0}, errUnknown},
		{"imports that are not there", sectionImport, huge, errCut},
		{"functions that are not there", sectionFunction, huge, errCut},
		{"too many functions", sectionFunction, filled(million), errTooMuch},
		{"tables that are not there", sectionTable, huge, errCut},
		{"too many tables", sectionTable, slices.Concat([]byte{101}, make([]byte, 300)), errTooMuch},
		{"a large table", sectionTable, slices.Concat([]byte{1, funcref, 0}, huge), errTooMuch},
		{"two tables that are too large together", sectionTable, slices.Concat([]byte{2}, table(6_000_000), table(6_000_000)), errTooMuch},
		{"a table of a kind that is not known", sectionTable, []byte{1, 0x40, 0, funcref, 0, 1}, errUnknown},
		{"two memories", sectionMemory, []byte{2, 0, 1, 0, 1}, errUnknown},
		{"too many variables", sectionGlobal, filled(million), errTooMuch},
		{"exports that are not there", sectionExport, huge, errCut},
		{"segments that are not there", sectionElement, huge, errCut},
		{"elements that are not there", sectionElement, append([]byte{1, 0, opI32Const, 0, opEnd}, huge...), errCut},
		{"elements in an unknown way", sectionElement, []byte{1, 0, 0xfb, 0, opEnd}, errUnknown},
		{"too many segments", sectionElement, filled(million), errTooMuch},
		{"code that is not there", sectionCode, huge, errCut},
		{"variables that are not there", sectionCode, append([]byte{1, 5}, huge...), errCut},
		{"a function with too many variables", sectionCode, append([]byte{1, 8, 1}, append(huge, 0x7f, opEnd)...), errTooMuch},
		{"data that are not there", sectionData, append([]byte{1, 0, opI32Const, 0, opEnd}, huge...), errCut},
		{"data in an unknown way", sectionData, []byte{1, 0, 0xfb, 0, opEnd}, errUnknown},
		{"too many data", sectionData, filled(million), errTooMuch},
		{"a section that is not known", 14, []byte{0}, errUnknown},
	} {
		t.Run(row.name, func(t *testing.T) {
			module := wasm{raw: map[byte][]byte{row.section: row.content}}.bytes()
			if _, err := inspect(module); !errors.Is(err, row.want) {
				t.Errorf("error is %v, want %v", err, row.want)
			}
			verdict := check(t, Options{}, Request{Module: module}, "{}")
			want := Verdict{Outcome: Refused, Stage: StageLoad, Exhausted: errors.Is(row.want, errTooMuch)}
			if errors.Is(row.want, errUnknown) {
				want = Verdict{Outcome: Inconclusive, Call: "WebAssembly that the checker does not know"}
			}
			compare(t, verdict, want)
		})
	}
}

// table is a table of functions without an upper limit.
func table(size int) []byte {
	w := writer{funcref, 0}
	w.number(size)
	return w
}

// TestTableGrowth: what is said of a table is one thing, how far it may grow another.
func TestTableGrowth(t *testing.T) {
	const opMisc, tableGrow, opRefNull = 0xfc, 0x0f, 0xd0
	grow := func(by uint32) []byte {
		return slices.Concat([]byte{opRefNull, funcref}, i32(by), []byte{opMisc, tableGrow, 0})
	}
	module := wasm{
		raw: map[byte][]byte{sectionTable: append([]byte{1}, table(10)...), sectionElement: {1, 3, 0, 0}},
		functions: []wasmFunction{{"proxy_on_configure", "ii>i", slices.Concat(
			grow(5), refuseUnless(10), grow(maxEntries), refuseUnless(1<<32-1), accepts,
		)}},
	}.bytes()
	compare(t, check(t, Options{}, Request{Module: module}, "{}"), Verdict{Outcome: Accepted})
}

// TestInspectKeepsTheRest: but for its custom sections and the limits of its tables, the module stays as it is.
func TestInspectKeepsTheRest(t *testing.T) {
	plain := wasm{functions: []wasmFunction{{"proxy_on_configure", "ii>i", accepts}}}.bytes()
	named := append(writer(plain), 0, 5, 4, 'n', 'a', 'm', 'e')
	for name, module := range map[string][]byte{"plain": plain, "named": named} {
		facts, err := inspect(module)
		if err != nil || !slices.Equal(facts.code, plain) {
			t.Errorf("%s: error %v, code\n%x, want\n%x", name, err, facts.code, plain)
		}
	}
}
