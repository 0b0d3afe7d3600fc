// SPDX-License-Identifier: Apache-2.0

package module

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/solarmesh/wasmplugin-operator/internal/proxywasm"
)

const (
	// namedImports bounds how many imports a message names.
	namedImports = 5
	// maxName bounds how much of a name a message repeats.
	maxName = 64
)

// Inspect reads as much of a module as tells whether Envoy can load it, without compiling anything: that it is a core
// module, which version of proxy-wasm it was built for, and that Envoy has all that it imports. It returns the version,
// such as 0.2.1.
func Inspect(content []byte) (abi string, err error) {
	if err := checkMagic(content); err != nil {
		return "", err
	}
	var found inventory
	// All sections are visited, so that a module that was cut short is found out.
	err = proxywasm.Sections(content, func(id byte, section []byte) error {
		switch id {
		case proxywasm.SectionImport:
			found.imports = section
			return proxywasm.Imports(section, func(proxywasm.Import) {})
		case proxywasm.SectionExport:
			return proxywasm.Exports(section, found.readExport)
		}
		return nil
	})
	if err != nil {
		return "", truncated()
	}
	return found.verdict()
}

// checkMagic looks at the first bytes of what should be a module.
func checkMagic(head []byte) error {
	isModule := bytes.HasPrefix(head, []byte(proxywasm.Magic))
	err := proxywasm.CheckHeader(head)
	switch {
	case err == nil:
		return nil
	case len(head) == 0:
		return newError(NotWasm, "what the server sends is empty")
	case isModule && len(head) < proxywasm.HeaderSize:
		return truncated()
	case errors.Is(err, proxywasm.ErrComponent):
		return newError(NotWasm, "the module is a component; proxies load core modules, so build it for wasm32-wasip1 without the component step")
	case isModule:
		return newError(NotWasm, "the module %v", err)
	case bytes.HasPrefix(bytes.TrimSpace(head), []byte("<")):
		return newError(NotWasm, "the server sends a web page and not a WebAssembly module; check the URL")
	default:
		return newError(NotWasm, "what the server sends is not a WebAssembly module")
	}
}

func truncated() error {
	return newError(NotWasm, "the module is damaged or cut short")
}

// inventory is what a module wants and offers.
type inventory struct {
	// abi is the first version of proxy-wasm that Envoy knows, as it counts for Envoy; other the first that it does not.
	abi, other proxywasm.ABI
	malloc     bool
	imports    []byte
}

func (v *inventory) readExport(name []byte, kind byte) {
	if kind != proxywasm.KindFunction {
		return
	}
	switch version, known := proxywasm.ABIOf(short(name)); {
	case known && v.abi == "":
		v.abi = version
	case !known && v.other == "":
		v.other = version
	}
	if string(name) == "malloc" || string(name) == "proxy_on_memory_allocate" {
		v.malloc = true
	}
}

// short is as much of a name as a message repeats.
func short(name []byte) string {
	return string(name[:min(len(name), maxName)])
}

// verdict is Envoy's.
func (v *inventory) verdict() (string, error) {
	if v.abi == "" && v.other != "" {
		return "", newError(Unsupported, "the module is built for proxy-wasm %q; Envoy knows 0.1.0, 0.2.0 and 0.2.1", v.other)
	}
	if v.abi == "" {
		return "", newError(Unsupported, "the module is not a proxy-wasm plugin: it exports no function proxy_abi_version_0_2_1 (or _0_2_0, _0_1_0)")
	}
	if missing := v.unprovided(); missing != "" {
		return "", newError(Unsupported, "the module imports what Envoy does not provide for proxy-wasm %s: %s", v.abi, missing)
	}
	if !v.malloc {
		return "", newError(Unsupported, "the module exports neither malloc nor proxy_on_memory_allocate, which Envoy needs")
	}
	return string(v.abi), nil
}

// unprovided lists the imports that Envoy lacks.
func (v *inventory) unprovided() string {
	var names []string
	more := 0
	visit := func(entry proxywasm.Import) {
		_, provided := proxywasm.HostFunctions(v.abi, string(entry.Module))[string(entry.Name)]
		switch {
		// Envoy makes these as the module wants them.
		case entry.Kind == proxywasm.KindMemory, entry.Kind == proxywasm.KindTable:
		case entry.Kind == proxywasm.KindFunction && provided:
		case len(names) < namedImports:
			names = append(names, fmt.Sprintf("%q", short(entry.Module)+"."+short(entry.Name)))
		default:
			more++
		}
	}
	_ = proxywasm.Imports(v.imports, visit) // It was read before.
	list := strings.Join(names, ", ")
	if more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return list
}
