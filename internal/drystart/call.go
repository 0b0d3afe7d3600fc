// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"context"
	"math"

	"github.com/tetratelabs/wazero/api"

	"github.com/solarmesh/wasmplugin-operator/internal/proxywasm"
)

// The results of host functions in the proxy-wasm ABI.
const (
	ok uint32 = iota
	notFound
	badArgument
	serializationFailure
	parseFailure
	_
	invalidMemoryAccess
	empty
	casMismatch
	_
	internalFailure
	_
	unimplemented
)

// hostFunction is a function that Envoy offers to modules.
type hostFunction struct {
	signature proxywasm.Signature
	run       func(c *call) uint32
	// early: it may be called while a module initializes.
	early bool
	// always: it may be called while a module allocates memory, too.
	always bool
}

// call is one call of a host function.
type call struct {
	*vm
	ctx   context.Context //nolint:containedctx // A call lives as long as its context.
	stack []uint64
	// fault: an address was outside of the module's memory.
	fault bool
}

// hostFunction returns what a module gets for an import.
func (m *module) hostFunction(moduleName, name string, function hostFunction) api.GoModuleFunc {
	wasi := moduleName != proxywasm.ModuleEnv
	run, faulty := function.run, invalidMemoryAccess
	if wasi {
		faulty = errnoFault
	}
	if (wasi || isProxyFunction(name)) && !m.allowed(name) {
		run = restrictedCapability(name, wasi)
	}
	return func(ctx context.Context, _ api.Module, stack []uint64) {
		v, _ := ctx.Value(vmKey{}).(*vm)
		v.lastCall = name
		if err := v.permit(function); err != nil {
			panic(err)
		}
		c := &call{vm: v, ctx: ctx, stack: stack}
		result := run(c)
		if c.fault {
			result = faulty
		}
		if !function.signature.Void() {
			stack[0] = uint64(result)
		}
	}
}

// permit returns an error where Envoy ends the module for the call.
func (v *vm) permit(function hostFunction) error {
	switch {
	case v.instance == nil:
		return errNoContext
	case function.always:
		return nil
	case v.allocating, v.restricted && !function.early:
		return errRestricted
	}
	return nil
}

// restrictedCapability stands in for a function that the capability restriction leaves out.
func restrictedCapability(name string, wasi bool) func(c *call) uint32 {
	kind, result := "proxy-wasm", internalFailure
	if wasi {
		kind, result = "WASI", errnoNotCapable
	}
	return func(c *call) uint32 {
		c.logs.message(levelError, "Attempted call to restricted "+kind+" capability: "+name)
		return result
	}
}

// word is a parameter that is an i32, long one that is an i64.
func (c *call) word(param int) uint32 { return api.DecodeU32(c.stack[param]) }
func (c *call) long(param int) uint64 { return c.stack[param] }

// bytes is the part of memory whose address and size the parameter and the next one are. It is valid until the module
// runs again.
func (c *call) bytes(param int) []byte { return c.read(c.word(param), c.word(param+1)) }

func (c *call) text(param int) string { return string(c.bytes(param)) }

func (c *call) read(address, size uint32) []byte {
	view, found := c.mem().Read(address, size)
	c.fault = c.fault || !found
	return view
}

// setWord and setLong write to the address that is the parameter.
func (c *call) setWord(param int, value uint32) {
	c.fault = !c.mem().WriteUint32Le(c.word(param), value) || c.fault
}

func (c *call) setLong(param int, value uint64) {
	c.fault = !c.mem().WriteUint64Le(c.word(param), value) || c.fault
}

// give copies data to memory that the module allocates, and writes its address and size to where the parameter and the
// next one point.
func (c *call) give(param int, data []byte) {
	var address uint32
	if len(data) > 0 {
		address = c.allocate(length(data))
		c.fault = address == 0 || !c.mem().Write(address, data) || c.fault
	}
	if !c.fault {
		c.setWord(param, address)
		c.setWord(param+1, length(data))
	}
}

func (c *call) allocate(size uint32) uint32 {
	name := c.lastCall
	c.allocating = true
	results, err := c.malloc.Call(c.ctx, uint64(size))
	c.allocating = false
	if err != nil {
		// Envoy goes on in a VM that counts as failed from here.
		if c.inner = exportMalloc; c.instance.ExportedFunction(exportMalloc) == nil {
			c.inner = exportAllocate
		}
		panic(err)
	}
	c.lastCall = name
	return api.DecodeU32(results[0])
}

func (c *call) mem() api.Memory {
	if c.memory == nil {
		panic(errNoMemory)
	}
	return c.memory
}

// length is that of data as a module has it. Nothing is longer than the memory that it goes to.
func length[T string | []byte](data T) uint32 {
	if size := len(data); size <= math.MaxUint32 {
		return uint32(size)
	}
	return math.MaxUint32
}

// guess marks the verdict as inconclusive: what the call returns is not what every proxy would.
func (v *vm) guess(call string) {
	if v.unsure == "" {
		v.unsure = call
	}
}

// context is the root context that a call is about; the VM's own has no plugin.
func (c *call) context() *rootContext {
	if c.effective != nil {
		return c.effective
	}
	return c.current
}
