// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"os"
	"strings"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

const (
	// The constants of net/http would bring the whole package into the module.
	statusOK = 200

	// noGRPCStatus leaves it to the proxy to derive a gRPC status from the HTTP status when the request is gRPC.
	noGRPCStatus = -1

	requestNames  = "probe-request"
	responseNames = "probe-response"
)

// httpContext lives as long as one request and its response.
type httpContext struct {
	types.DefaultHttpContext
	id     uint32
	plugin *pluginContext
	// metSoFar are the names in the request's header: a proxy gives it away only while the request comes in.
	metSoFar string
}

// OnHttpRequestHeaders implements types.HttpContext.
func (h *httpContext) OnHttpRequestHeaders(int, bool) types.Action { //nolint:staticcheck // the name is the SDK's
	path, err := proxywasm.GetHttpRequestHeader(":path")
	if err != nil {
		proxywasm.LogCriticalf("probe got no path: %v", err)
	}
	path, query, _ := strings.Cut(path, "?")
	if tell, known := map[string]func() []byte{
		"/probe/config": func() []byte { return h.plugin.configuration },
		"/probe/vm":     func() []byte { return h.plugin.vm.configuration },
		"/probe/env":    func() []byte { return toJSON(environment()) },
		"/probe/plugin": func() []byte { return toJSON(names()) },
		"/probe/calls":  func() []byte { return toJSON(calls()) },
	}[path]; known {
		return answer(statusOK, tell())
	}
	switch {
	case h.plugin.behavior.Trap, path == "/probe/trap" && (query == "" || query == h.plugin.behavior.Name):
		trap()
	case path == "/probe/pause" && h.plugin.behavior.PauseMilliseconds > 0:
		h.plugin.paused[h.id] = 0
		return types.ActionPause
	case h.plugin.behavior.Status != 0:
		return answer(h.plugin.behavior.Status, []byte(h.plugin.behavior.Name))
	case h.plugin.behavior.Name != "":
		h.metSoFar = met(requestNames, proxywasm.GetHttpRequestHeader, proxywasm.ReplaceHttpRequestHeader, h.plugin.behavior.Name)
	}
	return types.ActionContinue
}

// OnHttpRequestBody implements types.HttpContext.
func (h *httpContext) OnHttpRequestBody(size int, _ bool) types.Action { //nolint:staticcheck // the name is the SDK's
	if _, paused := h.plugin.paused[h.id]; !paused {
		return types.ActionContinue
	}
	delete(h.plugin.paused, h.id)
	body, err := proxywasm.GetHttpRequestBody(0, size)
	if err != nil {
		proxywasm.LogCriticalf("probe got no body: %v", err)
	}
	return answer(statusOK, append([]byte("while the headers were stopped, this body came: "), body...))
}

// OnHttpResponseHeaders implements types.HttpContext.
func (h *httpContext) OnHttpResponseHeaders(int, bool) types.Action { //nolint:staticcheck // the name is the SDK's
	if h.plugin.behavior.Name == "" {
		return types.ActionContinue
	}
	met(responseNames, proxywasm.GetHttpResponseHeader, proxywasm.ReplaceHttpResponseHeader, h.plugin.behavior.Name)
	// The last plugin that the request came to is the first that the answer comes to.
	if told, _ := proxywasm.GetHttpResponseHeader(requestNames); told == "" && h.metSoFar != "" {
		if err := proxywasm.AddHttpResponseHeader(requestNames, h.metSoFar); err != nil {
			proxywasm.LogCriticalf("probe could not set the header %s: %v", requestNames, err)
		}
	}
	return types.ActionContinue
}

// OnHttpStreamDone implements types.HttpContext.
func (h *httpContext) OnHttpStreamDone() { //nolint:staticcheck // the name is the SDK's
	delete(h.plugin.paused, h.id)
}

// met adds a name to the value of a header, and returns the new value.
func met(header string, get func(string) (string, error), set func(header, value string) error, name string) string {
	before, err := get(header)
	if err != nil && !errors.Is(err, types.ErrorStatusNotFound) {
		proxywasm.LogCriticalf("probe could not read the header %s: %v", header, err)
	}
	if before != "" {
		name = before + "," + name
	}
	if err := set(header, name); err != nil {
		proxywasm.LogCriticalf("probe could not set the header %s: %v", header, err)
	}
	return name
}

func answer(status uint32, body []byte) types.Action {
	if err := proxywasm.SendHttpResponse(status, nil, body, noGRPCStatus); err != nil {
		proxywasm.LogCriticalf("probe could not answer: %v", err)
	}
	return types.ActionPause
}

func environment() map[string]string {
	variables := map[string]string{}
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		variables[name] = value
	}
	return variables
}

// names are those that a proxy knows it by.
func names() map[string]string {
	names := map[string]string{}
	for _, property := range []string{"plugin_name", "plugin_root_id", "plugin_vm_id"} {
		value, err := proxywasm.GetProperty([]string{property})
		if err != nil {
			value = []byte(err.Error())
		}
		names[property] = string(value)
	}
	return names
}

// calls makes a few calls, which a proxy may deny.
func calls() map[string]string {
	proxywasm.LogWarn("probe calls proxy_log")
	store := proxywasm.SetSharedData("probe", []byte("kept"), 0)
	_, _, load := proxywasm.GetSharedData("probe")
	_, dispatch := proxywasm.DispatchHttpCall("probe-has-no-such-cluster",
		[][2]string{{":method", "GET"}, {":path", "/"}, {":authority", "probe"}}, nil, nil, 1000, func(int, int, int) {})
	results := map[string]string{}
	for call, err := range map[string]error{
		"proxy_set_shared_data": store,
		"proxy_get_shared_data": load,
		"proxy_http_call":       dispatch,
	} {
		results[call] = "done"
		if err != nil {
			results[call] = err.Error()
		}
	}
	return results
}

func toJSON(value map[string]string) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		return []byte(err.Error())
	}
	return text
}
