// SPDX-License-Identifier: Apache-2.0

// Package proxywasm reads of a proxy-wasm module what can be known without running it, and knows what Envoy offers to one.
package proxywasm

import (
	"bytes"
	"errors"
)

// The sections of a module.
const (
	SectionCustom = iota
	SectionType
	SectionImport
	SectionFunction
	SectionTable
	SectionMemory
	SectionGlobal
	SectionExport
	SectionStart
	SectionElement
	SectionCode
	SectionData
	SectionDataCount
	SectionTag
)

// The kinds of imports and exports.
const (
	KindFunction = iota
	KindTable
	KindMemory
	KindGlobal
	KindTag
)

const (
	// Magic is how every module and component begins.
	Magic = "\x00asm"
	// HeaderSize is that of the magic and the version.
	HeaderSize = 8

	coreVersion    = "\x01\x00\x00\x00"
	componentLayer = "\x01\x00"

	// maxEntries is how many imports and exports V8 takes.
	maxEntries = 1_000_000
)

// What keeps a module from being read.
var (
	ErrNoModule  = errors.New("is not a WebAssembly module")
	ErrComponent = errors.New("is a WebAssembly component; Envoy runs core modules, so build it for wasip1 (not wasip2)")
	ErrVersion   = errors.New("has an unknown version of the WebAssembly format")
	ErrCut       = errors.New("is cut off or damaged")
	// ErrUnknown is of what is well-formed perhaps, in a WebAssembly that is newer than this.
	ErrUnknown = errors.New("WebAssembly that the checker does not know")
)

// CheckHeader looks at the first bytes of what should be a module.
func CheckHeader(head []byte) error {
	version, isModule := bytes.CutPrefix(head, []byte(Magic))
	switch {
	case !isModule || len(head) < HeaderSize:
		return ErrNoModule
	case bytes.HasPrefix(version[len(coreVersion)-len(componentLayer):], []byte(componentLayer)):
		return ErrComponent
	case !bytes.HasPrefix(version, []byte(coreVersion)):
		return ErrVersion
	}
	return nil
}

// Sections visits the sections of a module whose header was checked. It ends where a visit does with an error, or with
// ErrCut.
func Sections(module []byte, visit func(id byte, content []byte) error) error {
	r := NewReader(module[HeaderSize:])
	for len(r.rest) > 0 {
		id, content := r.Byte(), r.Bytes()
		if r.cut {
			return ErrCut
		}
		if err := visit(id, content); err != nil {
			return err
		}
	}
	return nil
}

// Import is what a module wants.
type Import struct {
	Module, Name []byte
	Kind         byte
}

// Imports visits the imports of their section. Its error is ErrCut or ErrUnknown.
func Imports(section []byte, visit func(Import)) error {
	return entries(section, func(r *Reader) error {
		entry := Import{Module: r.Bytes(), Name: r.Bytes(), Kind: r.Byte()}
		switch entry.Kind {
		case KindFunction:
			r.Number()
		case KindTable:
			r.SkipValueType()
			r.Limits()
		case KindMemory:
			r.Limits()
		case KindGlobal:
			r.SkipValueType()
			r.Byte()
		case KindTag:
			r.Byte()
			r.Number()
		default:
			return ErrUnknown
		}
		if !r.cut {
			visit(entry)
		}
		return nil
	})
}

// Exports visits the exports of their section. Its error is ErrCut.
func Exports(section []byte, visit func(name []byte, kind byte)) error {
	return entries(section, func(r *Reader) error {
		name, kind := r.Bytes(), r.Byte()
		if r.Number(); !r.cut {
			visit(name, kind)
		}
		return nil
	})
}

// entries reads a vector, which is all that there is.
func entries(section []byte, read func(*Reader) error) error {
	r := NewReader(section)
	count := r.Count()
	if count > maxEntries {
		return ErrCut
	}
	for ; count > 0 && !r.cut; count-- {
		if err := read(r); err != nil && !r.cut {
			return err
		}
	}
	if r.cut || len(r.rest) > 0 {
		return ErrCut
	}
	return nil
}
