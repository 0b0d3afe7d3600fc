// SPDX-License-Identifier: Apache-2.0

package drystart

import "strings"

const (
	moduleEnv          = "env"
	moduleWASI         = "wasi_snapshot_preview1"
	moduleWASIUnstable = "wasi_unstable"
)

// lookup finds what Envoy offers under the name. The set is fixed: an import that is not in it makes Envoy refuse the module.
func lookup(version abi, moduleName, name string) (hostFunction, bool) {
	switch moduleName {
	case moduleWASI, moduleWASIUnstable:
		function, found := wasiFunctions[name]
		return function, found
	case moduleEnv:
		function, found := envFunctions[name]
		if !found {
			function, found = versionFunctions[version][name]
		}
		return function, found
	}
	return hostFunction{}, false
}

func isProxyFunction(name string) bool { return strings.HasPrefix(name, "proxy_") }

// envFunctions are those of every ABI version.
var envFunctions = map[string]hostFunction{
	"proxy_log":                          {signature: "iii>i", run: (*call).log, always: true},
	"proxy_get_status":                   {signature: "iii>i", run: (*call).getStatus},
	"proxy_set_property":                 {signature: "iiii>i", run: (*call).setProperty},
	"proxy_get_property":                 {signature: "iiii>i", run: (*call).getProperty},
	"proxy_send_local_response":          {signature: "iiiiiiii>i", run: (*call).sendLocalResponse},
	"proxy_get_shared_data":              {signature: "iiiii>i", run: (*call).getSharedData},
	"proxy_set_shared_data":              {signature: "iiiii>i", run: (*call).setSharedData},
	"proxy_register_shared_queue":        {signature: "iii>i", run: (*call).registerQueue},
	"proxy_resolve_shared_queue":         {signature: "iiiii>i", run: (*call).resolveQueue},
	"proxy_dequeue_shared_queue":         {signature: "iii>i", run: (*call).dequeue},
	"proxy_enqueue_shared_queue":         {signature: "iii>i", run: (*call).enqueue},
	"proxy_get_header_map_value":         {signature: "iiiii>i", run: (*call).oneHeader},
	"proxy_add_header_map_value":         {signature: "iiiii>i", run: (*call).changeHeader},
	"proxy_replace_header_map_value":     {signature: "iiiii>i", run: (*call).changeHeader},
	"proxy_remove_header_map_value":      {signature: "iii>i", run: (*call).oneHeader},
	"proxy_get_header_map_pairs":         {signature: "iii>i", run: (*call).getHeaders},
	"proxy_set_header_map_pairs":         {signature: "iii>i", run: (*call).oneHeader},
	"proxy_get_header_map_size":          {signature: "ii>i", run: answer(badArgument)},
	"proxy_get_buffer_status":            {signature: "iii>i", run: (*call).getBufferStatus},
	"proxy_get_buffer_bytes":             {signature: "iiiii>i", run: (*call).getBuffer},
	"proxy_set_buffer_bytes":             {signature: "iiiii>i", run: (*call).setBuffer},
	"proxy_http_call":                    {signature: "iiiiiiiiii>i", run: (*call).httpCall},
	"proxy_grpc_call":                    {signature: "iiiiiiiiiiii>i", run: (*call).grpcCall},
	"proxy_grpc_stream":                  {signature: "iiiiiiiii>i", run: (*call).grpcStream},
	"proxy_grpc_close":                   {signature: "i>i", run: (*call).grpcClose},
	"proxy_grpc_cancel":                  {signature: "i>i", run: (*call).grpcCancel},
	"proxy_grpc_send":                    {signature: "iiii>i", run: (*call).grpcSend},
	"proxy_set_tick_period_milliseconds": {signature: "i>i", run: (*call).succeed},
	"proxy_get_current_time_nanoseconds": {signature: "i>i", run: (*call).currentTime},
	"proxy_define_metric":                {signature: "iiii>i", run: (*call).defineMetric},
	"proxy_increment_metric":             {signature: "iI>i", run: (*call).incrementMetric},
	"proxy_record_metric":                {signature: "iI>i", run: (*call).recordMetric},
	"proxy_get_metric":                   {signature: "ii>i", run: (*call).getMetric},
	"proxy_set_effective_context":        {signature: "i>i", run: (*call).setEffectiveContext},
	"proxy_done":                         {signature: ">i", run: (*call).done},
	"proxy_call_foreign_function":        {signature: "iiiiii>i", run: (*call).foreignFunction},
	"envoy_resolve_dns":                  {signature: "iii>i", run: (*call).resolveDNS},
	"pthread_equal":                      {signature: "ii>i", run: (*call).pthreadEqual},
	"emscripten_notify_memory_growth":    {signature: "i>", run: (*call).succeed, early: true},
}

// versionFunctions are those of single ABI versions.
var versionFunctions = map[abi]map[string]hostFunction{
	abi010: {
		"proxy_get_configuration": {signature: "ii>i", run: (*call).getConfiguration},
		"proxy_continue_request":  {signature: ">i", run: (*call).succeed},
		"proxy_continue_response": {signature: ">i", run: (*call).succeed},
		"proxy_clear_route_cache": {signature: ">i", run: (*call).succeed},
	},
	abi020: {
		"proxy_continue_stream": {signature: "i>i", run: (*call).continueStream},
		"proxy_close_stream":    {signature: "i>i", run: (*call).closeStream},
	},
	abi021: {
		"proxy_continue_stream": {signature: "i>i", run: (*call).continueStream},
		"proxy_close_stream":    {signature: "i>i", run: (*call).closeStream},
		"proxy_get_log_level":   {signature: "i>i", run: (*call).getLogLevel},
	},
}

// wasiFunctions are Envoy's part of WASI. Two of them have fewer parameters than WASI's, so no module can import them.
var wasiFunctions = map[string]hostFunction{
	"args_get":          {signature: "ii>i", run: (*call).succeed, early: true},
	"args_sizes_get":    {signature: "ii>i", run: (*call).argsSizes, early: true},
	"environ_get":       {signature: "ii>i", run: (*call).environ, early: true},
	"environ_sizes_get": {signature: "ii>i", run: (*call).environSizes, early: true},
	"clock_res_get":     {signature: "ii>i", run: (*call).clockResolution, early: true},
	"clock_time_get":    {signature: "iIi>i", run: (*call).clockTime, always: true},
	"random_get":        {signature: "ii>i", run: (*call).random, early: true},
	"poll_oneoff":       {signature: "iiii>i", run: (*call).poll, always: true},
	"sched_yield":       {signature: ">i", run: (*call).succeed},
	// Envoy goes on after it.
	"proc_exit": {signature: "i>", run: (*call).succeed},

	"fd_advise":             {signature: "iIIi>i", run: (*call).succeed, early: true},
	"fd_allocate":           {signature: "iII>i", run: (*call).outputOnly, early: true},
	"fd_close":              {signature: "i>i", run: (*call).succeed},
	"fd_datasync":           {signature: "i>i", run: (*call).outputOnly, early: true},
	"fd_fdstat_get":         {signature: "ii>i", run: (*call).fdStat, early: true},
	"fd_fdstat_set_flags":   {signature: "ii>i", run: answer(errnoNoSys), early: true},
	"fd_fdstat_set_rights":  {signature: "iII>i", run: (*call).outputOnly, early: true},
	"fd_filestat_get":       {signature: "ii>i", run: answer(errnoBadFile), early: true},
	"fd_filestat_set_size":  {signature: "iI>i", run: (*call).outputOnly, early: true},
	"fd_filestat_set_times": {signature: "iIIi>i", run: (*call).outputOnly, early: true},
	"fd_pread":              {signature: "iiiIi>i", run: answer(errnoNoSys), early: true},
	"fd_prestat_dir_name":   {signature: "iii>i", run: answer(errnoNoSys), early: true},
	"fd_prestat_get":        {signature: "ii>i", run: answer(errnoBadFile), early: true},
	"fd_pwrite":             {signature: "iiiIi>i", run: (*call).fdPwrite, early: true},
	"fd_read":               {signature: "iiii>i", run: answer(errnoNoSys)},
	"fd_readdir":            {signature: "iiiIi>i", run: zeroThen(4, errnoNotDirectory), early: true},
	"fd_renumber":           {signature: "ii>i", run: (*call).fdRenumber, early: true},
	"fd_seek":               {signature: "iIii>i", run: (*call).succeed},
	"fd_sync":               {signature: "i>i", run: (*call).outputOnly, early: true},
	"fd_tell":               {signature: "ii>i", run: (*call).fdTell, early: true},
	"fd_write":              {signature: "iiii>i", run: (*call).fdWrite, always: true},

	"path_create_directory":   {signature: "iii>i", run: answer(errnoNotSupported), early: true},
	"path_filestat_get":       {signature: "iiiii>i", run: answer(errnoNotSupported), early: true},
	"path_filestat_set_times": {signature: "iiiiIIi>i", run: answer(errnoNotSupported), early: true},
	"path_link":               {signature: "iiiiii>i", run: answer(errnoNotSupported), early: true},
	"path_open":               {signature: "iiiiiIIii>i", run: answer(errnoNoEntry)},
	"path_readlink":           {signature: "iiiiii>i", run: zeroThen(5, errnoNotSupported), early: true},
	"path_remove_directory":   {signature: "iii>i", run: answer(errnoNotSupported), early: true},
	"path_rename":             {signature: "iiiiii>i", run: answer(errnoNotSupported), early: true},
	"path_symlink":            {signature: "iiii>i", run: answer(errnoNotSupported), early: true},
	"path_unlink_file":        {signature: "iii>i", run: answer(errnoNotSupported), early: true},

	"sock_accept":   {signature: "iii>i", run: (*call).sockAccept, early: true},
	"sock_recv":     {signature: "iiiiii>i", run: (*call).sockReceive, early: true},
	"sock_send":     {signature: "iiiii>i", run: zeroThen(4, errnoNotSupported), early: true},
	"sock_shutdown": {signature: "ii>i", run: answer(errnoNotSupported), early: true},
}
