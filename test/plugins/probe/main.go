// SPDX-License-Identifier: Apache-2.0

// Command probe is a proxy-wasm plugin for the project's own tests: it tells what a proxy gave it, and fails on demand.
//
// It answers some paths itself:
//
//	/probe/config   its configuration, byte for byte
//	/probe/vm       the configuration of its VM, byte for byte
//	/probe/env      its environment, a JSON object
//	/probe/plugin   its names in the proxy, a JSON object
//	/probe/calls    what became of some calls to the proxy, a JSON object
//	/probe/pause    whether a request's body comes although the headers were stopped (see behavior.PauseMilliseconds)
//	/probe/trap     nothing: its VM traps; with a query, only that of the plugin with that name
//
// What it does with all other requests, and with connections, is the field probe of its configuration, see behavior. Any
// configuration will do, also one that is no JSON.
package main

import (
	"encoding/json"
	"errors"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

// main stays empty: the module is a reactor, so a proxy runs init once and then calls the exported functions.
func main() {}

func init() {
	proxywasm.SetVMContext(&vmContext{})
}

// vmContext lives as long as the VM.
type vmContext struct {
	types.DefaultVMContext
	configuration []byte
}

// OnVMStart implements types.VMContext.
func (vm *vmContext) OnVMStart(int) types.OnVMStartStatus {
	var err error
	if vm.configuration, err = given(proxywasm.GetVMConfiguration()); err != nil {
		proxywasm.LogCriticalf("probe got no configuration of its VM: %v", err)
		return types.OnVMStartStatusFailed
	}
	return types.OnVMStartStatusOK
}

// NewPluginContext implements types.VMContext.
func (vm *vmContext) NewPluginContext(id uint32) types.PluginContext {
	return &pluginContext{id: id, vm: vm, paused: map[uint32]int{}}
}

// behavior is the field probe of the configuration.
type behavior struct {
	// Name is added to the request's header probe-request on its way in, and to the answer's header probe-response on its
	// way out; each holds the names in the order in which plugins were met. The answer tells the request's header too.
	Name string `json:"name"`
	// Status answers every request that is not for one of the paths above.
	Status uint32 `json:"status"`
	// Trap makes its VM trap at every request.
	Trap bool `json:"trap"`
	// PauseMilliseconds is how long /probe/pause waits for the body, once or twice.
	PauseMilliseconds uint32 `json:"pauseMilliseconds"`
	// Log makes it log its whole configuration when it starts, as a warning. Refuse lets it log that too, and not start.
	Log    bool `json:"log"`
	Refuse bool `json:"refuse"`
	// Connections makes it a plugin for connections instead of requests.
	Connections *connections `json:"connections"`
}

// connections is what it does with connections.
type connections struct {
	// Greeting comes before all that the server sends.
	Greeting string `json:"greeting"`
	// Close ends every connection at once, Trap the VM.
	Close bool `json:"close"`
	Trap  bool `json:"trap"`
}

// pluginContext lives as long as one configuration; several of them can share a VM.
type pluginContext struct {
	types.DefaultPluginContext
	id            uint32
	vm            *vmContext
	configuration []byte
	behavior      behavior
	// paused are the requests that wait for their body, and for how many ticks already.
	paused map[uint32]int
}

// OnPluginStart implements types.PluginContext.
func (p *pluginContext) OnPluginStart(int) types.OnPluginStartStatus {
	var err error
	if p.configuration, err = given(proxywasm.GetPluginConfiguration()); err != nil {
		proxywasm.LogCriticalf("probe got no configuration: %v", err)
		return types.OnPluginStartStatusFailed
	}
	var fields struct {
		Probe behavior `json:"probe"`
	}
	if err := json.Unmarshal(p.configuration, &fields); err != nil {
		proxywasm.LogInfof("probe only echoes a configuration that it cannot read: %v", err)
	}
	p.behavior = fields.Probe
	if p.behavior.Log || p.behavior.Refuse {
		proxywasm.LogWarnf("probe was given %s", p.configuration)
	}
	if p.behavior.Refuse {
		return types.OnPluginStartStatusFailed
	}
	if p.behavior.PauseMilliseconds > 0 {
		if err := proxywasm.SetTickPeriodMilliSeconds(p.behavior.PauseMilliseconds); err != nil {
			proxywasm.LogCriticalf("probe got no clock: %v", err)
			return types.OnPluginStartStatusFailed
		}
	}
	return types.OnPluginStartStatusOK
}

// given is a configuration that may be left out.
func given(configuration []byte, err error) ([]byte, error) {
	if errors.Is(err, types.ErrorStatusNotFound) {
		return nil, nil
	}
	return configuration, err
}

// NewHttpContext implements types.PluginContext. The SDK asks for a TcpContext where this returns nil.
func (p *pluginContext) NewHttpContext(id uint32) types.HttpContext { //nolint:staticcheck // the name is the SDK's
	if p.behavior.Connections != nil {
		return nil
	}
	return &httpContext{id: id, plugin: p}
}

// NewTcpContext implements types.PluginContext.
func (p *pluginContext) NewTcpContext(uint32) types.TcpContext { //nolint:revive,staticcheck // the name is the SDK's
	return &tcpContext{connections: *p.behavior.Connections}
}

// OnTick implements types.PluginContext. It answers requests whose body didn't come.
func (p *pluginContext) OnTick() {
	for id := range p.paused {
		// The first tick may come at once.
		if p.paused[id]++; p.paused[id] < 2 {
			continue
		}
		delete(p.paused, id)
		if err := proxywasm.SetEffectiveContext(id); err != nil {
			proxywasm.LogCriticalf("probe lost a request: %v", err)
			continue
		}
		answer(statusOK, []byte("no body came while the headers were stopped"))
	}
}

// trap ends the VM: Go's runtime closes a panic with an instruction that traps.
func trap() {
	panic("probe was asked to trap")
}
