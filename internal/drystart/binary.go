// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/solarmesh/wasmplugin-operator/internal/proxywasm"
)

// errTooMuch is of what would take the checker down. V8 has bounds of the same kind, none lower.
var errTooMuch = errors.New("has more than the checker takes")

type importEntry struct {
	module, name string
	kind         byte
}

// binaryFacts are what must be known of a module before it is compiled, in the order in which Envoy looks.
type binaryFacts struct {
	abi     proxywasm.ABI
	imports []importEntry
	// memoryPages is what the module's memory begins with.
	memoryPages uint64
	// code is the module without its custom sections, and with an upper limit for each table.
	code []byte
}

// inspect reads a module before a runtime does. Runtimes believe what a module says of its sizes, so that a few bytes can
// ask for all memory there is; here every size is compared to what is there.
//
// What it returns together with proxywasm.ErrUnknown or errTooMuch is what it knew by then.
func inspect(module []byte) (binaryFacts, error) {
	var facts binaryFacts
	if err := proxywasm.CheckHeader(module); err != nil {
		return facts, err
	}
	facts.code = append(make([]byte, 0, len(module)), module[:proxywasm.HeaderSize]...)
	var problem error
	err := proxywasm.Sections(module, func(id byte, content []byte) error {
		err := facts.readSection(id, content)
		if errors.Is(err, proxywasm.ErrCut) {
			return fmt.Errorf("%w (section %d)", err, id)
		}
		if problem == nil {
			problem = err
		}
		switch id {
		case proxywasm.SectionCustom:
		case proxywasm.SectionTable:
			facts.addSection(id, boundTables(content))
		default:
			facts.addSection(id, content)
		}
		return nil
	})
	if err != nil {
		return facts, err
	}
	return facts, problem
}

func (f *binaryFacts) addSection(id byte, content []byte) {
	f.code = append(f.code, id)
	f.code = binary.AppendUvarint(f.code, uint64(len(content)))
	f.code = append(f.code, content...)
}

// readSection takes note of a section's facts. Its error may be one of those that let the caller go on.
func (f *binaryFacts) readSection(id byte, content []byte) error {
	switch id {
	case proxywasm.SectionCustom, proxywasm.SectionStart, proxywasm.SectionDataCount:
		return nil
	case proxywasm.SectionImport:
		return proxywasm.Imports(content, func(entry proxywasm.Import) {
			f.imports = append(f.imports, importEntry{string(entry.Module), string(entry.Name), entry.Kind})
		})
	case proxywasm.SectionExport:
		return proxywasm.Exports(content, f.readExport)
	}
	check, known := sectionChecks[id]
	if id == proxywasm.SectionMemory {
		check, known = f.readMemory, true
	}
	if !known {
		return proxywasm.ErrUnknown
	}
	r := proxywasm.NewReader(content)
	if err := check(r); !r.Cut() {
		return err
	}
	return proxywasm.ErrCut
}

func (f *binaryFacts) readMemory(r *proxywasm.Reader) error {
	count := r.Count()
	if count > 1 {
		return proxywasm.ErrUnknown
	}
	if count == 1 {
		f.memoryPages, _ = r.Limits()
	}
	return nil
}

func (f *binaryFacts) readExport(name []byte, kind byte) {
	// As in Envoy the first one counts.
	if version, known := proxywasm.ABIOf(string(name)); known && kind == proxywasm.KindFunction && f.abi == "" {
		f.abi = version
	}
}
