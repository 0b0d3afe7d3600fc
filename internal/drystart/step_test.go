// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"encoding/binary"
	"math"

	"github.com/solarmesh/wasmplugin-operator/internal/proxywasm"
)

const (
	// out is where host functions write numbers, far where there is no memory.
	out  uint32 = 1024
	far  uint32 = math.MaxUint32 - 15
	text uint32 = 2048
)

// step is a call of a host function from proxy_on_configure, and what the plugin insists on afterwards.
type step struct {
	name string
	args []any // uint32, or int64 for an i64
	want uint32
	// words are what must stand in memory.
	words map[uint32]uint32
	// textAt is an address where the address of a text and its size must stand, said the text.
	textAt uint32
	said   string
}

// pairsOf is a list of headers in memory.
func pairsOf(headers ...string) string {
	var count uint32
	var sizes, texts []byte
	for i, text := range headers {
		sizes = binary.LittleEndian.AppendUint32(sizes, length(text))
		texts = append(append(texts, text...), 0)
		if i%2 == 0 {
			count++
		}
	}
	return string(binary.LittleEndian.AppendUint32(nil, count)) + string(sizes) + string(texts)
}

// calling returns a plugin that takes the steps in proxy_on_configure and accepts if all is as wanted.
func calling(abiVersion, moduleName string, data string, steps ...step) wasm {
	m := wasm{abi: abiVersion, data: map[uint32]string{text: data}}
	imported := map[string]int{}
	version := map[string]proxywasm.ABI{"": proxywasm.ABI021, "0_1_0": proxywasm.ABI010, "0_2_0": proxywasm.ABI020}[abiVersion]
	var body []byte
	for _, s := range steps {
		function, known := lookup(version, moduleName, s.name)
		if !known {
			panic("no function " + s.name)
		}
		if _, found := imported[s.name]; !found {
			imported[s.name] = len(m.imports)
			m.imports = append(m.imports, wasmImport{module: moduleName, name: s.name, signature: function.signature})
		}
		body = append(body, s.code(imported[s.name], function.signature.Void())...)
	}
	m.functions = []wasmFunction{{"proxy_on_configure", "ii>i", append(body, accepts...)}}
	return m
}

func (s step) code(function int, void bool) []byte {
	var body []byte
	for _, arg := range s.args {
		switch arg := arg.(type) {
		case uint32:
			body = append(body, i32(arg)...)
		case int:
			body = append(append(body, opI32Const), signed(int64(arg))...)
		case int64:
			body = append(body, i64(arg)...)
		}
	}
	body = append(body, callOf(function)...)
	if !void {
		body = append(body, refuseUnless(s.want)...)
	}
	for address, want := range s.words {
		body = append(append(body, word(i32(address), 0)...), refuseUnless(want)...)
	}
	if s.textAt > 0 {
		body = append(append(body, word(i32(s.textAt+4), 0)...), refuseUnless(length(s.said))...)
		for i := range len(s.said) / 4 {
			want := binary.LittleEndian.Uint32([]byte(s.said[4*i:]))
			body = append(append(body, word(word(i32(s.textAt), 0), uint32(4*i))...), refuseUnless(want)...)
		}
	}
	return body
}

// word reads the word at the address plus an offset.
func word(address []byte, offset uint32) []byte {
	return binary.AppendUvarint(append(address, opI32Load, 0), uint64(offset))
}

// refuseUnless ends proxy_on_configure with false if the word on the stack is another one.
func refuseUnless(want uint32) []byte {
	body := append(i32(want), opI32NotEqual, opIf, noResult)
	return append(append(body, i32(0)...), opReturn, opEnd)
}
