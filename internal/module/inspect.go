// SPDX-License-Identifier: Apache-2.0

package module

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
)

const (
	sectionImports = 2
	sectionExports = 7

	externFunction = 0
	externTable    = 1
	externMemory   = 2
	externGlobal   = 3

	abiPrefix = "proxy_abi_version_"
	headerLen = 8
	// namedImports bounds how many imports a message names.
	namedImports = 5
	// maxName bounds how much of a name a message repeats.
	maxName = 64
)

var (
	wasmMagic     = []byte("\x00asm")
	moduleVersion = []byte{1, 0, 0, 0}
	// componentLayer is how the second half of a component's version reads; that of a core module is 0.
	componentLayer = []byte{1, 0}
)

// Inspect reads as much of a module as tells whether Envoy can load it, without compiling anything: that it is a core
// module, which version of proxy-wasm it was built for, and that Envoy has all that it imports. It returns the version,
// such as 0.2.1.
func Inspect(content []byte) (abi string, err error) {
	if err := checkMagic(content); err != nil {
		return "", err
	}
	found := inventory{ofABI: map[string]bool{}}
	if err := found.readSections(&reader{rest: content[headerLen:]}); err != nil {
		return "", err
	}
	return found.verdict()
}

// checkMagic looks at the first bytes of what should be a module.
func checkMagic(head []byte) error {
	switch {
	case len(head) == 0:
		return newError(NotWasm, "what the server sends is empty")
	case !bytes.HasPrefix(head, wasmMagic) && bytes.HasPrefix(bytes.TrimSpace(head), []byte("<")):
		return newError(NotWasm, "the server sends a web page and not a WebAssembly module; check the URL")
	case !bytes.HasPrefix(head, wasmMagic):
		return newError(NotWasm, "what the server sends is not a WebAssembly module")
	case len(head) < headerLen:
		return truncated()
	case bytes.Equal(head[len(wasmMagic)+2:headerLen], componentLayer):
		return newError(NotWasm, "the module is a component; proxies load core modules, so build it for wasm32-wasip1 without the component step")
	case !bytes.Equal(head[len(wasmMagic):headerLen], moduleVersion):
		return newError(NotWasm, "the module has an unknown version of the WebAssembly format")
	default:
		return nil
	}
}

func truncated() error {
	return newError(NotWasm, "the module is damaged or cut short")
}

// inventory is what a module wants and offers. It keeps a few names of each, however many the module has.
type inventory struct {
	abis   []string
	malloc bool
	// ofABI are imports that depend on the version of proxy-wasm; missing are those that no version has.
	ofABI   map[string]bool
	missing []string
	more    int
}

// readSections visits all sections, so that a module that was cut short is found out.
func (v *inventory) readSections(module *reader) error {
	for len(module.rest) > 0 {
		id, ok := module.byte()
		content, whole := module.bytes()
		if !ok || !whole {
			return truncated()
		}
		section := &reader{rest: content}
		switch id {
		case sectionImports:
			ok = section.list(v.readImport)
		case sectionExports:
			ok = section.list(v.readExport)
		}
		if !ok {
			return truncated()
		}
	}
	return nil
}

func (v *inventory) readImport(section *reader) bool {
	from, okFrom := section.bytes()
	name, okName := section.bytes()
	kind, okKind := section.byte()
	if !okFrom || !okName || !okKind || !section.skipType(kind) {
		return false
	}
	// Envoy makes memories and tables as the module wants them.
	if kind != externMemory && kind != externTable {
		v.want(from, name, kind)
	}
	return true
}

func (v *inventory) want(from, name []byte, kind byte) {
	switch {
	case kind == externFunction && hostFunctions[string(from)][string(name)]:
	case kind == externFunction && string(from) == "env" && dependsOnABI[string(name)]:
		v.ofABI[string(name)] = true
	case len(v.missing) < namedImports:
		v.missing = append(v.missing, fmt.Sprintf("%q", short(from)+"."+short(name)))
	default:
		v.more++
	}
}

// short is as much of a name as a message repeats.
func short(name []byte) string {
	return string(name[:min(len(name), maxName)])
}

func (v *inventory) readExport(section *reader) bool {
	name, okName := section.bytes()
	kind, okKind := section.byte()
	_, okIndex := section.number()
	if !okName || !okKind || !okIndex {
		return false
	}
	if kind != externFunction {
		return true
	}
	if version, isABI := strings.CutPrefix(short(name), abiPrefix); isABI && len(v.abis) < namedImports {
		v.abis = append(v.abis, strings.ReplaceAll(version, "_", "."))
	}
	if string(name) == "malloc" || string(name) == "proxy_on_memory_allocate" {
		v.malloc = true
	}
	return true
}

// verdict is Envoy's: the first version that it knows counts.
func (v *inventory) verdict() (string, error) {
	for _, abi := range v.abis {
		ofABI, known := hostFunctionsOfABI[abi]
		if !known {
			continue
		}
		if missing := v.unprovided(ofABI); missing != "" {
			return "", newError(Unsupported, "the module imports what Envoy does not provide for proxy-wasm %s: %s", abi, missing)
		}
		if !v.malloc {
			return "", newError(Unsupported, "the module exports neither malloc nor proxy_on_memory_allocate, which Envoy needs")
		}
		return abi, nil
	}
	if len(v.abis) > 0 {
		return "", newError(Unsupported, "the module is built for proxy-wasm %q; Envoy knows 0.1.0, 0.2.0 and 0.2.1", v.abis[0])
	}
	return "", newError(Unsupported, "the module is not a proxy-wasm plugin: it exports no function proxy_abi_version_0_2_1 (or _0_2_0, _0_1_0)")
}

// unprovided lists the imports that Envoy lacks for a version.
func (v *inventory) unprovided(ofABI map[string]bool) string {
	names := v.missing
	for _, name := range slices.Sorted(maps.Keys(v.ofABI)) {
		if !ofABI[name] {
			names = append(names, fmt.Sprintf("%q", "env."+name))
		}
	}
	list := strings.Join(names, ", ")
	if v.more > 0 {
		list += fmt.Sprintf(" and %d more", v.more)
	}
	return list
}
