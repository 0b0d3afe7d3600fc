// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"math"
	"slices"
	"strings"
)

// Headers are the names, in lower case, and values of a message, in order. What HTTP/1 has in its first line stands among
// them as in HTTP/2: :method, :path, :authority and :scheme of a request, :status of a response.
type Headers [][2]string

const (
	headerMethod        = ":method"
	headerPath          = ":path"
	headerAuthority     = ":authority"
	headerScheme        = ":scheme"
	headerStatus        = ":status"
	headerHost          = "host"
	headerContentLength = "content-length"
	headerContentType   = "content-type"
	headerRequestID     = "x-request-id"
	headerForwarded     = "x-forwarded-proto"
)

// single are headers that Envoy keeps in one line: another value goes behind the first one, with a comma. Any other header
// may stand there several times.
var single = []string{
	headerMethod, headerPath, headerAuthority, headerScheme, headerStatus, headerContentLength, headerContentType, headerRequestID,
	headerForwarded, "connection", "date", "expect", "grpc-message", "grpc-status", "grpc-timeout", "keep-alive", "te", "transfer-encoding",
	"upgrade", "user-agent", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-client-cert",
}

// Get is the first value under the name, which is in lower case.
func (h Headers) Get(name string) (string, bool) {
	if i := h.index(name); i >= 0 {
		return h[i][1], true
	}
	return "", false
}

func (h Headers) index(name string) int {
	if name == headerHost {
		name = headerAuthority
	}
	return slices.IndexFunc(h, func(header [2]string) bool { return header[0] == name })
}

// joined is all values under the name, as one.
func (h Headers) joined(name string) (string, bool) {
	var values []string
	for _, header := range h {
		if header[0] == name {
			values = append(values, header[1])
		}
	}
	return strings.Join(values, ","), len(values) > 0
}

func (h *Headers) add(name, value string) {
	if name == headerHost {
		name = headerAuthority
	}
	if i := h.index(name); i >= 0 && slices.Contains(single, name) {
		(*h)[i][1] += "," + value
		return
	}
	*h = append(*h, [2]string{name, value})
}

func (h *Headers) remove(name string) {
	if name == headerHost {
		name = headerAuthority
	}
	*h = slices.DeleteFunc(*h, func(header [2]string) bool { return header[0] == name })
}

func (h *Headers) replace(name, value string) {
	h.remove(name)
	h.add(name, value)
}

// addMissing adds a header where there is none of the name.
func (h *Headers) addMissing(name, value string) {
	if h.index(name) < 0 {
		h.add(name, value)
	}
}

// size is the count of bytes of names and values.
func (h Headers) size() uint32 {
	var size uint32
	for _, header := range h {
		size += length(header[0]) + length(header[1])
	}
	return size
}

func count[T any](list []T) uint32 {
	if n := len(list); n <= math.MaxInt32 {
		return uint32(n)
	}
	return math.MaxInt32
}

// editable is the map of headers that may be changed now; nil where Envoy has none.
func (c *call) editable() *Headers {
	s := c.stream()
	switch kind := c.word(0); {
	case kind == mapRequestHeaders:
		return s.request.visible
	case kind == mapResponseHeaders:
		return s.response.visible
	case kind == mapRequestTrailers && s.request.body != nil, kind == mapResponseTrailers && s.response.body != nil:
		// Envoy makes trailers at the end of a body; whether they are passed on, depends on the protocol.
		c.guess(c.lastCall + " for trailers")
	}
	return nil
}

// readable is the map of headers that may be read now; nil where Envoy has none.
func (c *call) readable() *Headers {
	s := c.stream()
	switch kind := c.word(0); {
	case s.logging && kind == mapRequestHeaders:
		return &s.request.headers
	case s.logging && kind == mapResponseHeaders:
		return &s.response.headers
	}
	return c.editable()
}

// name is the name of a header that a module hands over.
func (c *call) name(param int) string { return strings.ToLower(c.text(param)) }

func (c *call) getHeader() uint32 {
	if c.word(0) > maxHeaderMap {
		return badArgument
	}
	name := c.name(1)
	headers := c.readable()
	if c.fault || headers == nil {
		return badArgument
	}
	value, found := headers.Get(name)
	if !found && !c.firstABI() {
		return notFound
	}
	c.give(3, []byte(value))
	return ok
}

// change changes one header by what edit does with it.
func (c *call) change(edit func(headers *Headers, name string)) uint32 {
	if c.word(0) > maxHeaderMap {
		return badArgument
	}
	name := c.name(1)
	headers := c.editable()
	if c.fault || headers == nil {
		return badArgument
	}
	edit(headers, name)
	return ok
}

func (c *call) addHeader() uint32 {
	value := c.text(3)
	return c.change(func(headers *Headers, name string) { headers.add(name, value) })
}

func (c *call) replaceHeader() uint32 {
	value := c.text(3)
	return c.change(func(headers *Headers, name string) { headers.replace(name, value) })
}

func (c *call) removeHeader() uint32 {
	return c.change((*Headers).remove)
}

func (c *call) getAllHeaders() uint32 {
	if c.word(0) > maxHeaderMap {
		return badArgument
	}
	var all Headers
	if headers := c.readable(); headers != nil {
		all = *headers
	}
	c.give(1, writePairs(all))
	return ok
}

func (c *call) setAllHeaders() uint32 {
	if c.word(0) > maxHeaderMap {
		return badArgument
	}
	pairs := readPairs(c.bytes(1))
	headers := c.editable()
	if c.fault || headers == nil {
		return badArgument
	}
	*headers = nil
	for _, pair := range pairs {
		headers.add(pair[0], pair[1])
	}
	return ok
}

func (c *call) getHeadersSize() uint32 {
	if c.word(0) > maxHeaderMap {
		return badArgument
	}
	headers := c.editable()
	if headers == nil {
		return badArgument
	}
	c.setWord(1, headers.size())
	return ok
}
