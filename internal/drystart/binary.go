// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// The kinds of imports and exports.
const (
	kindFunction = iota
	kindTable
	kindMemory
	kindGlobal
	kindTag
)

const (
	sectionCustom = iota
	sectionType
	sectionImport
	sectionFunction
	sectionTable
	sectionMemory
	sectionGlobal
	sectionExport
	sectionStart
	sectionElement
	sectionCode
	sectionData
	sectionDataCount
	sectionTag

	headerSize = 8
)

var (
	magic            = []byte("\x00asm")
	coreVersion      = []byte{1, 0, 0, 0}
	componentVersion = []byte{0x0d, 0, 1, 0}
)

var (
	errCut = errors.New("is cut off or damaged")
	// errUnknown is of what is well-formed perhaps, in a WebAssembly that is newer than this.
	errUnknown = errors.New("WebAssembly that the checker does not know")
	// errTooMuch is of what would take the checker down. V8 has bounds of the same kind, none lower.
	errTooMuch = errors.New("has more than the checker takes")
)

// abiVersions are the exports by which Envoy knows the ABI.
var abiVersions = map[string]abi{
	"proxy_abi_version_0_1_0": abi010,
	"proxy_abi_version_0_2_0": abi020,
	"proxy_abi_version_0_2_1": abi021,
}

type importEntry struct {
	module, name string
	kind         byte
}

// binaryFacts are what must be known of a module before it is compiled, in the order in which Envoy looks.
type binaryFacts struct {
	abi     abi
	imports []importEntry
	// memoryPages is what the module's memory begins with.
	memoryPages uint64
	// code is the module without its custom sections, and with an upper limit for each table.
	code []byte
}

// inspect reads a module before a runtime does. Runtimes believe what a module says of its sizes, so that a few bytes can
// ask for all memory there is; here every size is compared to what is there.
//
// What it returns together with errUnknown or errTooMuch is what it knew by then.
func inspect(module []byte) (binaryFacts, error) {
	var facts binaryFacts
	switch {
	case len(module) < headerSize || !bytes.HasPrefix(module, magic):
		return facts, errors.New("is not a WebAssembly module")
	case bytes.HasPrefix(module[len(magic):], componentVersion):
		return facts, errors.New("is a WebAssembly component; Envoy runs core modules, so build it for wasip1 (not wasip2)")
	case !bytes.HasPrefix(module[len(magic):], coreVersion):
		return facts, errors.New("has an unknown version of the WebAssembly format")
	}
	facts.code = append(make([]byte, 0, len(module)), module[:headerSize]...)
	r := &reader{rest: module[headerSize:]}
	var problem error
	for len(r.rest) > 0 {
		id := r.byte()
		content := r.bytes()
		section := &reader{rest: content}
		err := facts.readSection(id, section)
		if r.cut || section.cut {
			return facts, fmt.Errorf("%w (section %d)", errCut, id)
		}
		if problem == nil {
			problem = err
		}
		switch id {
		case sectionCustom:
		case sectionTable:
			facts.addSection(id, boundTables(content))
		default:
			facts.addSection(id, content)
		}
	}
	return facts, problem
}

func (f *binaryFacts) addSection(id byte, content []byte) {
	f.code = append(f.code, id)
	f.code = binary.AppendUvarint(f.code, uint64(len(content)))
	f.code = append(f.code, content...)
}

// readSection takes note of a section's facts. Its error may be one of those that let the caller go on.
func (f *binaryFacts) readSection(id byte, r *reader) error {
	switch id {
	case sectionCustom, sectionStart, sectionDataCount:
		return nil
	case sectionImport:
		return f.readImports(r)
	case sectionMemory:
		return f.readMemory(r)
	case sectionExport:
		f.readExports(r)
		return nil
	}
	check, known := sectionChecks[id]
	if !known {
		return errUnknown
	}
	return check(r)
}

func (f *binaryFacts) readImports(r *reader) error {
	for count := r.count(); count > 0 && !r.cut; count-- {
		entry := importEntry{module: string(r.bytes()), name: string(r.bytes()), kind: r.byte()}
		f.imports = append(f.imports, entry)
		switch entry.kind {
		case kindFunction:
			r.number()
		case kindTable:
			r.skipValueType()
			r.limits()
		case kindMemory:
			r.limits()
		case kindGlobal:
			r.skipValueType()
			r.byte()
		case kindTag:
			r.byte()
			r.number()
		default:
			return errUnknown
		}
	}
	return nil
}

func (f *binaryFacts) readMemory(r *reader) error {
	count := r.count()
	if count > 1 {
		return errUnknown
	}
	if count == 1 {
		f.memoryPages, _ = r.limits()
	}
	return nil
}

func (f *binaryFacts) readExports(r *reader) {
	for count := r.count(); count > 0 && !r.cut; count-- {
		version := abiVersions[string(r.bytes())]
		kind := r.byte()
		r.number()
		// As in Envoy the first one counts.
		if kind == kindFunction && f.abi == "" {
			f.abi = version
		}
	}
}
