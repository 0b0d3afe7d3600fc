// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

// tcpContext lives as long as one connection.
type tcpContext struct {
	types.DefaultTcpContext
	connections connections
	greeted     bool
}

// OnNewConnection implements types.TcpContext.
func (t *tcpContext) OnNewConnection() types.Action {
	if t.connections.Trap {
		trap()
	}
	if !t.connections.Close {
		return types.ActionContinue
	}
	if err := proxywasm.CloseDownstream(); err != nil {
		proxywasm.LogCriticalf("probe could not close a connection: %v", err)
	}
	return types.ActionPause
}

// OnUpstreamData implements types.TcpContext.
func (t *tcpContext) OnUpstreamData(size int, _ bool) types.Action {
	if t.greeted || size == 0 || t.connections.Greeting == "" {
		return types.ActionContinue
	}
	t.greeted = true
	if err := proxywasm.PrependUpstreamData([]byte(t.connections.Greeting)); err != nil {
		proxywasm.LogCriticalf("probe could not greet: %v", err)
	}
	return types.ActionContinue
}
