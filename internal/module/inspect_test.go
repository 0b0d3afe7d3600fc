// SPDX-License-Identifier: Apache-2.0

package module

import (
	"bytes"
	"strings"
	"testing"

	"github.com/solarmesh/wasmplugin-operator/internal/proxywasm"
)

func TestInspect(t *testing.T) {
	abi := func(version string, more ...string) []string {
		return append([]string{"proxy_abi_version_" + version}, append(more, "malloc")...)
	}
	var every []string
	for _, from := range []string{proxywasm.ModuleEnv, proxywasm.ModuleWASI, proxywasm.ModuleWASIUnstable} {
		for name := range proxywasm.HostFunctions(proxywasm.ABI021, from) {
			every = append(every, from+"."+name)
		}
	}
	tests := map[string]struct {
		module  plugin
		want    string
		message string
	}{
		"0.2.1":                          {plugin{exports: abi("0_2_1")}, "0.2.1", ""},
		"0.2.0":                          {plugin{exports: abi("0_2_0")}, "0.2.0", ""},
		"0.1.0":                          {plugin{exports: abi("0_1_0")}, "0.1.0", ""},
		"two versions, the first counts": {plugin{exports: abi("0_2_0", "proxy_abi_version_0_2_1")}, "0.2.0", ""},
		"a known one after an unknown":   {plugin{exports: abi("9_9_9", "proxy_abi_version_0_2_1")}, "0.2.1", ""},
		"memory by another name":         {plugin{exports: []string{"proxy_abi_version_0_2_1", "proxy_on_memory_allocate"}}, "0.2.1", ""},
		"all that Envoy has":             {plugin{imports: every, exports: abi("0_2_1")}, "0.2.1", ""},
		"of this version":                {plugin{imports: []string{"env.proxy_get_log_level", "env.proxy_close_stream"}, exports: abi("0_2_1")}, "0.2.1", ""},
		"of the first version":           {plugin{imports: []string{"env.proxy_continue_request"}, exports: abi("0_1_0")}, "0.1.0", ""},
		"no imports":                     {plugin{imports: []string{}, exports: abi("0_2_1")}, "0.2.1", ""},

		"a version to come":      {plugin{exports: abi("0_3_0")}, "", `built for proxy-wasm "0.3.0"`},
		"no plugin":              {plugin{exports: []string{"_start"}}, "", "not a proxy-wasm plugin"},
		"no memory":              {plugin{exports: []string{"proxy_abi_version_0_2_1"}}, "", "malloc"},
		"of another version":     {plugin{imports: []string{"env.proxy_continue_request"}, exports: abi("0_2_1")}, "", `"env.proxy_continue_request"`},
		"of a later version":     {plugin{imports: []string{"env.proxy_get_log_level"}, exports: abi("0_2_0")}, "", `0.2.0: "env.proxy_get_log_level"`},
		"unknown function":       {plugin{imports: []string{"env.proxy_log", "env.abort"}, exports: abi("0_2_1")}, "", `0.2.1: "env.abort"`},
		"unknown module":         {plugin{imports: []string{"gojs.runtime.wasmExit"}, exports: abi("0_2_1")}, "", `"gojs.runtime.wasmExit"`},
		"function of another":    {plugin{imports: []string{"env.fd_write"}, exports: abi("0_2_1")}, "", `"env.fd_write"`},
		"many unknown functions": {plugin{imports: strings.Split(strings.Repeat("a.b,", 99)+"a.b", ","), exports: abi("0_2_1")}, "", "and 95 more"},
		"a name that does harm":  {plugin{imports: []string{"env.\x1b[31m\u202e\n" + strings.Repeat("x", 200)}, exports: abi("0_2_1")}, "", `"env.\x1b[31m\u202e\n` + strings.Repeat("x", 55) + `"`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Inspect(tc.module.bytes())
			if tc.message == "" {
				if err != nil || got != tc.want {
					t.Errorf("got %q, %v, want %q", got, err, tc.want)
				}
				return
			}
			wantKind(t, err, Unsupported)
			if err == nil || !strings.Contains(err.Error(), tc.message) {
				t.Errorf("got %v, want %q", err, tc.message)
			}
		})
	}
}

func TestInspectKindsOfImports(t *testing.T) {
	described := func(kind byte, more ...byte) []byte { return append([]byte{kind}, more...) }
	tests := map[string]struct {
		description []byte
		missing     bool
	}{
		"function":            {described(proxywasm.KindFunction, 0), true},
		"table":               {described(proxywasm.KindTable, 0x70, 1, 1, 0x80, 1), false},
		"table, long type":    {described(proxywasm.KindTable, 0x63, 0x70, 0, 1), false},
		"memory":              {described(proxywasm.KindMemory, 0, 17), false},
		"memory with maximum": {described(proxywasm.KindMemory, 1, 17, 0xff, 0xff, 3), false},
		"memory of 64 bits":   {described(proxywasm.KindMemory, 5, 17, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1), false},
		"global":              {described(proxywasm.KindGlobal, 0x7f, 1), true},
		"exception":           {described(4, 0, 0), true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			entry := append(append(text("env"), text("x")...), tc.description...)
			module := bytes.Join([][]byte{
				[]byte(proxywasm.Magic), moduleVersion, section(proxywasm.SectionImport, vector(entry)),
				section(proxywasm.SectionExport, vector(append(text("proxy_abi_version_0_2_1"), 0, 0), append(text("malloc"), 0, 0), append(text("memory"), 2, 0))),
			}, nil)
			_, err := Inspect(module)
			if tc.missing {
				wantKind(t, err, Unsupported)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRow12DamagedSections(t *testing.T) {
	tests := map[string][]byte{
		"section of 4 GiB":               {0, 0xff, 0xff, 0xff, 0xff, 0x0f},
		"number of 6 bytes":              {0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00},
		"number above 32 bits":           {0, 0xff, 0xff, 0xff, 0xff, 0x7f},
		"no length":                      {2},
		"imports that are not there":     section(proxywasm.SectionImport, number(500_000)),
		"more imports than V8 takes":     section(proxywasm.SectionImport, number(1_000_001)),
		"import of no known kind":        section(proxywasm.SectionImport, append([]byte{1, 1, 'a', 1, 'b', 9}, 0)),
		"memory without end":             section(proxywasm.SectionImport, append([]byte{1, 1, 'a', 1, 'b', 2, 0}, bytes.Repeat([]byte{0xff}, 12)...)),
		"bytes behind the imports":       section(proxywasm.SectionImport, []byte{0, 0}),
		"exports that are not there":     section(proxywasm.SectionExport, number(500_000)),
		"a name longer than its section": section(proxywasm.SectionExport, []byte{1, 200, 'a', 0, 0}),
	}
	for name, damage := range tests {
		t.Run("row 12: "+name, func(t *testing.T) {
			_, err := Inspect(bytes.Join([][]byte{[]byte(proxywasm.Magic), moduleVersion, damage}, nil))
			wantKind(t, err, NotWasm)
		})
	}
}

func TestInspectKeepsLittleOfALargeModule(t *testing.T) {
	const million = 1_000_000
	entry := append(append(text("a"), text("b")...), proxywasm.KindFunction, 0)
	imports := section(proxywasm.SectionImport, append(number(million), bytes.Repeat(entry, million)...))
	module := bytes.Join([][]byte{[]byte(proxywasm.Magic), moduleVersion, imports}, nil)
	var err error
	if bytes := allocated(func() { _, err = Inspect(module) }); bytes > mib {
		t.Errorf("allocated %d KiB for a million imports", bytes/kib)
	}
	wantKind(t, err, Unsupported)
}
