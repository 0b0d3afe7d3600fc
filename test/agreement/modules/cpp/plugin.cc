// SPDX-License-Identifier: Apache-2.0

// A plugin in C++ that does what its configuration says, at start what its VM's says. It speaks the ABI by itself; the
// functions of the SDK are these.

#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>

#define IMPORT(name) extern "C" __attribute__((import_module("env"), import_name(#name)))
#define EXPORT(name) extern "C" __attribute__((export_name(#name)))

IMPORT(proxy_log) int32_t proxy_log(int32_t level, const char *text, size_t size);
IMPORT(proxy_get_buffer_bytes)
int32_t proxy_get_buffer_bytes(int32_t kind, int32_t start, int32_t length, const char **bytes, size_t *size);
IMPORT(proxy_send_local_response)
int32_t proxy_send_local_response(int32_t status, const char *details, size_t details_size, const char *body, size_t body_size,
                                  const char *headers, size_t headers_size, int32_t grpc_status);

namespace {

enum Level { info = 2, error = 4 };
enum Buffer { vm_configuration = 6, plugin_configuration = 7 };
enum Action { go_on = 0, stop = 1 };

std::map<uint32_t, std::string> configurations;  // by root context
std::map<uint32_t, uint32_t> roots;              // by context

void say(Level level, std::string_view text) { proxy_log(level, text.data(), text.size()); }

std::string read(Buffer kind, size_t size) {
  const char *bytes = nullptr;
  size_t got = 0;
  if (size == 0 || proxy_get_buffer_bytes(kind, 0, static_cast<int32_t>(size), &bytes, &got) != 0) return {};
  std::string text(bytes, got);
  std::free(const_cast<char *>(bytes));
  return text;
}

// Global constructors run before there is any context.
struct Constructed {
  Constructed() {
    const char *init = std::getenv("INIT");
    if (init != nullptr && std::string_view(init) == "abort") std::abort();
  }
} constructed;

}  // namespace

EXPORT(proxy_abi_version_0_2_1) void proxy_abi_version_0_2_1() {}

EXPORT(malloc) void *exported_malloc(size_t size) { return std::malloc(size); }

EXPORT(proxy_on_context_create) void proxy_on_context_create(uint32_t id, uint32_t root) { roots[id] = root; }

EXPORT(proxy_on_vm_start) uint32_t proxy_on_vm_start(uint32_t, size_t size) {
  const std::string action = read(vm_configuration, size);
  if (action == "abort") std::abort();
  if (action != "refuse") return 1;
  say(error, "this virtual machine does not suit me");
  return 0;
}

EXPORT(proxy_on_configure) uint32_t proxy_on_configure(uint32_t id, size_t size) {
  const std::string action = configurations[id] = read(plugin_configuration, size);
  if (action == "abort") std::abort();
  if (action == "read beyond") return *reinterpret_cast<volatile uint32_t *>(0x7fffffff);
  if (action == "refuse") {
    say(error, "these rules do not suit me");
    return 0;
  }
  say(info, "configured with " + std::to_string(action.size()) + " bytes");
  return 1;
}

EXPORT(proxy_on_request_headers) int32_t proxy_on_request_headers(uint32_t id, uint32_t, int32_t) {
  const std::string &action = configurations[roots[id]];
  if (action == "abort at the first request") std::abort();
  if (action != "deny") return go_on;
  proxy_send_local_response(403, nullptr, 0, nullptr, 0, nullptr, 0, -1);
  return stop;
}
