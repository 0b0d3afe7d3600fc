// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"encoding/binary"
	"testing"

	"github.com/solarmesh/wasmplugin-operator/internal/proxywasm"
)

func TestWASI(t *testing.T) {
	vectors := func(parts ...uint32) string {
		var list []byte
		for _, part := range parts {
			list = binary.LittleEndian.AppendUint32(list, part)
		}
		return string(list)
	}
	for _, row := range []struct {
		name  string
		data  string
		steps []step
		logs  []string
	}{
		{
			name: "outputs", data: vectors(text+32, 6, text+38, 7, text+45, 5) + "        one\ntwo three\nfour",
			steps: []step{
				{name: "fd_write", args: []any{1, text, 3, out}, words: map[uint32]uint32{out: 18}},
				{name: "fd_pwrite", args: []any{2, text, 1, int64(9), out}, words: map[uint32]uint32{out: 6}},
				{name: "fd_write", args: []any{0, text, 3, out}, want: errnoBadFile},
				{name: "fd_write", args: []any{1, far, 3, out}, want: errnoFault},
				{name: "fd_write", args: []any{1, text, 3, far + 13}, want: errnoFault},
				{name: "fd_fdstat_get", args: []any{2, out}, words: map[uint32]uint32{out: 0, out + 8: 64, out + 16: 0}},
				{name: "fd_fdstat_get", args: []any{0, out}, want: errnoBadFile},
			},
			logs: []string{"info: one", "info: two three", "error: one"},
		},
		{name: "environment", steps: []step{
			{name: "environ_sizes_get", args: []any{out, out + 4}, words: map[uint32]uint32{out: 1, out + 4: 8}},
			{name: "environ_get", args: []any{out, out + 16}, words: map[uint32]uint32{
				out: out + 16, out + 16: binary.LittleEndian.Uint32([]byte("NAME")), out + 20: binary.LittleEndian.Uint32([]byte("=on\x00")),
			}},
			{name: "environ_get", args: []any{out, far}, want: errnoFault},
			{name: "args_sizes_get", args: []any{out, out + 4}, words: map[uint32]uint32{out: 0, out + 4: 0}},
			{name: "args_get", args: []any{far, far}},
		}},
		{name: "clocks and chance", steps: []step{
			{name: "clock_time_get", args: []any{0, int64(0), out}},
			{name: "clock_time_get", args: []any{1, int64(0), out}},
			{name: "clock_time_get", args: []any{2, int64(0), out}, want: errnoNotSupported},
			{name: "clock_time_get", args: []any{0, int64(0), far + 12}, want: errnoFault},
			{name: "clock_res_get", args: []any{1, out}, words: map[uint32]uint32{out: 1, out + 4: 0}},
			{name: "clock_res_get", args: []any{2, out}, want: errnoNotSupported},
			{name: "random_get", args: []any{out, 16}},
			{name: "random_get", args: []any{far, 0}},
			{name: "random_get", args: []any{far, 99}, want: errnoFault},
			{name: "random_get", args: []any{out, 65537}, want: errnoInvalid},
			{name: "poll_oneoff", args: []any{0, 0, 1, out}, words: map[uint32]uint32{out: 0}},
			{name: "sched_yield"},
			{name: "proc_exit", args: []any{1}},
		}},
		{name: "files", data: "/etc/hosts", steps: []step{
			{name: "path_open", args: []any{3, 0, text, 10, 0, int64(0), int64(0), 0, out}, want: errnoNoEntry},
			{name: "fd_prestat_get", args: []any{3, out}, want: errnoBadFile},
			{name: "fd_prestat_dir_name", args: []any{3, out, 8}, want: errnoNoSys},
			{name: "fd_filestat_get", args: []any{1, out}, want: errnoBadFile},
			{name: "fd_read", args: []any{0, text, 0, out}, want: errnoNoSys},
			{name: "fd_pread", args: []any{0, text, 0, int64(0), out}, want: errnoNoSys},
			{name: "fd_readdir", args: []any{3, out, 8, int64(0), out + 8}, want: errnoNotDirectory, words: map[uint32]uint32{out + 8: 0}},
			{name: "fd_close", args: []any{9}},
			{name: "fd_seek", args: []any{9, int64(0), 0, out}},
			{name: "fd_tell", args: []any{1, out}, words: map[uint32]uint32{out: 0, out + 4: 0}},
			{name: "fd_tell", args: []any{9, out}, want: errnoBadFile},
			{name: "fd_renumber", args: []any{1, 2}, want: errnoNotSupported},
			{name: "fd_renumber", args: []any{1, 3}, want: errnoBadFile},
			{name: "fd_sync", args: []any{1}},
			{name: "fd_sync", args: []any{3}, want: errnoBadFile},
			{name: "fd_fdstat_set_flags", args: []any{1, 0}, want: errnoNoSys},
			{name: "fd_advise", args: []any{9, int64(0), int64(0), 0}},
			{name: "path_filestat_get", args: []any{3, 0, text, 10, out}, want: errnoNotSupported},
			{name: "path_readlink", args: []any{3, text, 10, out, 8, out + 8}, want: errnoNotSupported, words: map[uint32]uint32{out + 8: 0}},
		}},
		{name: "sockets", steps: []step{
			{name: "sock_accept", args: []any{3, 0, out}, want: errnoNotSupported, words: map[uint32]uint32{out: 0}},
			{name: "sock_recv", args: []any{3, text, 0, 0, out, out + 4}, want: errnoNotSupported},
			{name: "sock_recv", args: []any{3, text, 0, 0, out, far + 15}, want: errnoFault},
			{name: "sock_send", args: []any{3, text, 0, 0, out}, want: errnoNotSupported},
			{name: "sock_shutdown", args: []any{3, 0}, want: errnoNotSupported},
		}},
	} {
		for _, moduleName := range []string{proxywasm.ModuleWASI, proxywasm.ModuleWASIUnstable} {
			t.Run(row.name+"/"+moduleName, func(t *testing.T) {
				request := Request{Module: calling("", moduleName, row.data, row.steps...).bytes(), Env: map[string]string{"NAME": "on"}}
				compare(t, check(t, Options{}, request, "{}"), Verdict{Outcome: Accepted, Logs: row.logs})
			})
		}
	}
}

// TestEveryFunction links a module against all that Envoy offers: names and parameters are Envoy's, which no compiler checks.
func TestEveryFunction(t *testing.T) {
	for version, name := range map[proxywasm.ABI]string{proxywasm.ABI010: "0_1_0", proxywasm.ABI020: "0_2_0", proxywasm.ABI021: "0_2_1"} {
		m := wasm{abi: name}
		for _, moduleName := range []string{proxywasm.ModuleEnv, proxywasm.ModuleWASI, proxywasm.ModuleWASIUnstable} {
			for function := range proxywasm.HostFunctions(version, moduleName) {
				if functions[function].run == nil {
					t.Errorf("nothing stands in for %s.%s", moduleName, function)
				}
				m.add(version, moduleName, function)
			}
		}
		t.Run(name, func(t *testing.T) {
			compare(t, check(t, Options{}, Request{Module: m.bytes()}, "{}"), Verdict{Outcome: Accepted})
		})
	}
}

func (m *wasm) add(version proxywasm.ABI, moduleName, name string) {
	function, _ := lookup(version, moduleName, name)
	m.imports = append(m.imports, wasmImport{module: moduleName, name: name, signature: function.signature})
}
