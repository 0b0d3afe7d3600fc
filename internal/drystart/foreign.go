// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"bytes"
	"compress/zlib"
	"io"
	"slices"
)

const (
	foreignCompress   = "compress"
	foreignUncompress = "uncompress"
	foreignClearRoute = "clear_route_cache"
)

// foreignOfProxies are the functions of Envoy that are not known well enough here.
var foreignOfProxies = []string{
	"declare_property", "expr_create", "expr_delete", "expr_evaluate", "set_envoy_filter_state", "sign", "verify_signature",
}

// foreignFunction calls a function that is Envoy's own and no part of the ABI.
func (c *call) foreignFunction() uint32 {
	name, arguments := c.text(0), c.bytes(2)
	if c.fault {
		return ok
	}
	var data []byte
	result := ok
	switch {
	case name == foreignClearRoute:
	case name == foreignCompress:
		data = compress(arguments)
	case name == foreignUncompress:
		if data, result = uncompress(arguments); len(data) > maxStorage {
			panic(errStorage)
		}
	case slices.Contains(foreignOfProxies, name):
		c.guess("proxy_call_foreign_function " + name)
	default:
		return notFound
	}
	c.giveResult(data)
	return result
}

// giveResult writes where the result is and its size. A plugin may want neither.
func (c *call) giveResult(data []byte) {
	const address, size = 4, 5
	if c.word(address) != 0 {
		var copied uint32
		if len(data) > 0 {
			copied = c.allocate(length(data))
			c.fault = copied == 0 || !c.mem().Write(copied, data) || c.fault
		}
		c.setWord(address, copied)
	}
	if c.word(size) != 0 {
		c.setWord(size, length(data))
	}
}

func compress(data []byte) []byte {
	var out bytes.Buffer
	// A buffer takes all that is written.
	writer := zlib.NewWriter(&out)
	_, _ = writer.Write(data)
	_ = writer.Close()
	return out.Bytes()
}

// uncompress returns at most one byte more than may be kept.
func uncompress(data []byte) ([]byte, uint32) {
	reader, err := zlib.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, serializationFailure
	}
	out, err := io.ReadAll(io.LimitReader(reader, maxStorage+1))
	if err != nil {
		return nil, serializationFailure
	}
	return out, ok
}
