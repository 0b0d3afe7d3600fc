// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"slices"
	"testing"
	"time"

	"github.com/solarmesh/wasmplugin-operator/internal/proxywasm"
)

var (
	logImport    = wasmImport{module: proxywasm.ModuleEnv, name: "proxy_log", signature: "iii>i"}
	doneImport   = wasmImport{module: proxywasm.ModuleEnv, name: "proxy_done", signature: ">i"}
	bufferImport = wasmImport{module: proxywasm.ModuleEnv, name: "proxy_get_buffer_bytes", signature: "iiiii>i"}

	traps   = []byte{opUnreachable}
	forever = []byte{opLoop, noResult, opBranch, 0, opEnd}
)

// logsText calls proxy_log, the first import, with the text of the module.
func logsText(size uint32) []byte {
	return slices.Concat(i32(levelError), i32(text), i32(size), callOf(0), []byte{opDrop})
}

func TestStart(t *testing.T) {
	said := map[uint32]string{text: "hello"}
	logged := []string{"error: hello"}
	for _, row := range []struct {
		name   string
		module wasm
		want   Verdict
	}{
		{
			"a start section that fails",
			wasm{start: 1, functions: []wasmFunction{{"", ">", traps}}},
			Verdict{Outcome: Refused, Stage: StageLoad, Reason: "the module's start section fails: unreachable"},
		},
		{
			"a start section that calls Envoy",
			wasm{imports: []wasmImport{logImport}, data: said, start: 1, functions: []wasmFunction{{"", ">", logsText(5)}}},
			Verdict{Outcome: Refused, Stage: StageLoad, Reason: "the module's start section calls proxy_log, which takes Envoy down"},
		},
		{
			"_start",
			wasm{imports: []wasmImport{logImport}, data: said, functions: []wasmFunction{{"_start", ">", logsText(5)}}},
			Verdict{Outcome: Accepted, Logs: logged},
		},
		{
			"_initialize and main instead of _start",
			wasm{imports: []wasmImport{logImport}, data: said, functions: []wasmFunction{
				{"_start", ">", traps}, {"_initialize", ">", doesNothing}, {"main", "ii>i", append(logsText(5), accepts...)}, {"__main_void", ">i", traps},
			}},
			Verdict{Outcome: Accepted, Logs: logged},
		},
		{
			"__main_void",
			wasm{functions: []wasmFunction{{"_initialize", ">", doesNothing}, {"__main_void", ">i", traps}}},
			Verdict{Outcome: Refused, Stage: StageStart, Reason: "__main_void fails: unreachable"},
		},
		{
			"_start that asks too early",
			wasm{imports: []wasmImport{doneImport}, functions: []wasmFunction{{"_start", ">", append(callOf(0), opDrop)}}},
			Verdict{Outcome: Refused, Stage: StageStart, Reason: "_start calls proxy_done, which Envoy does not allow"},
		},
		{
			"malloc that logs",
			wasm{noMalloc: true, imports: []wasmImport{logImport, bufferImport}, data: said, functions: []wasmFunction{
				{"malloc", "i>i", append(logsText(5), i32(heapStart)...)}, {"proxy_on_configure", "ii>i", readsConfiguration},
			}},
			Verdict{Outcome: Accepted, Logs: logged},
		},
		{
			"malloc that asks",
			wasm{noMalloc: true, imports: []wasmImport{doneImport, bufferImport}, functions: []wasmFunction{
				{"malloc", "i>i", callOf(0)}, {"proxy_on_configure", "ii>i", readsConfiguration},
			}},
			Verdict{Outcome: Refused, Stage: StageConfigure, Reason: "malloc calls proxy_done, which Envoy does not allow"},
		},
		{
			"another malloc that traps",
			wasm{noMalloc: true, imports: []wasmImport{doneImport, bufferImport}, functions: []wasmFunction{
				{"proxy_on_memory_allocate", "i>i", traps}, {"proxy_on_configure", "ii>i", readsConfiguration},
			}},
			Verdict{Outcome: Refused, Stage: StageConfigure, Reason: "proxy_on_memory_allocate fails: unreachable"},
		},
		{
			"malloc that has nothing left",
			wasm{noMalloc: true, imports: []wasmImport{doneImport, bufferImport}, functions: []wasmFunction{
				{"malloc", "i>i", i32(0)}, {"proxy_on_configure", "ii>i", readsConfiguration},
			}},
			Verdict{Outcome: Refused, Stage: StageConfigure, Reason: "proxy_on_configure returned false"},
		},
		{
			"no memory of its own",
			wasm{noMemory: true, noMalloc: true, imports: []wasmImport{logImport}, functions: []wasmFunction{
				{"malloc", "i>i", accepts}, {"proxy_on_configure", "ii>i", append(logsText(0), accepts...)},
			}},
			Verdict{Outcome: Refused, Stage: StageConfigure, Reason: "although the module exports no memory, which takes Envoy down"},
		},
		{
			"configuration that may only be read in time",
			wasm{imports: []wasmImport{doneImport, bufferImport}, functions: []wasmFunction{{"proxy_on_vm_start", "ii>i", readsConfiguration}}},
			Verdict{Outcome: Refused, Stage: StageStart, Reason: "proxy_on_vm_start returned false"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			compare(t, check(t, Options{}, Request{Module: row.module.bytes()}, "{}"), row.want)
		})
	}
}

// readsConfiguration accepts if proxy_get_buffer_bytes, the second import, gives the plugin's configuration.
var readsConfiguration = append(slices.Concat(
	i32(bufferPlugin), i32(0), i32(8), i32(out), i32(out+4), callOf(1), refuseUnless(ok),
), accepts...)

func TestCapabilities(t *testing.T) {
	module := wasm{
		imports: []wasmImport{logImport, {module: proxywasm.ModuleWASI, name: "fd_write", signature: "iiii>i"}},
		data:    map[uint32]string{text: "hello"},
		functions: []wasmFunction{
			{"proxy_on_vm_start", "ii>i", i32(0)},
			{"proxy_on_configure", "ii>i", slices.Concat(
				i32(1), i32(text), i32(0), i32(out), callOf(1), refuseUnless(errnoNotCapable), logsText(5), accepts,
			)},
		},
	}.bytes()
	for _, row := range []struct {
		name         string
		capabilities []string
		want         Verdict
	}{
		{"all", nil, Verdict{Outcome: Refused, Stage: StageStart}},
		{"none of the module's", []string{"proxy_on_done"}, Verdict{Outcome: Accepted}},
		{
			"all but output",
			[]string{"proxy_on_configure", "proxy_log"},
			Verdict{Outcome: Accepted, Logs: []string{"error: Attempted call to restricted WASI capability: fd_write", "error: hello"}},
		},
		{
			"only the configuration",
			[]string{"proxy_on_configure"},
			Verdict{Outcome: Accepted, Logs: []string{"error: Attempted call to restricted proxy-wasm capability: proxy_log"}},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			compare(t, check(t, Options{}, Request{Module: module, Capabilities: row.capabilities}, "{}"), row.want)
		})
	}
}

// TestSharedVM: plugins that do well alone, but not together.
func TestSharedVM(t *testing.T) {
	// The module counts its configurations in memory and takes the first only.
	const count = out
	counts := slices.Concat(
		word(i32(count), 0), refuseUnless(0),
		i32(count), i32(1), []byte{opI32Store, 2, 0}, accepts,
	)
	request := Request{
		Module: wasm{functions: []wasmFunction{{"proxy_on_configure", "ii>i", counts}}}.bytes(),
		Plugins: []Plugin{
			{Name: "base", Configuration: "{}"},
			{Name: "base", Configuration: "{}"},
			{Name: "override", Configuration: `{"a": 1}`},
			{Name: "another", Configuration: `{"a": 1}`},
		},
	}
	got := New(Options{}).Check(t.Context(), request)
	refusal := Verdict{Outcome: Refused, Stage: StageConfigure, Reason: "proxy_on_configure returned false"}
	// The second plugin is the first again; after the third one has failed, the fourth finds a VM of its own.
	for i, want := range []Verdict{{Outcome: Accepted}, {Outcome: Accepted}, refusal, {Outcome: Accepted}} {
		compare(t, got[i], want)
	}
}

// TestTimeForEach: a plugin that takes all of its time leaves the others theirs.
func TestTimeForEach(t *testing.T) {
	module := wasm{functions: []wasmFunction{{"proxy_on_configure", "ii>i", slices.Concat(
		[]byte{opLocalGet, 1}, i32(2), []byte{opI32NotEqual, opIf, noResult}, forever, []byte{opEnd}, accepts,
	)}}}
	const timeout = 500 * time.Millisecond
	for name, interpret := range map[string]time.Duration{"interpreted": timeout, "compiled": -1, "both": timeout / 2} {
		t.Run(name, func(t *testing.T) {
			got := New(Options{Interpret: interpret, Timeout: timeout}).
				Check(t.Context(), Request{Module: module.bytes(), Plugins: []Plugin{{Configuration: "for ever"}, {Configuration: "{}"}}})
			compare(t, got[0], Verdict{
				Outcome: Refused, Stage: StageConfigure, Exhausted: true, Reason: "the plugin was not ready in time; it had 500ms at most",
			})
			compare(t, got[1], Verdict{Outcome: Accepted})
		})
	}
}

// TestCompilesWhatIsSlow: a plugin that is too slow for the interpreter is ready in time when it is compiled.
func TestCompilesWhatIsSlow(t *testing.T) {
	const rounds = 20_000_000
	counting := slices.Concat(
		[]byte{opLoop, noResult}, i32(out), word(i32(out), 0), i32(1), []byte{opI32Add, opI32Store, 2, 0},
		word(i32(out), 0), i32(rounds), []byte{opI32NotEqual, opBranchIf, 0, opEnd}, accepts,
	)
	module := wasm{functions: []wasmFunction{{"proxy_on_configure", "ii>i", counting}}}.bytes()
	interpreted := check(t, Options{Interpret: time.Hour, Timeout: 100 * time.Millisecond}, Request{Module: module}, "{}")
	compare(t, interpreted, Verdict{Outcome: Refused, Stage: StageConfigure, Exhausted: true})
	compiled := check(t, Options{Interpret: 100 * time.Millisecond}, Request{Module: module}, "{}")
	compare(t, compiled, Verdict{Outcome: Accepted})
}

// TestStorage: what plugins have the host keep is bounded.
func TestStorage(t *testing.T) {
	const pages = 1024
	for _, row := range []struct {
		function string
		args     []any
	}{
		{"proxy_set_shared_data", []any{0, 1, 0, pages*pageSize - 1, 0}},
		{"proxy_define_metric", []any{0, 0, pages*pageSize - 1, out}},
		{"proxy_register_shared_queue", []any{0, pages*pageSize - 1, out}},
	} {
		t.Run(row.function, func(t *testing.T) {
			module := calling("", proxywasm.ModuleEnv, "", step{name: row.function, args: row.args})
			module.pages = pages
			compare(t, check(t, Options{}, Request{Module: module.bytes()}, "{}"), Verdict{
				Outcome: Refused, Stage: StageConfigure, Exhausted: true, Reason: "stores more through " + row.function,
			})
		})
	}
}
