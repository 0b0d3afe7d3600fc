// SPDX-License-Identifier: Apache-2.0

// Command basic-auth is a proxy-wasm plugin that asks for a user name and a password (RFC 7617) on the paths and
// methods that its configuration lists. Its configuration is that of the basic_auth extension of Istio.
package main

import (
	"errors"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

const (
	// The constants of net/http would bring the whole package into the module.
	statusUnauthorized        = 401
	statusInternalServerError = 500

	// noGRPCStatus leaves it to the proxy to derive a gRPC status from the HTTP status when the request is gRPC.
	noGRPCStatus = -1
)

// main stays empty: the module is a reactor, so a proxy runs init once and then calls the exported functions.
func main() {}

func init() {
	proxywasm.SetPluginContext(newPluginContext)
}

// pluginContext lives as long as one configuration. Several of them can share a VM, so each keeps its own policy.
type pluginContext struct {
	types.DefaultPluginContext
	policy *policy
}

func newPluginContext(uint32) types.PluginContext {
	return &pluginContext{}
}

// OnPluginStart implements types.PluginContext.
func (p *pluginContext) OnPluginStart(int) types.OnPluginStartStatus {
	configuration, err := proxywasm.GetPluginConfiguration()
	if err != nil && !errors.Is(err, types.ErrorStatusNotFound) {
		proxywasm.LogCriticalf("basic-auth does not start: the proxy did not hand over the configuration: %v", err)
		return types.OnPluginStartStatusFailed
	}
	p.policy, err = parsePolicy(configuration)
	if err != nil {
		proxywasm.LogCriticalf("basic-auth does not start: %v.", err)
		return types.OnPluginStartStatusFailed
	}
	proxywasm.LogInfof("basic-auth starts; number of rules: %d", len(p.policy.rules))
	return types.OnPluginStartStatusOK
}

// NewHttpContext implements types.PluginContext.
func (p *pluginContext) NewHttpContext(uint32) types.HttpContext { //nolint:staticcheck // the name is the SDK's
	return &httpContext{policy: p.policy}
}

// httpContext lives as long as one request and its response.
type httpContext struct {
	types.DefaultHttpContext
	policy *policy
}

// OnHttpRequestHeaders implements types.HttpContext.
func (h *httpContext) OnHttpRequestHeaders(int, bool) types.Action { //nolint:staticcheck // the name is the SDK's
	method, err := requestHeader(":method")
	if err != nil {
		return refuse(statusInternalServerError, nil, "Internal Server Error\n")
	}
	// A CONNECT request may have no path; such a request is judged by an empty one.
	target, err := requestHeader(":path")
	if err != nil {
		return refuse(statusInternalServerError, nil, "Internal Server Error\n")
	}
	authorization, err := requestHeader("authorization")
	if err != nil {
		return refuse(statusInternalServerError, nil, "Internal Server Error\n")
	}
	if h.policy.allows(method, target, authorization) {
		return types.ActionContinue
	}
	challenge := [][2]string{{"www-authenticate", `Basic realm="` + h.policy.realm + `"`}}
	return refuse(statusUnauthorized, challenge, "Unauthorized\n")
}

// requestHeader returns "" for a header that the request does not have.
func requestHeader(name string) (string, error) {
	value, err := proxywasm.GetHttpRequestHeader(name)
	if errors.Is(err, types.ErrorStatusNotFound) {
		return "", nil
	}
	if err != nil {
		proxywasm.LogCriticalf("basic-auth could not read the request header %s: %v", name, err)
	}
	return value, err
}

// refuse answers the request in place of the server. It pauses even when the answer cannot be sent, so that no
// request ever passes because of an error.
func refuse(status uint32, headers [][2]string, body string) types.Action {
	if err := proxywasm.SendHttpResponse(status, headers, []byte(body), noGRPCStatus); err != nil {
		proxywasm.LogCriticalf("basic-auth could not send the answer %d: %v", status, err)
	}
	return types.ActionPause
}
