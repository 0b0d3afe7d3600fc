// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/solarmesh/wasmplugin-operator/internal/proxywasm"
)

// doesNothing is a body of a function without a result, accepts one with a result.
var (
	doesNothing []byte
	accepts     = i32(1)
)

func TestLoad(t *testing.T) {
	minimal := wasm{}.bytes()
	component := bytes.Clone(minimal)
	copy(component[4:], "\x0d\x00\x01\x00")
	future := bytes.Clone(minimal)
	future[4] = 2
	for _, row := range []struct {
		name   string
		module []byte
		want   Verdict
	}{
		{"as little as Envoy takes", minimal, Verdict{Outcome: Accepted}},
		{"ABI 0.2.0", wasm{abi: "0_2_0"}.bytes(), Verdict{Outcome: Accepted}},
		{"ABI 0.1.0", wasm{abi: "0_1_0"}.bytes(), Verdict{Outcome: Accepted}},
		{"nothing", nil, refusedAtLoad("is not a WebAssembly module")},
		{"a page of HTML", []byte("<html>404</html>"), refusedAtLoad("is not a WebAssembly module")},
		{"a component", component, refusedAtLoad("is a WebAssembly component")},
		{"a future version", future, refusedAtLoad("unknown version")},
		{"cut off", minimal[:len(minimal)-9], refusedAtLoad("the module is cut off or damaged")},
		{"no ABI", wasm{abi: "-"}.bytes(), refusedAtLoad("exports no proxy-wasm ABI version")},
		{"an ABI of old", wasm{abi: "0_0_9"}.bytes(), refusedAtLoad("exports no proxy-wasm ABI version")},
		{"no malloc", wasm{noMalloc: true}.bytes(), refusedAtLoad("exports neither malloc nor proxy_on_memory_allocate")},
		{
			"malloc by its other name",
			wasm{noMalloc: true, functions: []wasmFunction{{"proxy_on_memory_allocate", "i>i", accepts}}}.bytes(),
			Verdict{Outcome: Accepted},
		},
		{
			"another malloc", wasm{noMalloc: true, functions: []wasmFunction{{"malloc", "ii>i", accepts}}}.bytes(),
			refusedAtLoad("exports malloc as (i32 i32) -> (i32), Envoy calls it as (i32) -> (i32)"),
		},
		{
			"another callback", wasm{functions: []wasmFunction{{"proxy_on_configure", "i>i", accepts}}}.bytes(),
			refusedAtLoad("exports proxy_on_configure as (i32) -> (i32), Envoy calls it as (i32 i32) -> (i32)"),
		},
		{
			"the headers of ABI 0.1.0 in 0.2.1", wasm{functions: []wasmFunction{{"proxy_on_request_headers", "ii>i", accepts}}}.bytes(),
			refusedAtLoad("exports proxy_on_request_headers as (i32 i32) -> (i32)"),
		},
		{
			"the headers of ABI 0.1.0",
			wasm{abi: "0_1_0", functions: []wasmFunction{
				{"proxy_on_request_headers", "ii>i", accepts}, {"proxy_on_foreign_function", ">", doesNothing},
			}}.bytes(),
			Verdict{Outcome: Accepted},
		},
		{
			"a main of its own, as a command", wasm{functions: []wasmFunction{{"main", ">", doesNothing}}}.bytes(),
			Verdict{Outcome: Accepted},
		},
		{
			"a main of its own, as a reactor",
			wasm{functions: []wasmFunction{{"_initialize", ">", doesNothing}, {"main", ">", doesNothing}}}.bytes(),
			refusedAtLoad("exports main as () -> ()"),
		},
		{
			"unknown imports", withImports(
				wasmImport{module: "env", name: "proxy_log", signature: "iii>i"},
				wasmImport{module: "env", name: "proxy_get_time", signature: ">i"},
				wasmImport{module: "wasi_snapshot_preview1", name: "sock_open", signature: "ii>i"},
			), refusedAtLoad("what Envoy does not provide: env.proxy_get_time, wasi_snapshot_preview1.sock_open"),
		},
		{
			"an import of another ABI version", withImports(wasmImport{module: "env", name: "proxy_get_configuration", signature: "ii>i"}),
			refusedAtLoad("env.proxy_get_configuration"),
		},
		{
			"an import of another module", withImports(wasmImport{module: "gojs", name: "runtime.walltime", signature: "i>"}),
			refusedAtLoad("gojs.runtime.walltime"),
		},
		{
			"a function that Envoy has otherwise than WASI",
			withImports(wasmImport{module: "wasi_snapshot_preview1", name: "path_link", signature: "iiiiiii>i"}),
			refusedAtLoad("other parameters than Envoy's: wasi_snapshot_preview1.path_link (i32 "),
		},
		{"a global", withImports(wasmImport{module: "env", name: "g", kind: proxywasm.KindGlobal}), refusedAtLoad("env.g")},
		{
			"a memory from outside",
			wasm{noMemory: true, noMalloc: true, imports: []wasmImport{{module: "env", name: "memory", kind: proxywasm.KindMemory}}}.bytes(),
			Verdict{Outcome: Inconclusive, Call: "import of a memory, table or tag, env.memory"},
		},
		{
			"a table from outside, and an unknown function", withImports(
				wasmImport{module: "env", name: "table", kind: proxywasm.KindTable},
				wasmImport{module: "env", name: "proxy_get_time", signature: ">i"},
			), refusedAtLoad("env.proxy_get_time"),
		},
		{
			"more memory than Envoy gives", wasm{pages: envoyMaxPages + 1}.bytes(),
			refusedAtLoad("begins with 1025 MiB of memory; Envoy gives it 1024 MiB at most"),
		},
		{
			"code that is not known here", wasm{functions: []wasmFunction{{"f", ">", []byte{0xfb, 0x00}}}}.bytes(),
			Verdict{Outcome: Inconclusive, Call: "WebAssembly that the checker can't read"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			compare(t, check(t, Options{}, Request{Module: row.module}, "{}"), row.want)
		})
	}
}

func refusedAtLoad(reason string) Verdict {
	return Verdict{Outcome: Refused, Stage: StageLoad, Reason: reason}
}

func withImports(imports ...wasmImport) []byte { return wasm{imports: imports}.bytes() }

func TestLoadBeyondTheCheckersMemory(t *testing.T) {
	got := check(t, Options{Memory: 1 << 20}, Request{Module: wasm{pages: 17}.bytes()}, "{}")
	compare(t, got, Verdict{
		Outcome: Refused, Stage: StageLoad, Exhausted: true,
		Reason: "begins with 2 MiB of memory; the checker gives it 1 MiB at most",
	})
}

// FuzzCheck: whatever a module is, there is a verdict on it, and soon.
func FuzzCheck(f *testing.F) {
	f.Add(wasm{}.bytes())
	f.Add(wasm{start: 1, functions: []wasmFunction{{"", ">", traps}, {"proxy_on_configure", "ii>i", readsConfiguration}}}.bytes())
	f.Add(calling("", proxywasm.ModuleWASI, "text", step{name: "fd_write", args: []any{1, text, 1, out}}).bytes())
	checker := New(Options{Interpret: 100 * time.Millisecond, Timeout: 100 * time.Millisecond, Memory: 1 << 20})
	f.Fuzz(func(t *testing.T, module []byte) {
		verdict := checker.Check(t.Context(), Request{Module: module, Plugins: []Plugin{{}}})[0]
		if verdict.Outcome == "" || strings.Contains(verdict.Call, "the checker failed") {
			t.Errorf("verdict is %+v", verdict)
		}
	})
}

// FuzzInspect: whatever the bytes are, they are read without harm.
func FuzzInspect(f *testing.F) {
	f.Add(wasm{}.bytes())
	f.Add(withImports(wasmImport{module: "env", name: "t", kind: proxywasm.KindTable}, wasmImport{module: "env", name: "g", kind: proxywasm.KindGlobal}))
	f.Add([]byte("\x00asm\x01\x00\x00\x00\x02\xff\xff\xff\xff\x0f"))
	f.Fuzz(func(t *testing.T, module []byte) {
		facts, err := inspect(module)
		// An import takes at least four bytes, so no more can be found than there are.
		if len(facts.imports) > len(module)/4 {
			t.Errorf("%d imports in %d bytes, error %v", len(facts.imports), len(module), err)
		}
	})
}
