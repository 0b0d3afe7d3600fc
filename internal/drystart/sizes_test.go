// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"errors"
	"slices"
	"testing"

	"github.com/solarmesh/wasmplugin-operator/internal/proxywasm"
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
		{"types that are not there", proxywasm.SectionType, huge, proxywasm.ErrCut},
		{"parameters that are not there", proxywasm.SectionType, append([]byte{1, 0x60}, huge...), proxywasm.ErrCut},
		{"a type with too many parameters", proxywasm.SectionType, slices.Concat([]byte{1, 0x60, 0xd0, 0x0f}, make([]byte, 2000), []byte{0}), errTooMuch},
		{"types of a kind that is not known", proxywasm.SectionType, []byte{1, 0x5f, 0}, proxywasm.ErrUnknown},
		{"imports that are not there", proxywasm.SectionImport, huge, proxywasm.ErrCut},
		{"functions that are not there", proxywasm.SectionFunction, huge, proxywasm.ErrCut},
		{"too many functions", proxywasm.SectionFunction, filled(million), errTooMuch},
		{"tables that are not there", proxywasm.SectionTable, huge, proxywasm.ErrCut},
		{"too many tables", proxywasm.SectionTable, slices.Concat([]byte{101}, make([]byte, 300)), errTooMuch},
		{"a large table", proxywasm.SectionTable, slices.Concat([]byte{1, funcref, 0}, huge), errTooMuch},
		{"two tables that are too large together", proxywasm.SectionTable, slices.Concat([]byte{2}, table(6_000_000), table(6_000_000)), errTooMuch},
		{"a table of a kind that is not known", proxywasm.SectionTable, []byte{1, 0x40, 0, funcref, 0, 1}, proxywasm.ErrUnknown},
		{"two memories", proxywasm.SectionMemory, []byte{2, 0, 1, 0, 1}, proxywasm.ErrUnknown},
		{"too many variables", proxywasm.SectionGlobal, filled(million), errTooMuch},
		{"exports that are not there", proxywasm.SectionExport, huge, proxywasm.ErrCut},
		{"segments that are not there", proxywasm.SectionElement, huge, proxywasm.ErrCut},
		{"elements that are not there", proxywasm.SectionElement, append([]byte{1, 0, opI32Const, 0, opEnd}, huge...), proxywasm.ErrCut},
		{"elements in an unknown way", proxywasm.SectionElement, []byte{1, 0, 0xfb, 0, opEnd}, proxywasm.ErrUnknown},
		{"too many segments", proxywasm.SectionElement, filled(million), errTooMuch},
		{"code that is not there", proxywasm.SectionCode, huge, proxywasm.ErrCut},
		{"variables that are not there", proxywasm.SectionCode, append([]byte{1, 5}, huge...), proxywasm.ErrCut},
		{"a function with too many variables", proxywasm.SectionCode, append([]byte{1, 8, 1}, append(huge, 0x7f, opEnd)...), errTooMuch},
		{"data that are not there", proxywasm.SectionData, append([]byte{1, 0, opI32Const, 0, opEnd}, huge...), proxywasm.ErrCut},
		{"data in an unknown way", proxywasm.SectionData, []byte{1, 0, 0xfb, 0, opEnd}, proxywasm.ErrUnknown},
		{"too many data", proxywasm.SectionData, filled(million), errTooMuch},
		{"a section that is not known", 14, []byte{0}, proxywasm.ErrUnknown},
	} {
		t.Run(row.name, func(t *testing.T) {
			module := wasm{raw: map[byte][]byte{row.section: row.content}}.bytes()
			if _, err := inspect(module); !errors.Is(err, row.want) {
				t.Errorf("error is %v, want %v", err, row.want)
			}
			verdict := check(t, Options{}, Request{Module: module}, "{}")
			want := Verdict{Outcome: Refused, Stage: StageLoad, Exhausted: errors.Is(row.want, errTooMuch)}
			if errors.Is(row.want, proxywasm.ErrUnknown) {
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
		raw: map[byte][]byte{proxywasm.SectionTable: append([]byte{1}, table(10)...), proxywasm.SectionElement: {1, 3, 0, 0}},
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
