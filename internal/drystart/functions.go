// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"strings"

	"github.com/solarmesh/wasmplugin-operator/internal/proxywasm"
)

// lookup finds what Envoy offers under the name.
func lookup(version proxywasm.ABI, moduleName, name string) (hostFunction, bool) {
	signature, found := proxywasm.HostFunctions(version, moduleName)[name]
	function := functions[name]
	function.signature = signature
	return function, found
}

func isProxyFunction(name string) bool { return strings.HasPrefix(name, "proxy_") }

// streamed is a function that a plugin calls for itself, or for a request that it serves.
func streamed(own, stream func(c *call) uint32) func(c *call) uint32 {
	return func(c *call) uint32 {
		if c.stream() == nil {
			return own(c)
		}
		return stream(c)
	}
}

// functions are what Envoy's functions do. Which of them a module can import, and how, proxywasm knows.
var functions = map[string]hostFunction{
	"proxy_log":                          {run: (*call).log, always: true},
	"proxy_get_status":                   {run: (*call).getStatus},
	"proxy_set_property":                 {run: streamed((*call).setProperty, (*call).setStreamProperty)},
	"proxy_get_property":                 {run: streamed((*call).getProperty, (*call).getStreamProperty)},
	"proxy_send_local_response":          {run: streamed((*call).sendLocalResponse, (*call).answerHere)},
	"proxy_get_shared_data":              {run: (*call).getSharedData},
	"proxy_set_shared_data":              {run: (*call).setSharedData},
	"proxy_register_shared_queue":        {run: (*call).registerQueue},
	"proxy_resolve_shared_queue":         {run: (*call).resolveQueue},
	"proxy_dequeue_shared_queue":         {run: (*call).dequeue},
	"proxy_enqueue_shared_queue":         {run: (*call).enqueue},
	"proxy_get_header_map_value":         {run: streamed((*call).oneHeader, (*call).getHeader)},
	"proxy_add_header_map_value":         {run: streamed((*call).changeHeader, (*call).addHeader)},
	"proxy_replace_header_map_value":     {run: streamed((*call).changeHeader, (*call).replaceHeader)},
	"proxy_remove_header_map_value":      {run: streamed((*call).oneHeader, (*call).removeHeader)},
	"proxy_get_header_map_pairs":         {run: streamed((*call).getHeaders, (*call).getAllHeaders)},
	"proxy_set_header_map_pairs":         {run: streamed((*call).oneHeader, (*call).setAllHeaders)},
	"proxy_get_header_map_size":          {run: streamed(answer(badArgument), (*call).getHeadersSize)},
	"proxy_get_buffer_status":            {run: (*call).getBufferStatus},
	"proxy_get_buffer_bytes":             {run: (*call).getBuffer},
	"proxy_set_buffer_bytes":             {run: streamed((*call).setBuffer, (*call).setBody)},
	"proxy_http_call":                    {run: (*call).httpCall},
	"proxy_grpc_call":                    {run: (*call).grpcCall},
	"proxy_grpc_stream":                  {run: (*call).grpcStream},
	"proxy_grpc_close":                   {run: (*call).grpcClose},
	"proxy_grpc_cancel":                  {run: (*call).grpcCancel},
	"proxy_grpc_send":                    {run: (*call).grpcSend},
	"proxy_set_tick_period_milliseconds": {run: (*call).setTick},
	"proxy_get_current_time_nanoseconds": {run: (*call).currentTime},
	"proxy_define_metric":                {run: (*call).defineMetric},
	"proxy_increment_metric":             {run: (*call).incrementMetric},
	"proxy_record_metric":                {run: (*call).recordMetric},
	"proxy_get_metric":                   {run: (*call).getMetric},
	"proxy_set_effective_context":        {run: (*call).setEffectiveContext},
	"proxy_done":                         {run: (*call).done},
	"proxy_call_foreign_function":        {run: (*call).foreignFunction},
	"envoy_resolve_dns":                  {run: (*call).resolveDNS},
	"pthread_equal":                      {run: (*call).pthreadEqual},
	"emscripten_notify_memory_growth":    {run: (*call).succeed, early: true},

	"proxy_get_configuration": {run: (*call).getConfiguration},
	"proxy_continue_request":  {run: streamed((*call).succeed, (*call).goOnSoon)},
	"proxy_continue_response": {run: streamed((*call).succeed, (*call).goOnSoon)},
	"proxy_clear_route_cache": {run: (*call).succeed},
	"proxy_continue_stream":   {run: streamed((*call).continueStream, (*call).goOn)},
	"proxy_close_stream":      {run: streamed((*call).closeStream, (*call).closeHere)},
	"proxy_get_log_level":     {run: (*call).getLogLevel},

	"args_get":          {run: (*call).succeed, early: true},
	"args_sizes_get":    {run: (*call).argsSizes, early: true},
	"environ_get":       {run: (*call).environ, early: true},
	"environ_sizes_get": {run: (*call).environSizes, early: true},
	"clock_res_get":     {run: (*call).clockResolution, early: true},
	"clock_time_get":    {run: (*call).clockTime, always: true},
	"random_get":        {run: (*call).random, early: true},
	"poll_oneoff":       {run: (*call).poll, always: true},
	"sched_yield":       {run: (*call).succeed},
	// Envoy goes on after it.
	"proc_exit": {run: (*call).succeed},

	"fd_advise":             {run: (*call).succeed, early: true},
	"fd_allocate":           {run: (*call).outputOnly, early: true},
	"fd_close":              {run: (*call).succeed},
	"fd_datasync":           {run: (*call).outputOnly, early: true},
	"fd_fdstat_get":         {run: (*call).fdStat, early: true},
	"fd_fdstat_set_flags":   {run: answer(errnoNoSys), early: true},
	"fd_fdstat_set_rights":  {run: (*call).outputOnly, early: true},
	"fd_filestat_get":       {run: answer(errnoBadFile), early: true},
	"fd_filestat_set_size":  {run: (*call).outputOnly, early: true},
	"fd_filestat_set_times": {run: (*call).outputOnly, early: true},
	"fd_pread":              {run: answer(errnoNoSys), early: true},
	"fd_prestat_dir_name":   {run: answer(errnoNoSys), early: true},
	"fd_prestat_get":        {run: answer(errnoBadFile), early: true},
	"fd_pwrite":             {run: (*call).fdPwrite, early: true},
	"fd_read":               {run: answer(errnoNoSys)},
	"fd_readdir":            {run: zeroThen(4, errnoNotDirectory), early: true},
	"fd_renumber":           {run: (*call).fdRenumber, early: true},
	"fd_seek":               {run: (*call).succeed},
	"fd_sync":               {run: (*call).outputOnly, early: true},
	"fd_tell":               {run: (*call).fdTell, early: true},
	"fd_write":              {run: (*call).fdWrite, always: true},

	"path_create_directory":   {run: answer(errnoNotSupported), early: true},
	"path_filestat_get":       {run: answer(errnoNotSupported), early: true},
	"path_filestat_set_times": {run: answer(errnoNotSupported), early: true},
	"path_link":               {run: answer(errnoNotSupported), early: true},
	"path_open":               {run: answer(errnoNoEntry)},
	"path_readlink":           {run: zeroThen(5, errnoNotSupported), early: true},
	"path_remove_directory":   {run: answer(errnoNotSupported), early: true},
	"path_rename":             {run: answer(errnoNotSupported), early: true},
	"path_symlink":            {run: answer(errnoNotSupported), early: true},
	"path_unlink_file":        {run: answer(errnoNotSupported), early: true},

	"sock_accept":   {run: (*call).sockAccept, early: true},
	"sock_recv":     {run: (*call).sockReceive, early: true},
	"sock_send":     {run: zeroThen(4, errnoNotSupported), early: true},
	"sock_shutdown": {run: answer(errnoNotSupported), early: true},
}
