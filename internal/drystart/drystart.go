// SPDX-License-Identifier: Apache-2.0

// Package drystart starts a proxy-wasm plugin as Envoy would, without a proxy: it loads the module into a WebAssembly
// runtime, calls what Envoy calls until the plugin has read its configuration, and reports what the plugin said.
//
// Everything that a plugin can ask of its host until then has one of three answers: Envoy's own; a made-up one that
// ends in an inconclusive verdict, since only a proxy knows better; or the refusal that Envoy would give.
//
// A Session goes on from there: it has a plugin serve requests, for those who test one. A check never gets that far.
package drystart

import (
	"context"
	"runtime/debug"
	"time"
)

const (
	defaultInterpret = 5 * time.Second
	defaultTimeout   = time.Minute
	defaultMemory    = 512 << 20
)

// Options bound what a check may use.
type Options struct {
	// Interpret is how long each plugin is interpreted. One that is not ready by then is compiled and started anew:
	// compiling takes ten times longer than reading, and what is compiled runs several times faster. Default: 5 seconds;
	// negative: all are compiled; Timeout or more: none is.
	Interpret time.Duration
	// Timeout bounds the time that each plugin has in the end. Default: one minute.
	Timeout time.Duration
	// Memory bounds the bytes of a module's linear memory. Up to two instances stand at once. Default: 512 MiB; Envoy's
	// own bound, 1 GiB, is the most.
	Memory uint64
}

// Request is a module with all that Envoy would start it with.
type Request struct {
	// Module is the module's bytes.
	Module []byte `json:"module"`
	// VMConfiguration is what proxy_on_vm_start may read.
	VMConfiguration string `json:"vmConfiguration,omitempty"`
	// Env are the environment variables.
	Env map[string]string `json:"env,omitempty"`
	// RootID and VMID are as in Envoy's PluginConfig.
	RootID string `json:"rootID,omitempty"`
	VMID   string `json:"vmID,omitempty"`
	// Capabilities are Envoy's allowed capabilities: host functions that the module gets and functions of the module that
	// are called, by name. Empty: all.
	Capabilities []string `json:"capabilities,omitempty"`
	// Plugins are the instances of the module, which share its VM.
	Plugins []Plugin `json:"plugins"`
	// Secrets are texts that no verdict may repeat.
	Secrets []string `json:"secrets,omitempty"`
}

// Plugin is one instance of a module: a filter with a configuration of its own.
type Plugin struct {
	// Name is Envoy's name of the plugin.
	Name string `json:"name,omitempty"`
	// Configuration is what proxy_on_configure reads.
	Configuration string `json:"configuration"`
}

// Checker starts plugins. It is safe for concurrent use; what runs at once is for the caller to bound.
type Checker struct {
	options Options
}

// New returns a Checker.
func New(options Options) *Checker {
	if options.Interpret == 0 {
		options.Interpret = defaultInterpret
	}
	if options.Timeout <= 0 {
		options.Timeout = defaultTimeout
	}
	if options.Memory == 0 {
		options.Memory = defaultMemory
	}
	options.Memory = min(options.Memory, envoyMaxPages*pageSize)
	return &Checker{options: options}
}

// Check returns a verdict for each of the request's plugins, in their order.
//
// Like Envoy it tries each plugin in a VM of its own first, and then beside the others in the VM that they share. A
// context that reaches its deadline means that the module took too long; one that is canceled, that nothing is known.
func (c *Checker) Check(ctx context.Context, request Request) []Verdict {
	last := attempt{timeout: c.options.Timeout, memory: c.options.Memory, compile: c.options.Interpret < c.options.Timeout}
	if last.compile && c.options.Interpret > 0 {
		first := attempt{timeout: c.options.Interpret, memory: c.options.Memory, first: true}
		if verdicts, ready := first.run(ctx, request); ready || ctx.Err() != nil {
			return verdicts
		}
		// The compiler is not to come on top of what the interpreter needed.
		debug.FreeOSMemory()
	}
	verdicts, _ := last.run(ctx, request)
	return verdicts
}

// attempt is one way to try plugins.
type attempt struct {
	compile bool
	timeout time.Duration
	memory  uint64
	// first: another one follows if this one is too slow.
	first bool
}

// run returns the verdicts, and whether all plugins were ready in time.
func (a attempt) run(ctx context.Context, request Request) (verdicts []Verdict, ready bool) {
	verdicts = make([]Verdict, len(request.Plugins))
	defer func() {
		// Modules are strangers' work; what they break in here must not end the process for all others.
		if fault := recover(); fault != nil {
			verdicts, ready = fill(verdicts, inconclusive("the checker failed: %v", fault)), true
		}
	}()
	loaded, refusal := load(ctx, a, request)
	if refusal != nil {
		return fill(verdicts, refusal), true
	}
	defer loaded.close(ctx)

	known := map[Plugin]Verdict{}
	var shared *vm
	for i, plugin := range request.Plugins {
		verdict, tried := known[plugin]
		if !tried {
			verdict, shared = loaded.tryRules(ctx, plugin, shared)
			known[plugin] = verdict
		}
		verdicts[i] = verdict
		if loaded.slow && a.first {
			break
		}
	}
	return verdicts, !loaded.slow
}

func fill(verdicts []Verdict, verdict *Verdict) []Verdict {
	for i := range verdicts {
		verdicts[i] = *verdict
	}
	return verdicts
}
