// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero/api"
)

// The kinds of calls to other servers. A token of a call holds its kind in the lowest two bits.
const (
	httpCallout = iota
	grpcCallout
	grpcStream

	calloutStep = 4
	calloutKind = calloutStep - 1
)

// The bounds of a list of headers in memory. Envoy takes a longer one for an empty one.
const (
	maxPairsBytes = 1 << 20
	maxPairs      = 1024
)

// callouts are the calls to other servers that a VM has begun. None is ever answered: Envoy, too, answers only after the
// plugin has returned.
type callouts struct {
	next [grpcStream + 1]uint32
	open map[uint32]bool
	dns  uint32
}

func newCallouts() callouts {
	return callouts{
		next: [...]uint32{httpCallout + calloutStep, grpcCallout + calloutStep, grpcStream + calloutStep},
		open: map[uint32]bool{},
	}
}

// begin takes a call to a cluster. Whether a proxy knows that cluster, only the proxy can tell.
func (c *call) begin(kind int, cluster string) uint32 {
	c.state.keep(entryOverhead)
	token := c.callouts.next[kind]
	c.callouts.next[kind] += calloutStep
	c.callouts.open[token] = true
	c.guess(c.lastCall + " to the cluster " + cut(cluster))
	return token
}

func (c *call) httpCall() uint32 {
	const timeout, tokenParam = 8, 9
	cluster, headers := c.text(0), c.pairs(2)
	c.bytes(4)
	c.bytes(6)
	if !c.fault {
		c.setWord(tokenParam, 0)
	}
	// Envoy looks for the cluster first, with the same answer.
	authority := slices.Contains(headers, ":authority") || slices.Contains(headers, "host")
	complete := authority && slices.Contains(headers, ":path") && slices.Contains(headers, ":method")
	if c.fault || !complete || api.DecodeI32(c.stack[timeout]) < 0 {
		return badArgument
	}
	c.setWord(tokenParam, c.begin(httpCallout, cluster))
	return ok
}

func (c *call) grpcCall() uint32 {
	return c.beginGRPC(grpcCallout, 11, 0, 2, 4, 6, 8)
}

func (c *call) grpcStream() uint32 {
	return c.beginGRPC(grpcStream, 8, 0, 2, 4, 6)
}

func (c *call) beginGRPC(kind, tokenParam int, texts ...int) uint32 {
	for _, param := range texts {
		c.bytes(param)
	}
	service := c.text(0)
	if !c.fault {
		c.setWord(tokenParam, c.begin(kind, strings.ToValidUTF8(service, "?")))
	}
	return ok
}

// grpcCancel ends a call or a stream.
func (c *call) grpcCancel() uint32 {
	if result := c.isOpen(grpcCallout, grpcStream); result != ok {
		return result
	}
	delete(c.callouts.open, c.word(0))
	return ok
}

// grpcClose ends a call, and a stream only on this side.
func (c *call) grpcClose() uint32 {
	result := c.isOpen(grpcCallout, grpcStream)
	if result == ok && c.word(0)&calloutKind == grpcCallout {
		delete(c.callouts.open, c.word(0))
	}
	return result
}

func (c *call) grpcSend() uint32 {
	c.bytes(1)
	return c.isOpen(grpcStream)
}

func (c *call) isOpen(kinds ...uint32) uint32 {
	token := c.word(0)
	switch {
	case !slices.Contains(kinds, token&calloutKind):
		return badArgument
	case !c.callouts.open[token]:
		return notFound
	}
	return ok
}

// resolveDNS takes the request; the answer would come later.
func (c *call) resolveDNS() uint32 {
	c.bytes(0)
	if !c.fault {
		c.callouts.dns++
		c.setWord(2, c.callouts.dns)
	}
	return ok
}

// pairs reads the names of a list of headers.
func (c *call) pairs(param int) []string {
	var names []string
	for _, header := range readPairs(c.bytes(param)) {
		names = append(names, header[0])
	}
	return names
}

// readPairs reads a list of headers: their count, the sizes of all names and values, then each with a zero byte after it.
// Names come out in lower case. A list that is not well-formed has none.
func readPairs(data []byte) Headers {
	const wordSize, headSize = 4, 8
	if len(data) < wordSize || len(data) > maxPairsBytes {
		return nil
	}
	count := binary.LittleEndian.Uint32(data)
	if count > maxPairs || uint64(len(data)) < wordSize+uint64(count)*headSize {
		return nil
	}
	sizes, texts := data[wordSize:wordSize+count*headSize], data[wordSize+count*headSize:]
	headers := make(Headers, count)
	for i := range headers {
		name := uint64(binary.LittleEndian.Uint32(sizes[i*headSize:]))
		value := uint64(binary.LittleEndian.Uint32(sizes[i*headSize+wordSize:]))
		if uint64(len(texts)) < name+value+2 || texts[name] != 0 || texts[name+1+value] != 0 {
			return nil
		}
		headers[i] = [2]string{strings.ToLower(string(texts[:name])), string(texts[name+1 : name+1+value])}
		texts = texts[name+value+2:]
	}
	if len(texts) > 0 {
		return nil
	}
	return headers
}

// writePairs is the list of headers that readPairs reads.
func writePairs(headers Headers) []byte {
	if len(headers) == 0 {
		return nil
	}
	data := binary.LittleEndian.AppendUint32(nil, count(headers))
	for _, header := range headers {
		data = binary.LittleEndian.AppendUint32(data, length(header[0]))
		data = binary.LittleEndian.AppendUint32(data, length(header[1]))
	}
	for _, header := range headers {
		data = append(append(data, header[0]...), 0)
		data = append(append(data, header[1]...), 0)
	}
	return data
}
