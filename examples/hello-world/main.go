// SPDX-License-Identifier: Apache-2.0

// Command hello-world is a proxy-wasm plugin that adds the header "hello: world" to every response. It is the
// smallest plugin that does something one can see.
package main

import (
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

// main stays empty: the module is a reactor, so a proxy runs init once and then calls the exported functions.
func main() {}

func init() {
	proxywasm.SetHttpContext(newHTTPContext)
}

// httpContext lives as long as one request and its response.
type httpContext struct {
	types.DefaultHttpContext
}

func newHTTPContext(uint32) types.HttpContext {
	return &httpContext{}
}

// OnHttpResponseHeaders implements types.HttpContext.
func (*httpContext) OnHttpResponseHeaders(int, bool) types.Action { //nolint:staticcheck // the name is the SDK's
	// Replace, not add: a server that sends a header of this name itself must not make it appear twice.
	if err := proxywasm.ReplaceHttpResponseHeader("hello", "world"); err != nil {
		proxywasm.LogErrorf("hello-world could not set the response header hello: %v", err)
	}
	return types.ActionContinue
}
