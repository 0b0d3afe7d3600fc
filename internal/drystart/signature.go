// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"maps"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero/api"

	"github.com/solarmesh/wasmplugin-operator/internal/proxywasm"
)

func signatureOf(definition api.FunctionDefinition) proxywasm.Signature {
	return letters(definition.ParamTypes()) + ">" + letters(definition.ResultTypes())
}

func letters(types []api.ValueType) proxywasm.Signature {
	var text strings.Builder
	for _, valueType := range types {
		switch valueType {
		case api.ValueTypeI32:
			text.WriteByte('i')
		case api.ValueTypeI64:
			text.WriteByte('I')
		case api.ValueTypeF32:
			text.WriteByte('f')
		case api.ValueTypeF64:
			text.WriteByte('F')
		default:
			text.WriteByte('?')
		}
	}
	return proxywasm.Signature(text.String())
}

const (
	exportInitialize    = "_initialize"
	exportMain          = "main"
	exportMainVoid      = "__main_void"
	exportStart         = "_start"
	exportMalloc        = "malloc"
	exportAllocate      = "proxy_on_memory_allocate"
	exportContextCreate = "proxy_on_context_create"
	exportVMStart       = "proxy_on_vm_start"
	exportConfigure     = "proxy_on_configure"
	exportLog           = "proxy_on_log"
)

// exports are the functions of a module that Envoy looks up. Each may be missing, none may have another signature.
var exports = map[string]proxywasm.Signature{
	exportInitialize: ">", exportStart: ">", exportMain: "ii>i", exportMainVoid: ">i", exportMalloc: "i>i", exportAllocate: "i>i",

	exportContextCreate: "ii>", exportVMStart: "ii>i", exportConfigure: "ii>i",

	"proxy_validate_configuration": "ii>i", "proxy_on_tick": "i>", "proxy_on_queue_ready": "ii>", "proxy_on_foreign_function": "iii>",
	"proxy_on_done": "i>i", exportLog: "i>", "proxy_on_delete": "i>",

	"proxy_on_new_connection": "i>i", "proxy_on_downstream_data": "iii>i", "proxy_on_upstream_data": "iii>i",
	"proxy_on_downstream_connection_close": "ii>", "proxy_on_upstream_connection_close": "ii>",

	"proxy_on_request_headers": "iii>i", "proxy_on_request_body": "iii>i", "proxy_on_request_trailers": "ii>i",
	"proxy_on_request_metadata": "ii>i", "proxy_on_response_headers": "iii>i", "proxy_on_response_body": "iii>i",
	"proxy_on_response_trailers": "ii>i", "proxy_on_response_metadata": "ii>i",

	"proxy_on_http_call_response": "iiiii>", "proxy_on_grpc_receive": "iii>", "proxy_on_grpc_close": "iii>",
	"proxy_on_grpc_receive_initial_metadata": "iii>", "proxy_on_grpc_receive_trailing_metadata": "iii>",

	"envoy_on_resolve_dns": "iii>", "envoy_on_stats_update": "ii>",
}

// exports010 is what ABI 0.1.0 has otherwise; it lacks a function without a signature.
var exports010 = map[string]proxywasm.Signature{
	"proxy_on_request_headers": "ii>i", "proxy_on_response_headers": "ii>i", "proxy_on_foreign_function": "",
}

// lookedUp returns the exports that Envoy looks up in this module, sorted by name, and their signatures.
func (m *module) lookedUp(exported map[string]api.FunctionDefinition) ([]string, map[string]proxywasm.Signature) {
	wanted := maps.Clone(exports)
	if m.abi == proxywasm.ABI010 {
		maps.Copy(wanted, exports010)
	}
	if _, reactor := exported[exportInitialize]; reactor {
		delete(wanted, exportStart)
	} else {
		delete(wanted, exportMain)
		delete(wanted, exportMainVoid)
	}
	if _, found := exported[exportMalloc]; found {
		delete(wanted, exportAllocate)
	}
	maps.DeleteFunc(wanted, func(name string, s proxywasm.Signature) bool {
		restricted := strings.HasPrefix(name, "proxy_") && name != exportAllocate && !m.allowed(name)
		return s == "" || restricted
	})
	return slices.Sorted(maps.Keys(wanted)), wanted
}
