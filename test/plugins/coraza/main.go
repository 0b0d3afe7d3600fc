// SPDX-License-Identifier: Apache-2.0

// Command coraza is a web application firewall as a proxy-wasm plugin, for the project's own tests: it stands for the
// large modules that people run. Its configuration holds SecLang directives, which may include those of the OWASP Core
// Rule Set (@crs-setup.conf.example, @owasp_crs/*.conf):
//
//	{"directives": ["SecRuleEngine On", "SecRule REQUEST_URI \"@contains /admin\" \"id:1,phase:1,deny\""]}
//
// It looks at the headers of requests. Built without the tag no_fs_access it wants a file system, which proxies don't
// have, and refuses every configuration.
package main

import (
	"encoding/json"
	"fmt"
	"strings"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"
	"github.com/corazawaf/coraza/v3"
	corazatypes "github.com/corazawaf/coraza/v3/types"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

// main stays empty: the module is a reactor, so a proxy runs init once and then calls the exported functions.
func main() {}

func init() {
	proxywasm.SetPluginContext(func(uint32) types.PluginContext { return &pluginContext{} })
}

// pluginContext lives as long as one configuration.
type pluginContext struct {
	types.DefaultPluginContext
	firewall coraza.WAF
}

// OnPluginStart implements types.PluginContext.
func (p *pluginContext) OnPluginStart(int) types.OnPluginStartStatus {
	configuration, err := proxywasm.GetPluginConfiguration()
	if err == nil {
		p.firewall, err = newFirewall(configuration)
	}
	if err != nil {
		proxywasm.LogCriticalf("coraza: %v", err)
		return types.OnPluginStartStatusFailed
	}
	return types.OnPluginStartStatusOK
}

func newFirewall(configuration []byte) (coraza.WAF, error) {
	var fields struct {
		Directives []string `json:"directives"`
	}
	if err := json.Unmarshal(configuration, &fields); err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	return coraza.NewWAF(coraza.NewWAFConfig().
		WithRootFS(coreruleset.FS).
		WithDirectives(strings.Join(fields.Directives, "\n")))
}

// NewHttpContext implements types.PluginContext.
func (p *pluginContext) NewHttpContext(uint32) types.HttpContext { //nolint:staticcheck // the name is the SDK's
	return &httpContext{transaction: p.firewall.NewTransaction()}
}

// httpContext lives as long as one request and its response.
type httpContext struct {
	types.DefaultHttpContext
	transaction corazatypes.Transaction
}

// OnHttpRequestHeaders implements types.HttpContext.
func (h *httpContext) OnHttpRequestHeaders(int, bool) types.Action { //nolint:staticcheck // the name is the SDK's
	headers, err := proxywasm.GetHttpRequestHeaders()
	if err != nil {
		proxywasm.LogCriticalf("coraza: read the request's headers: %v", err)
		return types.ActionContinue
	}
	special := map[string]string{}
	for _, header := range headers {
		if strings.HasPrefix(header[0], ":") {
			special[header[0]] = header[1]
			continue
		}
		h.transaction.AddRequestHeader(header[0], header[1])
	}
	h.transaction.AddRequestHeader("Host", special[":authority"])
	h.transaction.ProcessURI(special[":path"], special[":method"], "HTTP/1.1")
	interruption := h.transaction.ProcessRequestHeaders()
	if interruption == nil {
		return types.ActionContinue
	}
	if err := proxywasm.SendHttpResponse(status(interruption), nil, nil, -1); err != nil {
		proxywasm.LogCriticalf("coraza: answer the request: %v", err)
	}
	return types.ActionPause
}

func status(interruption *corazatypes.Interruption) uint32 {
	const forbidden, lowest, highest = 403, 200, 599
	if code := interruption.Status; code >= lowest && code <= highest {
		return uint32(code)
	}
	return forbidden
}

// OnHttpStreamDone implements types.HttpContext.
func (h *httpContext) OnHttpStreamDone() { //nolint:staticcheck // the name is the SDK's
	if err := h.transaction.Close(); err != nil {
		proxywasm.LogWarnf("coraza: end the transaction: %v", err)
	}
}
