// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"strings"
	"time"
)

// The kinds of buffers, header maps and streams.
const (
	bufferRequestBody      = 0
	bufferResponseBody     = 1
	bufferHTTPCallResponse = 4
	bufferVMConfiguration  = 6
	bufferPlugin           = 7
	bufferCallData         = 8
	maxBuffer              = bufferCallData

	mapRequestHeaders   = 0
	mapRequestTrailers  = 1
	mapResponseHeaders  = 2
	mapResponseTrailers = 3
	maxHeaderMap        = 7

	streamResponse = 1
	streamUpstream = 3
	maxStream      = streamUpstream
)

// assumedLogLevel is what a plugin is told; a proxy's level can be changed at any time.
const assumedLogLevel = levelInfo

// answer is a host function that always returns the same.
func answer(result uint32) func(c *call) uint32 {
	return func(*call) uint32 { return result }
}

func (c *call) succeed() uint32 { return ok }

// setTick: no tick comes here.
func (c *call) setTick() uint32 {
	c.ticks = c.word(0) > 0
	return ok
}

func (c *call) log() uint32 {
	level := c.word(0)
	if level > maxLevel {
		return badArgument
	}
	view := c.bytes(1)
	c.logs.message(int(level), string(view[:min(len(view), maxMessageBytes+1)]))
	return ok
}

func (c *call) getLogLevel() uint32 {
	c.setWord(0, assumedLogLevel)
	return ok
}

func (c *call) getStatus() uint32 {
	c.setWord(0, 0)
	c.give(1, nil)
	return ok
}

func (c *call) currentTime() uint32 {
	c.setLong(0, uint64(time.Now().UnixNano()))
	return ok
}

func (c *call) setEffectiveContext() uint32 {
	id := c.word(0)
	context, found := c.contexts[id]
	if !found && id != 0 {
		return badArgument
	}
	c.effective = context
	return ok
}

// done is for a context that waits to be deleted; none does.
func (c *call) done() uint32 { return notFound }

func (c *call) pthreadEqual() uint32 {
	if c.word(0) == c.word(1) {
		return 1
	}
	return 0
}

// setProperty: properties are kept with a stream, and there is none.
func (c *call) setProperty() uint32 {
	c.bytes(0)
	c.bytes(2)
	return notFound
}

// getProperty knows the plugin's own properties. Those of a stream are not there, and those of the proxy are not known.
func (c *call) getProperty() uint32 {
	text := c.text(0)
	switch {
	case c.fault:
		return ok
	case text == "":
		return serializationFailure
	}
	path := strings.Split(strings.TrimSuffix(text, "\x00"), "\x00")
	if path[0] == "xds" && (len(path) == 1 || path[1] == "node") {
		c.guess("proxy_get_property " + strings.Join(path, "."))
		return notFound
	}
	value, found := c.property(path[0])
	if !found || len(path) > 1 {
		return notFound
	}
	c.give(2, []byte(value))
	return ok
}

// property is one of the plugin's own.
func (c *call) property(name string) (string, bool) {
	root := c.context()
	switch {
	case name == "plugin_vm_id":
		return c.request.VMID, true
	case name == "plugin_root_id" && root != nil:
		return c.request.RootID, true
	case name == "plugin_name" && root != nil:
		return root.plugin.Name, true
	}
	return "", false
}

// selectBuffer makes the buffer of the kind the current one, as Envoy does. Those of a stream are empty.
func (c *call) selectBuffer(kind uint32) uint32 {
	root := c.context()
	if body := c.body(kind); body != nil {
		c.buffer = string(*body)
		return ok
	}
	switch {
	case kind > maxBuffer:
		return badArgument
	case kind == bufferVMConfiguration:
		c.buffer = c.request.VMConfiguration
	case kind == bufferPlugin && root != nil && root.readable:
		c.buffer = root.plugin.Configuration
	case kind == bufferPlugin, kind == bufferHTTPCallResponse:
		return notFound
	case kind != bufferCallData:
		c.buffer = ""
	}
	return ok
}

func (c *call) getBuffer() uint32 {
	if result := c.selectBuffer(c.word(0)); result != ok {
		return result
	}
	size := uint64(len(c.buffer))
	start := min(uint64(c.word(1)), size)
	end := min(start+uint64(c.word(2)), size)
	c.give(3, []byte(c.buffer[start:end]))
	return ok
}

func (c *call) getBufferStatus() uint32 {
	if result := c.selectBuffer(c.word(0)); result != ok {
		return result
	}
	c.setWord(1, length(c.buffer))
	c.setWord(2, 0)
	return ok
}

// setBuffer: what can be written belongs to a stream.
func (c *call) setBuffer() uint32 {
	if result := c.selectBuffer(c.word(0)); result != ok {
		return result
	}
	c.bytes(3)
	return badArgument
}

// getConfiguration is of ABI 0.1.0.
func (c *call) getConfiguration() uint32 {
	configuration := c.request.VMConfiguration
	if root := c.context(); root != nil && root.readable {
		configuration = root.plugin.Configuration
	}
	c.give(0, []byte(configuration))
	return ok
}

// oneHeader is of a map of headers that is not there, as all are without a stream.
func (c *call) oneHeader() uint32 {
	if c.word(0) <= maxHeaderMap {
		c.bytes(1)
	}
	return badArgument
}

func (c *call) changeHeader() uint32 {
	if c.word(0) <= maxHeaderMap {
		c.bytes(1)
		c.bytes(3)
	}
	return badArgument
}

// getHeaders returns no headers.
func (c *call) getHeaders() uint32 {
	if c.word(0) > maxHeaderMap {
		return badArgument
	}
	c.give(1, nil)
	return ok
}

func (c *call) sendLocalResponse() uint32 {
	for _, param := range []int{1, 3, 5} {
		c.bytes(param)
	}
	return ok
}

func (c *call) continueStream() uint32 {
	switch stream := c.word(0); {
	case stream > maxStream:
		return badArgument
	case stream == streamUpstream:
		return unimplemented
	}
	return ok
}

func (c *call) closeStream() uint32 {
	if c.word(0) > maxStream {
		return badArgument
	}
	return ok
}
