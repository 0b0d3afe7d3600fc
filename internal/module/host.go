// SPDX-License-Identifier: Apache-2.0

package module

import "strings"

// What Envoy offers to a module, as of Envoy 1.39 (Istio 1.31). Older ones have fewer of WASI's functions.
var (
	hostFunctions = map[string]map[string]bool{
		"env":                    set(proxyFunctions),
		"wasi_snapshot_preview1": set(wasiFunctions),
		"wasi_unstable":          set(wasiFunctions),
	}
	// hostFunctionsOfABI are those in env that Envoy has for one version of proxy-wasm only.
	hostFunctionsOfABI = map[string]map[string]bool{
		"0.1.0": set("proxy_get_configuration proxy_continue_request proxy_continue_response proxy_clear_route_cache"),
		"0.2.0": set("proxy_continue_stream proxy_close_stream"),
		"0.2.1": set("proxy_continue_stream proxy_close_stream proxy_get_log_level"),
	}
	dependsOnABI = set(`proxy_get_configuration proxy_continue_request proxy_continue_response proxy_clear_route_cache
		proxy_continue_stream proxy_close_stream proxy_get_log_level`)
)

const (
	proxyFunctions = `pthread_equal emscripten_notify_memory_growth
		proxy_log proxy_get_status proxy_set_property proxy_get_property proxy_send_local_response
		proxy_get_shared_data proxy_set_shared_data proxy_register_shared_queue proxy_resolve_shared_queue
		proxy_dequeue_shared_queue proxy_enqueue_shared_queue proxy_get_header_map_value proxy_add_header_map_value
		proxy_replace_header_map_value proxy_remove_header_map_value proxy_get_header_map_pairs
		proxy_set_header_map_pairs proxy_get_header_map_size proxy_get_buffer_status proxy_get_buffer_bytes
		proxy_set_buffer_bytes proxy_http_call proxy_grpc_call proxy_grpc_stream proxy_grpc_close proxy_grpc_cancel
		proxy_grpc_send proxy_set_tick_period_milliseconds proxy_get_current_time_nanoseconds proxy_define_metric
		proxy_increment_metric proxy_record_metric proxy_get_metric proxy_set_effective_context proxy_done
		proxy_call_foreign_function`

	wasiFunctions = `fd_write fd_read fd_seek fd_close fd_fdstat_get fd_fdstat_set_flags fd_fdstat_set_rights
		environ_get environ_sizes_get args_get args_sizes_get clock_time_get clock_res_get fd_advise fd_allocate
		fd_datasync fd_filestat_set_size fd_filestat_set_times fd_pread fd_pwrite fd_readdir fd_renumber fd_sync fd_tell
		path_create_directory path_filestat_set_times path_link path_readlink path_remove_directory path_rename
		path_symlink path_unlink_file sock_accept sock_recv sock_send sock_shutdown random_get sched_yield poll_oneoff
		proc_exit path_open fd_prestat_get fd_prestat_dir_name path_filestat_get fd_filestat_get`
)

func set(names string) map[string]bool {
	members := map[string]bool{}
	for name := range strings.FieldsSeq(names) {
		members[name] = true
	}
	return members
}
