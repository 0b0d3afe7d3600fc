// SPDX-License-Identifier: Apache-2.0

package proxywasm

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
)

func TestCheckHeader(t *testing.T) {
	for name, test := range map[string]struct {
		head string
		want error
	}{
		"core":                    {Magic + "\x01\x00\x00\x00", nil},
		"core, and more":          {Magic + "\x01\x00\x00\x00\x00", nil},
		"component":               {Magic + "\x0d\x00\x01\x00", ErrComponent},
		"component of the future": {Magic + "\x0e\x00\x01\x00", ErrComponent},
		"future":                  {Magic + "\x02\x00\x00\x00", ErrVersion},
		"cut off":                 {Magic + "\x01\x00\x00", ErrNoModule},
		"nothing":                 {"", ErrNoModule},
		"something else":          {"<!DOCTYPE html>", ErrNoModule},
	} {
		t.Run(name, func(t *testing.T) {
			if err := CheckHeader([]byte(test.head)); !errors.Is(err, test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestNumbers(t *testing.T) {
	long := func(bytes int, last byte) []byte {
		return append([]byte(strings.Repeat("\xff", bytes-1)), last)
	}
	for name, test := range map[string]struct {
		content []byte
		number  uint64
		cut     bool
		long    uint64
		longCut bool
	}{
		"zero":                 {[]byte{0}, 0, false, 0, false},
		"two bytes":            {[]byte{0xe5, 0x0e}, 1893, false, 1893, false},
		"padded":               {[]byte{0x81, 0x80, 0x80, 0x80, 0x00}, 1, false, 1, false},
		"the largest":          {long(5, 0x0f), math.MaxUint32, false, math.MaxUint32, false},
		"above 32 bits":        {long(5, 0x1f), 0, true, 1<<33 - 1, false},
		"padded too much":      {[]byte{0x81, 0x80, 0x80, 0x80, 0x80, 0x00}, 0, true, 1, false},
		"the smallest, signed": {append([]byte(strings.Repeat("\x80", 9)), 0x7f), 0, true, 1 << 63, false},
		"above 64 bits":        {long(11, 0), 0, true, 0, true},
		"cut off":              {[]byte{0x80}, 0, true, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			if r := NewReader(test.content); r.Number() != test.number || r.Cut() != test.cut {
				t.Errorf("number: want %d, cut: %t, got cut: %t", test.number, test.cut, r.Cut())
			}
			if r := NewReader(test.content); r.Long() != test.long || r.Cut() != test.longCut {
				t.Errorf("long: want %d, cut: %t, got cut: %t", test.long, test.longCut, r.Cut())
			}
		})
	}
}

func TestImportsAndExports(t *testing.T) {
	section := []byte("\x03" + "\x01a\x01f\x00\x05" + "\x01a\x01m\x02\x01\x01\x02" + "\x01a\x01t\x01\x63\x70\x00\x01")
	var names []string
	err := Imports(section, func(entry Import) { names = append(names, string(entry.Name)) })
	if err != nil || strings.Join(names, " ") != "f m t" {
		t.Errorf("imports %v, %v", names, err)
	}
	for name, test := range map[string]struct {
		section []byte
		want    error
	}{
		"cut off":           {section[:len(section)-1], ErrCut},
		"with more behind":  {append(bytes.Clone(section), 0), ErrCut},
		"of unknown kind":   {[]byte("\x01\x01a\x01b\x09\x00"), ErrUnknown},
		"cut off in a name": {[]byte("\x01\x05a"), ErrCut},
		"no count":          {nil, ErrCut},
	} {
		t.Run(name, func(t *testing.T) {
			if err := Imports(test.section, func(Import) {}); !errors.Is(err, test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	names = nil
	err = Exports([]byte("\x01\x03run\x00\x07"), func(name []byte, _ byte) { names = append(names, string(name)) })
	if err != nil || strings.Join(names, " ") != "run" {
		t.Errorf("exports %v, %v", names, err)
	}
}

func TestABIOf(t *testing.T) {
	for export, want := range map[string]struct {
		version ABI
		known   bool
	}{
		"proxy_abi_version_0_2_1": {ABI021, true}, "proxy_abi_version_0_1_0": {ABI010, true},
		"proxy_abi_version_0_3_0": {"0.3.0", false}, "malloc": {"", false},
	} {
		if version, known := ABIOf(export); version != want.version || known != want.known {
			t.Errorf("%s: %s, %t", export, version, known)
		}
	}
}

func TestHostFunctions(t *testing.T) {
	for _, test := range []struct {
		version      ABI
		module, name string
		want         Signature
	}{
		{ABI021, ModuleEnv, "proxy_log", "iii>i"},
		{ABI021, ModuleEnv, "proxy_get_log_level", "i>i"},
		{ABI020, ModuleEnv, "proxy_get_log_level", ""},
		{ABI010, ModuleEnv, "proxy_get_configuration", "ii>i"},
		{ABI021, ModuleEnv, "envoy_resolve_dns", "iii>i"},
		{ABI021, ModuleEnv, "fd_write", ""},
		{ABI021, ModuleWASI, "fd_write", "iiii>i"},
		{ABI010, ModuleWASIUnstable, "clock_time_get", "iIi>i"},
		{ABI021, "wasi_snapshot_preview2", "fd_write", ""},
		{"0.3.0", ModuleEnv, "proxy_log", ""},
	} {
		if got := HostFunctions(test.version, test.module)[test.name]; got != test.want {
			t.Errorf("%+v: got %q", test, got)
		}
	}
	for version, want := range map[ABI]int{ABI010: 43, ABI020: 41, ABI021: 42} {
		if got := len(HostFunctions(version, ModuleEnv)); got != want {
			t.Errorf("%s has %d functions in env", version, got)
		}
	}
	for name, signature := range HostFunctions(ABI021, ModuleWASI) {
		if params, result, found := strings.Cut(string(signature), ">"); !found || strings.Trim(params, "iI") != "" || len(result) > 1 {
			t.Errorf("%s is %q", name, signature)
		}
	}
}

// FuzzRead: whatever the bytes are, they are read without harm and to the end.
func FuzzRead(f *testing.F) {
	f.Add([]byte("\x02\x0a\x01\x03env\x01f\x00\x00"))
	f.Add([]byte("\x41\x00\x0b\xfd\x0c"))
	f.Fuzz(func(t *testing.T, content []byte) {
		found := 0
		err := Sections(append([]byte(Magic+"\x01\x00\x00\x00"), content...), func(_ byte, section []byte) error {
			_ = Imports(section, func(Import) { found++ })
			_ = Exports(section, func([]byte, byte) { found++ })
			r := NewReader(section)
			if r.SkipExpression() && r.Cut() {
				t.Error("an expression that is known was cut off")
			}
			return nil
		})
		if err != nil && !errors.Is(err, ErrCut) || found > len(content) {
			t.Errorf("found %d in %d bytes, %v", found, len(content), err)
		}
	})
}
