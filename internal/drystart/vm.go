// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"context"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// vm is an instance of the module. It runs one call at a time.
type vm struct {
	*module
	instance api.Module
	memory   api.Memory
	malloc   api.Function
	heap     *allocator
	logs     *logs

	// contexts are the root contexts of the plugins; Envoy numbers them from 1.
	contexts    map[uint32]*rootContext
	lastContext uint32
	// current is the one that is being called, nil while the VM initializes; effective what the plugin chose instead.
	current, effective *rootContext
	// restricted: only what Envoy allows while a module initializes or allocates may be called. lastCall names what was
	// called nevertheless.
	restricted bool
	allocating bool
	lastCall   string
	// inner is a function of the module that a host function called and that did not return.
	inner string
	// failed: a call did not return, after which the VM is of no use.
	failed bool
	// buffer is what the buffer was that the plugin asked for last; Envoy keeps it as the call's data.
	buffer string
	// ticks: the plugin asked to be called from time to time.
	ticks bool
	// unsure is the first call whose answer only a proxy knows.
	unsure string

	metrics  metrics
	callouts callouts
}

type rootContext struct {
	id     uint32
	plugin Plugin
	// readable: the plugin's configuration may be read now.
	readable bool
	// stream is the request that a context is for; nil for the plugin's own.
	stream *stream
}

type vmKey struct{}

// try gives the verdict on a plugin: in a VM of its own, then in the shared one, if there is one already. It returns the
// VM that later plugins are to share.
func (m *module) try(ctx context.Context, plugin Plugin, shared *vm) (Verdict, *vm) {
	ctx, cancel := context.WithTimeout(ctx, m.attempt.timeout)
	defer cancel()
	own := m.newVM()
	verdict := own.run(ctx, plugin, true)
	if verdict.Outcome != Accepted {
		own.close(ctx)
		return verdict, shared
	}
	if shared == nil {
		return verdict, own
	}
	own.close(ctx)
	verdict = shared.run(ctx, plugin, false)
	if verdict.Outcome != Accepted {
		shared.close(ctx)
		shared = nil
	}
	return verdict, shared
}

func (m *module) newVM() *vm {
	return &vm{
		module: m, heap: &allocator{limit: m.attempt.memory}, contexts: map[uint32]*rootContext{},
		metrics: newMetrics(), callouts: newCallouts(),
	}
}

// run starts and configures a plugin, in a VM that is new or in which others run.
func (v *vm) run(ctx context.Context, plugin Plugin, fresh bool) Verdict {
	v.logs, v.unsure = newLogs(v.request.Secrets), ""
	ctx = context.WithValue(ctx, vmKey{}, v)
	var verdict *Verdict
	if fresh {
		verdict = v.initialize(ctx)
	}
	v.lastContext++
	root := &rootContext{id: v.lastContext, plugin: plugin}
	v.contexts[root.id], v.current = root, root
	if verdict == nil {
		verdict = v.start(ctx, root)
	}
	if verdict == nil {
		verdict = v.configure(ctx, root)
	}
	if verdict == nil {
		verdict = &Verdict{Outcome: Accepted}
	}
	if v.unsure != "" && !verdict.Exhausted {
		verdict = inconclusive("%s", v.unsure)
	}
	verdict.Reason, verdict.Call = v.logs.mask(verdict.Reason), v.logs.mask(verdict.Call)
	verdict.Logs = v.logs.lines()
	return *verdict
}

// initialize instantiates the module and lets it set itself up.
func (v *vm) initialize(ctx context.Context) *Verdict {
	instance, err := v.runtime.InstantiateModule(experimental.WithMemoryAllocator(ctx, v.heap), v.compiled,
		wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		return v.failure(ctx, StageLoad, "the module's start section", err)
	}
	v.instance, v.malloc = instance, instance.ExportedFunction(exportMalloc)
	if v.malloc == nil {
		v.malloc = instance.ExportedFunction(exportAllocate)
	}
	if len(v.compiled.ExportedMemories()) > 0 {
		v.memory = instance.Memory()
	}
	v.restricted = true
	defer func() { v.restricted = false }()
	if instance.ExportedFunction(exportInitialize) == nil {
		return v.call(ctx, StageStart, exportStart, nil)
	}
	if verdict := v.call(ctx, StageStart, exportInitialize, nil); verdict != nil {
		return verdict
	}
	if instance.ExportedFunction(exportMain) != nil {
		return v.call(ctx, StageStart, exportMain, nil, 0, 0)
	}
	return v.call(ctx, StageStart, exportMainVoid, nil)
}

func (v *vm) start(ctx context.Context, root *rootContext) *Verdict {
	root.readable = true
	verdict := v.call(ctx, StageStart, exportContextCreate, nil, uint64(root.id), 0)
	root.readable = false
	if verdict != nil {
		return verdict
	}
	result := uint32(1)
	verdict = v.call(ctx, StageStart, exportVMStart, &result, uint64(root.id), uint64(length(v.request.VMConfiguration)))
	if verdict == nil && result == 0 {
		return v.declined(StageStart, "the plugin refuses to start (proxy_on_vm_start returned false)")
	}
	return verdict
}

func (v *vm) configure(ctx context.Context, root *rootContext) *Verdict {
	root.readable = true
	defer func() { root.readable = false }()
	result := uint32(1)
	verdict := v.call(ctx, StageConfigure, exportConfigure, &result, uint64(root.id), uint64(length(root.plugin.Configuration)))
	if verdict == nil && result == 0 {
		return v.declined(StageConfigure, "the plugin refuses its configuration (proxy_on_configure returned false)")
	}
	return verdict
}
