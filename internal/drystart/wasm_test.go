// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/solarmesh/wasmplugin-operator/internal/proxywasm"
)

// wasm is a module that is written by hand. Its memory is exported unless it has none.
type wasm struct {
	abi       string // "" for 0.2.1, "-" for none
	imports   []wasmImport
	functions []wasmFunction
	pages     int
	noMemory  bool
	noMalloc  bool
	// start is the function, counted without imports, that runs at instantiation; 0 for none.
	start int
	// data are texts and where in memory they stand.
	data map[uint32]string
	// raw are sections that stand there as they are.
	raw map[byte][]byte
}

type wasmImport struct {
	module, name string
	signature    proxywasm.Signature
	kind         byte
}

type wasmFunction struct {
	export    string
	signature proxywasm.Signature
	body      []byte
}

const (
	opUnreachable = 0x00
	opLoop        = 0x03
	opIf          = 0x04
	opEnd         = 0x0b
	opBranch      = 0x0c
	opBranchIf    = 0x0d
	opReturn      = 0x0f
	opCall        = 0x10
	opDrop        = 0x1a
	opLocalGet    = 0x20
	opI32Load     = 0x28
	opI32Store    = 0x36
	opI32Const    = 0x41
	opI64Const    = 0x42
	opI32NotEqual = 0x47
	opI32Add      = 0x6a

	noResult = 0x40

	// heapStart is where malloc of written modules begins; it grows by what is asked for, kept in heapTop.
	heapTop   = 8
	heapStart = 4096
)

// writer emits the binary format.
type writer []byte

func (w *writer) number(value int)          { *w = binary.AppendUvarint(*w, uint64(max(value, 0))) }
func (w *writer) raw(values ...byte)        { *w = append(*w, values...) }
func (w *writer) text(value string)         { w.number(len(value)); *w = append(*w, value...) }
func (w *writer) section(id byte, b []byte) { w.raw(id); w.text(string(b)) }

// signed emits a signed LEB128 number.
func signed(value int64) []byte {
	var out []byte
	for {
		b := byte(value & 0x7f)
		value >>= 7
		if value == 0 && b&0x40 == 0 || value == -1 && b&0x40 != 0 {
			return append(out, b)
		}
		out = append(out, b|0x80)
	}
}

// i32 takes the number without a sign, which the format has with one.
func i32(value uint32) []byte {
	number := int64(value)
	if value > math.MaxInt32 {
		number -= 1 << 32
	}
	return append([]byte{opI32Const}, signed(number)...)
}

func i64(value int64) []byte { return append([]byte{opI64Const}, signed(value)...) }

func callOf(function int) []byte {
	w := writer{opCall}
	w.number(function)
	return w
}

func types(text string) []byte {
	kinds := map[rune]byte{'i': 0x7f, 'I': 0x7e, 'f': 0x7d, 'F': 0x7c}
	var list []byte
	for _, letter := range text {
		list = append(list, kinds[letter])
	}
	return list
}

// bytes encodes the module.
func (m wasm) bytes() []byte {
	functions := slices.Clone(m.functions)
	switch m.abi {
	case "-":
	case "":
		functions = append(functions, wasmFunction{export: "proxy_abi_version_0_2_1", signature: ">"})
	default:
		functions = append(functions, wasmFunction{export: "proxy_abi_version_" + m.abi, signature: ">"})
	}
	data := map[uint32]string{}
	maps.Copy(data, m.data)
	if !m.noMalloc {
		functions = append(functions, wasmFunction{export: "malloc", signature: "i>i", body: mallocBody()})
		data[heapTop] = string(binary.LittleEndian.AppendUint32(nil, heapStart))
	}
	var signatures []proxywasm.Signature
	imported := 0
	for _, entry := range m.imports {
		signatures = append(signatures, entry.signature)
		if entry.kind == proxywasm.KindFunction {
			imported++
		}
	}
	for _, function := range functions {
		signatures = append(signatures, function.signature)
	}
	sections := map[byte][]byte{
		proxywasm.SectionType: typeSection(signatures), proxywasm.SectionImport: m.importSection(),
		proxywasm.SectionFunction: functionSection(len(m.imports), len(functions)), proxywasm.SectionMemory: {1, 0},
		proxywasm.SectionExport: exportSection(functions, imported, !m.noMemory),
		proxywasm.SectionStart:  m.startSection(imported), proxywasm.SectionCode: codeSection(functions), proxywasm.SectionData: dataSection(data),
	}
	sections[proxywasm.SectionMemory] = binary.AppendUvarint(sections[proxywasm.SectionMemory], uint64(max(m.pages, 1)))
	if m.noMemory {
		delete(sections, proxywasm.SectionMemory)
		delete(sections, proxywasm.SectionData)
	}
	maps.Copy(sections, m.raw)
	out := writer(proxywasm.Magic + "\x01\x00\x00\x00")
	for _, id := range slices.Sorted(maps.Keys(sections)) {
		if len(sections[id]) > 0 {
			out.section(id, sections[id])
		}
	}
	return out
}

func (m wasm) startSection(imported int) []byte {
	if m.start == 0 {
		return nil
	}
	return binary.AppendUvarint(nil, uint64(max(imported+m.start-1, 0)))
}

// mallocBody returns the top of the heap and moves it on.
func mallocBody() []byte {
	const aligned = 2
	top := append(i32(heapTop), opI32Load, aligned, 0)
	body := slices.Concat(top, i32(heapTop), top, []byte{opLocalGet, 0, opI32Add})
	return append(body, opI32Store, aligned, 0)
}

func typeSection(signatures []proxywasm.Signature) []byte {
	var w writer
	w.number(len(signatures))
	for _, s := range signatures {
		params, results, _ := strings.Cut(string(s), ">")
		w.raw(0x60)
		w.text(string(types(params)))
		w.text(string(types(results)))
	}
	return w
}

func (m wasm) importSection() []byte {
	var w writer
	w.number(len(m.imports))
	for i, entry := range m.imports {
		w.text(entry.module)
		w.text(entry.name)
		w.raw(entry.kind)
		switch entry.kind {
		case proxywasm.KindFunction:
			w.number(i)
		case proxywasm.KindTable:
			w.raw(0x70, 0, 1)
		case proxywasm.KindMemory:
			w.raw(0, 1)
		case proxywasm.KindGlobal:
			w.raw(0x7f, 0)
		}
	}
	return w
}

func functionSection(imports, functions int) []byte {
	var w writer
	w.number(functions)
	for i := range functions {
		w.number(imports + i)
	}
	return w
}

func exportSection(functions []wasmFunction, imports int, memory bool) []byte {
	var list writer
	count := 0
	for i, function := range functions {
		if function.export != "" {
			list.text(function.export)
			list.raw(proxywasm.KindFunction)
			list.number(imports + i)
			count++
		}
	}
	if memory {
		list.text("memory")
		list.raw(proxywasm.KindMemory, 0)
		count++
	}
	var w writer
	w.number(count)
	return append(w, list...)
}

func codeSection(functions []wasmFunction) []byte {
	var w writer
	w.number(len(functions))
	for _, function := range functions {
		w.text("\x00" + string(function.body) + string(rune(opEnd)))
	}
	return w
}

func dataSection(data map[uint32]string) []byte {
	var w writer
	w.number(len(data))
	for address, text := range data {
		w.raw(0)
		w.raw(i32(address)...)
		w.raw(opEnd)
		w.text(text)
	}
	return w
}
