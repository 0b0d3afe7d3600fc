// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"testing"

	"github.com/solarmesh/wasmplugin-operator/internal/proxywasm"
)

func TestHostFunctions(t *testing.T) {
	const plugin = `{"rules": "of the plugin"}`
	for _, row := range []struct {
		name  string
		abi   string
		data  string
		steps []step
		want  Verdict // the zero value: accepted
	}{
		{name: "log", data: "hello", steps: []step{
			{name: "proxy_log", args: []any{2, text, 5}},
			{name: "proxy_log", args: []any{6, text, 5}, want: badArgument},
			{name: "proxy_log", args: []any{0, far, 16}, want: invalidMemoryAccess},
			{name: "proxy_get_log_level", args: []any{out}, words: map[uint32]uint32{out: 2}},
			{name: "proxy_get_log_level", args: []any{far + 13}, want: invalidMemoryAccess},
		}, want: Verdict{Outcome: Accepted, Logs: []string{"info: hello"}}},
		{name: "status and time", steps: []step{
			{name: "proxy_get_status", args: []any{out, out + 4, out + 8}, words: map[uint32]uint32{out: 0, out + 4: 0, out + 8: 0}},
			{name: "proxy_get_current_time_nanoseconds", args: []any{out}},
			{name: "proxy_get_current_time_nanoseconds", args: []any{far + 12}, want: invalidMemoryAccess},
			{name: "proxy_set_tick_period_milliseconds", args: []any{1000}},
			{name: "proxy_done", want: notFound},
		}},
		{name: "buffers", steps: []step{
			{name: "proxy_get_buffer_bytes", args: []any{7, 0, 1 << 20, out, out + 4}, textAt: out, said: plugin},
			{name: "proxy_get_buffer_bytes", args: []any{8, 0, 1 << 20, out, out + 4}, textAt: out, said: plugin},
			{name: "proxy_get_buffer_bytes", args: []any{6, 3, 8, out, out + 4}, textAt: out, said: "the VM's"},
			{name: "proxy_get_buffer_bytes", args: []any{6, 100, 8, out, out + 4}, words: map[uint32]uint32{out: 0, out + 4: 0}},
			{name: "proxy_get_buffer_bytes", args: []any{0, 0, 8, out, out + 4}, words: map[uint32]uint32{out: 0, out + 4: 0}},
			{name: "proxy_get_buffer_bytes", args: []any{4, 0, 8, out, out + 4}, want: notFound},
			{name: "proxy_get_buffer_bytes", args: []any{9, 0, 8, out, out + 4}, want: badArgument},
			{name: "proxy_get_buffer_bytes", args: []any{7, 0, 8, far, far + 4}, want: invalidMemoryAccess},
			{name: "proxy_get_buffer_status", args: []any{7, out, out + 4}, words: map[uint32]uint32{out: uint32(len(plugin)), out + 4: 0}},
			{name: "proxy_get_buffer_status", args: []any{4, out, out + 4}, want: notFound},
			{name: "proxy_set_buffer_bytes", args: []any{7, 0, 1, text, 1}, want: badArgument},
			{name: "proxy_set_buffer_bytes", args: []any{7, 0, 1, far, 99}, want: invalidMemoryAccess},
			{name: "proxy_set_buffer_bytes", args: []any{4, 0, 1, far, 99}, want: notFound},
		}},
		{name: "the configuration of ABI 0.1.0", abi: "0_1_0", steps: []step{
			{name: "proxy_get_configuration", args: []any{out, out + 4}, textAt: out, said: plugin},
			{name: "proxy_continue_request"},
			{name: "proxy_continue_response"},
			{name: "proxy_clear_route_cache"},
		}},
		{name: "properties", data: "plugin_name\x00plugin_root_id\x00plugin_vm_id\x00request\x00path", steps: []step{
			{name: "proxy_get_property", args: []any{text, 11, out, out + 4}, textAt: out, said: "test"},
			{name: "proxy_get_property", args: []any{text, 12, out, out + 4}, textAt: out, said: "test"},
			{name: "proxy_get_property", args: []any{text + 12, 14, out, out + 4}, textAt: out, said: "root"},
			{name: "proxy_get_property", args: []any{text + 27, 12, out, out + 4}, textAt: out, said: "shop/test"},
			{name: "proxy_get_property", args: []any{text + 40, 12, out, out + 4}, want: notFound},
			{name: "proxy_get_property", args: []any{text, 26, out, out + 4}, want: notFound},
			{name: "proxy_get_property", args: []any{text, 0, out, out + 4}, want: serializationFailure},
			{name: "proxy_get_property", args: []any{text + 11, 1, out, out + 4}, want: notFound},
			{name: "proxy_get_property", args: []any{text + 11, 15, out, out + 4}, want: notFound},
			{name: "proxy_get_property", args: []any{far, 99, out, out + 4}, want: invalidMemoryAccess},
			{name: "proxy_get_property", args: []any{text, 11, far + 13, out + 4}, want: invalidMemoryAccess},
			{name: "proxy_set_property", args: []any{text, 11, text, 1}, want: notFound},
			{name: "proxy_set_property", args: []any{text, 11, far, 99}, want: invalidMemoryAccess},
		}},
		{name: "headers", steps: []step{
			{name: "proxy_get_header_map_value", args: []any{0, text, 1, out, out + 4}, want: badArgument},
			{name: "proxy_get_header_map_value", args: []any{8, far, 99, out, out + 4}, want: badArgument},
			{name: "proxy_get_header_map_value", args: []any{7, far, 99, out, out + 4}, want: invalidMemoryAccess},
			{name: "proxy_add_header_map_value", args: []any{0, text, 1, far, 99}, want: invalidMemoryAccess},
			{name: "proxy_replace_header_map_value", args: []any{0, text, 1, text, 1}, want: badArgument},
			{name: "proxy_remove_header_map_value", args: []any{0, text, 1}, want: badArgument},
			{name: "proxy_get_header_map_pairs", args: []any{0, out, out + 4}, words: map[uint32]uint32{out: 0, out + 4: 0}},
			{name: "proxy_get_header_map_pairs", args: []any{8, out, out + 4}, want: badArgument},
			{name: "proxy_set_header_map_pairs", args: []any{0, text, 0}, want: badArgument},
			{name: "proxy_get_header_map_size", args: []any{0, out}, want: badArgument},
		}},
		{name: "streams", steps: []step{
			{name: "proxy_continue_stream", args: []any{0}},
			{name: "proxy_continue_stream", args: []any{3}, want: unimplemented},
			{name: "proxy_continue_stream", args: []any{4}, want: badArgument},
			{name: "proxy_close_stream", args: []any{3}},
			{name: "proxy_close_stream", args: []any{4}, want: badArgument},
			{name: "proxy_send_local_response", args: []any{200, text, 0, text, 0, text, 0, -1}},
			{name: "proxy_send_local_response", args: []any{200, text, 0, far, 99, text, 0, -1}, want: invalidMemoryAccess},
		}},
		{name: "contexts", steps: []step{
			{name: "proxy_set_effective_context", args: []any{1}},
			{name: "proxy_set_effective_context", args: []any{0}},
			{name: "proxy_set_effective_context", args: []any{7}, want: badArgument},
		}},
		{name: "shared data", data: "keyvalue", steps: []step{
			{name: "proxy_get_shared_data", args: []any{text, 3, out, out + 4, out + 8}, want: notFound},
			{name: "proxy_set_shared_data", args: []any{text, 3, text + 3, 5, 9}},
			{name: "proxy_get_shared_data", args: []any{text, 3, out, out + 4, out + 8}, textAt: out, said: "value", words: map[uint32]uint32{out + 8: 1}},
			{name: "proxy_set_shared_data", args: []any{text, 3, text + 3, 4, 9}, want: casMismatch},
			{name: "proxy_set_shared_data", args: []any{text, 3, text + 3, 4, 1}},
			{name: "proxy_set_shared_data", args: []any{text, 3, text + 3, 3, 0}},
			{name: "proxy_get_shared_data", args: []any{text, 3, out, out + 4, out + 8}, textAt: out, said: "val", words: map[uint32]uint32{out + 8: 3}},
			{name: "proxy_set_shared_data", args: []any{far, 99, text, 1, 0}, want: invalidMemoryAccess},
		}},
		{name: "queues", data: "queue", steps: []step{
			{name: "proxy_resolve_shared_queue", args: []any{text, 0, text, 5, out}, want: notFound},
			{name: "proxy_register_shared_queue", args: []any{text, 5, out}, words: map[uint32]uint32{out: 1}},
			{name: "proxy_register_shared_queue", args: []any{text, 4, out}, words: map[uint32]uint32{out: 2}},
			{name: "proxy_register_shared_queue", args: []any{text, 5, out}, words: map[uint32]uint32{out: 1}},
			{name: "proxy_resolve_shared_queue", args: []any{text, 0, text, 4, out}, words: map[uint32]uint32{out: 2}},
			{name: "proxy_dequeue_shared_queue", args: []any{1, out, out + 4}, want: empty},
			{name: "proxy_enqueue_shared_queue", args: []any{1, text, 5}},
			{name: "proxy_enqueue_shared_queue", args: []any{3, text, 5}, want: notFound},
			{name: "proxy_enqueue_shared_queue", args: []any{1, far, 99}, want: invalidMemoryAccess},
			{name: "proxy_dequeue_shared_queue", args: []any{1, out, out + 4}, textAt: out, said: "queue"},
			{name: "proxy_dequeue_shared_queue", args: []any{3, out, out + 4}, want: notFound},
		}},
		{
			name: "a queue of another VM", data: "otherqueue",
			steps: []step{{name: "proxy_resolve_shared_queue", args: []any{text, 5, text + 5, 5, out}, want: notFound}},
			want:  Verdict{Outcome: Inconclusive, Call: "proxy_resolve_shared_queue of the VM other"},
		},
		{name: "metrics", data: "hits", steps: []step{
			{name: "proxy_define_metric", args: []any{0, text, 4, out}, words: map[uint32]uint32{out: 4}},
			{name: "proxy_define_metric", args: []any{0, text, 4, out}, words: map[uint32]uint32{out: 8}},
			{name: "proxy_define_metric", args: []any{1, text, 4, out}, words: map[uint32]uint32{out: 5}},
			{name: "proxy_define_metric", args: []any{2, text, 4, out}, words: map[uint32]uint32{out: 6}},
			{name: "proxy_define_metric", args: []any{3, text, 4, out}, want: badArgument},
			{name: "proxy_define_metric", args: []any{0, far, 99, out}, want: invalidMemoryAccess},
			{name: "proxy_increment_metric", args: []any{4, int64(3)}},
			{name: "proxy_increment_metric", args: []any{4, int64(-1)}, want: badArgument},
			{name: "proxy_record_metric", args: []any{8, int64(2)}},
			{name: "proxy_get_metric", args: []any{8, out}, words: map[uint32]uint32{out: 5, out + 4: 0}},
			{name: "proxy_record_metric", args: []any{5, int64(7)}},
			{name: "proxy_increment_metric", args: []any{5, int64(-2)}},
			{name: "proxy_get_metric", args: []any{5, out}, words: map[uint32]uint32{out: 5, out + 4: 0}},
			{name: "proxy_record_metric", args: []any{6, int64(7)}},
			{name: "proxy_increment_metric", args: []any{6, int64(7)}, want: badArgument},
			{name: "proxy_get_metric", args: []any{6, out}, want: badArgument},
			{name: "proxy_increment_metric", args: []any{12, int64(7)}, want: notFound},
			{name: "proxy_record_metric", args: []any{12, int64(7)}, want: notFound},
			{name: "proxy_get_metric", args: []any{12, out}, want: notFound},
		}},
		{
			name: "an HTTP call", data: "auth" + pairsOf(":method", "GET", ":path", "/", ":authority", "a"),
			steps: []step{
				{name: "proxy_http_call", args: []any{text, 4, text + 4, 61, text, 0, text, 0, 100, out}, words: map[uint32]uint32{out: 4}},
				{name: "proxy_http_call", args: []any{text, 4, text + 4, 61, text, 0, text, 0, 100, out}, words: map[uint32]uint32{out: 8}},
			},
			want: Verdict{Outcome: Inconclusive, Call: "proxy_http_call to the cluster auth"},
		},
		{name: "HTTP calls that no proxy takes", data: "auth" + pairsOf(":method", "GET", ":path", "/", ":authority", "a"), steps: []step{
			{name: "proxy_http_call", args: []any{text, 4, text + 4, 61, text, 0, text, 0, -1, out}, want: badArgument},
			{name: "proxy_http_call", args: []any{text, 4, text + 4, 60, text, 0, text, 0, 100, out}, want: badArgument},
			{name: "proxy_http_call", args: []any{text, 4, text, 0, text, 0, text, 0, 100, out}, want: badArgument},
			{name: "proxy_http_call", args: []any{text, 4, far, 99, text, 0, text, 0, 100, out}, want: invalidMemoryAccess},
			{name: "proxy_http_call", args: []any{text, 4, text + 4, 61, text, 0, text, 0, 100, far + 13}, want: invalidMemoryAccess},
		}},
		{
			name: "a gRPC call", data: "auth", steps: []step{
				{name: "proxy_grpc_call", args: []any{text, 4, text, 1, text, 1, text, 0, text, 0, 100, out}, words: map[uint32]uint32{out: 5}},
				{name: "proxy_grpc_cancel", args: []any{5}},
				{name: "proxy_grpc_cancel", args: []any{5}, want: notFound},
			},
			want: Verdict{Outcome: Inconclusive, Call: "proxy_grpc_call to the cluster auth"},
		},
		{
			name: "a gRPC stream", data: "auth", steps: []step{
				{name: "proxy_grpc_stream", args: []any{text, 4, text, 1, text, 1, text, 0, out}, words: map[uint32]uint32{out: 6}},
				{name: "proxy_grpc_send", args: []any{6, text, 1, 0}},
				{name: "proxy_grpc_close", args: []any{6}},
				{name: "proxy_grpc_send", args: []any{6, text, 1, 0}},
			},
			want: Verdict{Outcome: Inconclusive, Call: "proxy_grpc_stream to the cluster auth"},
		},
		{name: "gRPC without a call", steps: []step{
			{name: "proxy_grpc_send", args: []any{5, text, 1, 0}, want: badArgument},
			{name: "proxy_grpc_send", args: []any{6, text, 1, 0}, want: notFound},
			{name: "proxy_grpc_send", args: []any{6, far, 99, 0}, want: invalidMemoryAccess},
			{name: "proxy_grpc_close", args: []any{4}, want: badArgument},
			{name: "proxy_grpc_close", args: []any{5}, want: notFound},
			{name: "proxy_grpc_call", args: []any{text, 4, text, 1, far, 99, text, 0, text, 0, 100, out}, want: invalidMemoryAccess},
		}},
		{name: "names of hosts", data: "example.com", steps: []step{
			{name: "envoy_resolve_dns", args: []any{text, 11, out}},
			{name: "envoy_resolve_dns", args: []any{far, 99, out}, want: invalidMemoryAccess},
		}},
		{name: "foreign functions", data: "clear_route_cachecompressuncompressnone", steps: []step{
			{name: "proxy_call_foreign_function", args: []any{text, 17, text, 0, 0, 0}},
			{name: "proxy_call_foreign_function", args: []any{text + 35, 4, text, 0, 0, 0}, want: notFound},
			{name: "proxy_call_foreign_function", args: []any{text + 17, 8, text, 25, out, out + 4}},
			{name: "proxy_call_foreign_function", args: []any{text + 25, 10, text, 25, out, out + 4}, want: serializationFailure},
			{name: "proxy_call_foreign_function", args: []any{far, 99, text, 0, 0, 0}, want: invalidMemoryAccess},
		}},
		{
			name: "a foreign function of proxies", data: "sign",
			steps: []step{{name: "proxy_call_foreign_function", args: []any{text, 4, text, 0, 0, 0}}},
			want:  Verdict{Outcome: Inconclusive, Call: "proxy_call_foreign_function sign"},
		},
		{name: "what compilers import", steps: []step{
			{name: "pthread_equal", args: []any{1, 2}, want: 0},
			{name: "pthread_equal", args: []any{2, 2}, want: 1},
			{name: "emscripten_notify_memory_growth", args: []any{0}},
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.want.Outcome == "" {
				row.want.Outcome = Accepted
			}
			request := Request{
				Module: calling(row.abi, proxywasm.ModuleEnv, row.data, row.steps...).bytes(), VMConfiguration: "of the VM's own", RootID: "root", VMID: "shop/test",
			}
			compare(t, check(t, Options{}, request, plugin), row.want)
		})
	}
}
