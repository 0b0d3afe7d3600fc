// SPDX-License-Identifier: Apache-2.0

package runtimeconfig

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/solarmesh/wasmplugin-operator/internal/proxywasm"
)

const (
	// SectionName is that of the custom section in which a module carries its runtime-config.json.
	SectionName = "wasm.solarmesh.io/runtime-config"
	// MaxSize bounds a runtime-config.json.
	MaxSize = 1 << 20
)

// What keeps a module from carrying a runtime-config.json.
var (
	ErrEmpty    = errors.New(FileName + " is empty")
	ErrTooLarge = fmt.Errorf("%s is larger than %d KiB", FileName, MaxSize>>10)
	ErrTwice    = errors.New("the module carries more than one " + FileName)
)

// Embed returns the module with a runtime-config.json in a custom section at its end. One that is there is replaced; all
// else stays as it is, byte for byte, so the same module and file always make the same.
func Embed(module, config []byte) ([]byte, error) {
	switch {
	case len(config) == 0:
		return nil, ErrEmpty
	case len(config) > MaxSize:
		return nil, ErrTooLarge
	}
	out := make([]byte, 0, len(module)+len(config)+2*len(SectionName))
	err := walk(module, func(section, carried []byte) {
		if carried == nil {
			out = append(out, section...)
		}
	})
	if err != nil {
		return nil, err
	}
	name := append(binary.AppendUvarint(nil, uint64(len(SectionName))), SectionName...)
	out = append(out, proxywasm.SectionCustom)
	out = binary.AppendUvarint(out, uint64(len(name)+len(config)))
	return append(append(out, name...), config...), nil
}

// Extract returns the runtime-config.json that a module carries, and whether it carries one.
func Extract(module []byte) ([]byte, bool, error) {
	var found []byte
	count := 0
	err := walk(module, func(_, carried []byte) {
		if carried != nil {
			found = carried
			count++
		}
	})
	switch {
	case err != nil:
		return nil, false, err
	case count == 0:
		return nil, false, nil
	case count > 1:
		return nil, false, ErrTwice
	case len(found) == 0:
		return nil, false, ErrEmpty
	case len(found) > MaxSize:
		return nil, false, ErrTooLarge
	}
	return found, true, nil
}

// walk visits the parts of a module as they stand in it: the header first, then each section. Of a section that carries a
// runtime-config.json, carried is that file, otherwise nil.
func walk(module []byte, visit func(section, carried []byte)) error {
	if err := proxywasm.CheckHeader(module); err != nil {
		return fmt.Errorf("the file %w", err)
	}
	visit(module[:proxywasm.HeaderSize], nil)
	rest := module[proxywasm.HeaderSize:]
	for len(rest) > 0 {
		content, end, err := first(rest)
		if err != nil {
			return err
		}
		var carried []byte
		if rest[0] == proxywasm.SectionCustom {
			if carried, err = carriedIn(content); err != nil {
				return err
			}
		}
		visit(rest[:end], carried)
		rest = rest[end:]
	}
	return nil
}

// carriedIn is what stands behind the name of a custom section, if it is our name, otherwise nil.
func carriedIn(content []byte) ([]byte, error) {
	r := proxywasm.NewReader(content)
	name := r.Bytes()
	if r.Cut() {
		return nil, damaged()
	}
	if string(name) != SectionName {
		return nil, nil
	}
	_, length := binary.Uvarint(content)
	return slices.Clip(content[length+len(name):]), nil
}

// first is the first section's content, and where the section ends. proxywasm's reader doesn't tell how a length is written,
// which is to stay.
func first(rest []byte) (content []byte, end int, err error) {
	const longest = 5
	r := proxywasm.NewReader(rest)
	r.Byte()
	content = r.Bytes()
	_, length := binary.Uvarint(rest[1:])
	if r.Cut() || length <= 0 || length > longest {
		return nil, 0, damaged()
	}
	return content, 1 + length + len(content), nil
}

func damaged() error { return fmt.Errorf("the file %w", proxywasm.ErrCut) }
