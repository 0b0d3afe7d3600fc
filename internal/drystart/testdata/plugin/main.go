// SPDX-License-Identifier: Apache-2.0

// Command plugin is a proxy-wasm plugin that does what its configuration names, or at start what the VM's names. It
// speaks the ABI without an SDK.
package main

import (
	"os"
	"strings"
	"time"
	"unsafe"
)

const (
	levelError                = 4
	vmConfiguration           = 6
	pluginConfiguration       = 7
	mebibyte                  = 1 << 20
	accept              int32 = 1
	refuse              int32 = 0
)

//go:wasmimport env proxy_log
func proxyLog(level int32, text unsafe.Pointer, size int32) int32

//go:wasmimport env proxy_get_buffer_bytes
func proxyGetBufferBytes(kind, start, size int32, text, textSize unsafe.Pointer) int32

//go:wasmimport env proxy_get_property
func proxyGetProperty(path unsafe.Pointer, size int32, value, valueSize unsafe.Pointer) int32

// kept is what the host allocated and what hog keeps.
var kept [][]byte

//go:wasmexport proxy_abi_version_0_2_1
func version() {}

//go:wasmexport malloc
func allocate(size int32) unsafe.Pointer {
	kept = append(kept, make([]byte, size))
	return unsafe.Pointer(unsafe.SliceData(kept[len(kept)-1]))
}

//go:wasmexport proxy_on_context_create
func onContextCreate(_, _ int32) {
	if buffer(vmConfiguration) == "panic at creation" {
		panic("no plugin")
	}
}

//go:wasmexport proxy_on_vm_start
func onVMStart(_, _ int32) int32 { return do(buffer(vmConfiguration)) }

//go:wasmexport proxy_on_configure
func onConfigure(_, _ int32) int32 { return do(buffer(pluginConfiguration)) }

func do(action string) int32 {
	switch action {
	case "refuse":
		say("I do not like it")
		return refuse
	case "panic":
		panic("I am lost")
	case "exit":
		os.Exit(1)
	case "read a file":
		if _, err := os.ReadFile("/etc/hostname"); err != nil {
			say(err.Error())
			return refuse
		}
	case "loop":
		for {
			counter++
		}
	case "recurse":
		counter = depth(1)
	case "hog":
		for {
			kept = append(kept, make([]byte, mebibyte))
		}
	case "sleep":
		time.Sleep(time.Millisecond)
	case "tell all":
		say("name=" + property("plugin_name") + " root=" + property("plugin_root_id") + " vm=" + property("plugin_vm_id") +
			" env=" + os.Getenv("SETTING") + " vm configuration=" + buffer(vmConfiguration))
	case "ask for the node":
		property("xds\x00node\x00id")
	}
	if prefix, text, found := strings.Cut(action, ": "); found && prefix == "say" {
		say(text)
	}
	return accept
}

var counter int

//go:noinline
func depth(n int) int { return depth(n+1) + 1 }

func say(text string) {
	proxyLog(levelError, unsafe.Pointer(unsafe.StringData(text)), int32(len(text)))
}

func buffer(kind int32) string {
	var text uint32
	var size int32
	proxyGetBufferBytes(kind, 0, mebibyte, unsafe.Pointer(&text), unsafe.Pointer(&size))
	return given(text, size)
}

func property(path string) string {
	var value uint32
	var size int32
	proxyGetProperty(unsafe.Pointer(unsafe.StringData(path)), int32(len(path)), unsafe.Pointer(&value), unsafe.Pointer(&size))
	return given(value, size)
}

// given copies what the host wrote to memory that it had allocated here.
func given(address uint32, size int32) string {
	if size == 0 {
		return ""
	}
	return strings.Clone(unsafe.String((*byte)(unsafe.Pointer(uintptr(address))), size))
}

// init is what a plugin does before there is any context.
func init() {
	switch os.Getenv("INIT") {
	case "panic":
		panic("I can't begin")
	case "ask":
		buffer(vmConfiguration)
	case "exit":
		os.Exit(0)
	}
}

func main() {}
