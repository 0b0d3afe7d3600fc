// SPDX-License-Identifier: Apache-2.0

package proxywasm

import (
	"strings"
)

// ABI is a version of the proxy-wasm ABI.
type ABI string

// The versions that Envoy knows.
const (
	ABI010 ABI = "0.1.0"
	ABI020 ABI = "0.2.0"
	ABI021 ABI = "0.2.1"
)

// abiPrefix begins the name of the function by whose export a module says for which version it is.
const abiPrefix = "proxy_abi_version_"

// ABIOf is the version that a module with this export is for. known: Envoy knows it.
func ABIOf(export string) (version ABI, known bool) {
	text, found := strings.CutPrefix(export, abiPrefix)
	if !found {
		return "", false
	}
	version = ABI(strings.ReplaceAll(text, "_", "."))
	return version, version == ABI010 || version == ABI020 || version == ABI021
}

// Signature is a function's type in short: a letter per parameter, i for i32 and I for i64 (f and F for floats, ? for the
// rest), then the result. "iI>i" takes an i32 and an i64 and returns an i32.
type Signature string

func (s Signature) String() string {
	names := strings.NewReplacer("i", "i32 ", "I", "i64 ", "f", "f32 ", "F", "f64 ")
	params, results, _ := strings.Cut(string(s), ">")
	return "(" + strings.TrimSpace(names.Replace(params)) + ") -> (" + strings.TrimSpace(names.Replace(results)) + ")"
}

// Void says whether it has no result.
func (s Signature) Void() bool { return strings.HasSuffix(string(s), ">") }

// The modules whose functions Envoy offers.
const (
	ModuleEnv          = "env"
	ModuleWASI         = "wasi_snapshot_preview1"
	ModuleWASIUnstable = "wasi_unstable"
)

// HostFunctions are the functions of a module that Envoy offers, as of Envoy 1.39 (Istio 1.31); older ones have fewer of
// WASI's. The set is fixed: an import that is not in it makes Envoy refuse the module.
func HostFunctions(version ABI, module string) map[string]Signature {
	switch module {
	case ModuleEnv:
		return proxyFunctions[version]
	case ModuleWASI, ModuleWASIUnstable:
		return wasiFunctions
	}
	return nil
}

var (
	proxyFunctions = map[ABI]map[string]Signature{
		ABI010: functions(everyVersion, `proxy_get_configuration ii>i  proxy_continue_request >i  proxy_continue_response >i
			proxy_clear_route_cache >i`),
		ABI020: functions(everyVersion, `proxy_continue_stream i>i  proxy_close_stream i>i`),
		ABI021: functions(everyVersion, `proxy_continue_stream i>i  proxy_close_stream i>i  proxy_get_log_level i>i`),
	}
	// Two of WASI's have fewer parameters than WASI says, so no module can import them.
	wasiFunctions = functions(wasi)
)

const (
	everyVersion = `
		proxy_log iii>i                       proxy_get_status iii>i               proxy_set_property iiii>i
		proxy_get_property iiii>i             proxy_send_local_response iiiiiiii>i proxy_get_shared_data iiiii>i
		proxy_set_shared_data iiiii>i         proxy_register_shared_queue iii>i    proxy_resolve_shared_queue iiiii>i
		proxy_dequeue_shared_queue iii>i      proxy_enqueue_shared_queue iii>i     proxy_get_header_map_value iiiii>i
		proxy_add_header_map_value iiiii>i    proxy_replace_header_map_value iiiii>i
		proxy_remove_header_map_value iii>i   proxy_get_header_map_pairs iii>i     proxy_set_header_map_pairs iii>i
		proxy_get_header_map_size ii>i        proxy_get_buffer_status iii>i        proxy_get_buffer_bytes iiiii>i
		proxy_set_buffer_bytes iiiii>i        proxy_http_call iiiiiiiiii>i         proxy_grpc_call iiiiiiiiiiii>i
		proxy_grpc_stream iiiiiiiii>i         proxy_grpc_close i>i                 proxy_grpc_cancel i>i
		proxy_grpc_send iiii>i                proxy_set_tick_period_milliseconds i>i
		proxy_get_current_time_nanoseconds i>i  proxy_define_metric iiii>i         proxy_increment_metric iI>i
		proxy_record_metric iI>i              proxy_get_metric ii>i                proxy_set_effective_context i>i
		proxy_done >i                         proxy_call_foreign_function iiiiii>i envoy_resolve_dns iii>i
		pthread_equal ii>i                    emscripten_notify_memory_growth i>`

	wasi = `
		args_get ii>i                  args_sizes_get ii>i           environ_get ii>i            environ_sizes_get ii>i
		clock_res_get ii>i             clock_time_get iIi>i          random_get ii>i             poll_oneoff iiii>i
		sched_yield >i                 proc_exit i>
		fd_advise iIIi>i               fd_allocate iII>i             fd_close i>i                fd_datasync i>i
		fd_fdstat_get ii>i             fd_fdstat_set_flags ii>i      fd_fdstat_set_rights iII>i  fd_filestat_get ii>i
		fd_filestat_set_size iI>i      fd_filestat_set_times iIIi>i  fd_pread iiiIi>i            fd_prestat_dir_name iii>i
		fd_prestat_get ii>i            fd_pwrite iiiIi>i             fd_read iiii>i              fd_readdir iiiIi>i
		fd_renumber ii>i               fd_seek iIii>i                fd_sync i>i                 fd_tell ii>i
		fd_write iiii>i
		path_create_directory iii>i    path_filestat_get iiiii>i     path_filestat_set_times iiiiIIi>i
		path_link iiiiii>i             path_open iiiiiIIii>i         path_readlink iiiiii>i      path_remove_directory iii>i
		path_rename iiiiii>i           path_symlink iiii>i           path_unlink_file iii>i
		sock_accept iii>i              sock_recv iiiiii>i            sock_send iiiii>i           sock_shutdown ii>i`
)

// functions reads lists of names, each with its signature after it.
func functions(lists ...string) map[string]Signature {
	all := map[string]Signature{}
	for _, list := range lists {
		words := strings.Fields(list)
		for i := 0; i+1 < len(words); i += 2 {
			all[words[i]] = Signature(words[i+1])
		}
	}
	return all
}
