// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"bytes"
	"context"
	"strconv"

	"github.com/solarmesh/wasmplugin-operator/internal/proxywasm"
)

// The results of callbacks at a message's headers and body.
const (
	actionContinue = 0

	bodyStopAndBuffer    = 1
	bodyStopAndWatermark = 2
)

// stream is a request that a plugin serves, with its response.
type stream struct {
	context *rootContext
	// root is the id of the plugin's own context.
	root              uint32
	request, response way
	properties        map[string]string
	// local is what the plugin wants to answer by itself; it is sent once the callback has returned.
	local *Message
	// stopped: whatever the callback returns, the message stops here.
	stopped bool
	// reached: the response is the server's.
	reached bool
	// over: both messages are done. They may be read once more while logging.
	over, logging bool
}

// way is a message on its way through a plugin.
type way struct {
	// onHeaders and onBody are the callbacks at it.
	onHeaders, onBody string
	headers           Headers
	// visible are the headers as long as the plugin may see them, body what it may see of the body.
	visible *Headers
	body    *[]byte
	// parts is the body as it comes: all at once, or with its end for itself.
	parts [][]byte
	// out is the body that was let through.
	out []byte
	// passed: the headers were let through.
	passed bool
}

// stream is the request that a call is about, nil for none.
func (c *call) stream() *stream {
	if context := c.context(); context != nil {
		return context.stream
	}
	return nil
}

// body is what the plugin may see of a body now; nil for nothing.
func (c *call) body(kind uint32) *[]byte {
	s := c.stream()
	switch {
	case s != nil && kind == bufferRequestBody:
		return s.request.body
	case s != nil && kind == bufferResponseBody:
		return s.response.body
	}
	return nil
}

// firstABI says whether the module is of ABI 0.1.0.
func (m *module) firstABI() bool { return m.abi == proxywasm.ABI010 }

// setBody replaces the beginning of a body or all of it, or puts something behind it; nothing else of it can be changed.
func (c *call) setBody() uint32 {
	body := c.body(c.word(0))
	if body == nil {
		return c.setBuffer()
	}
	start, size, data := uint64(c.word(1)), uint64(c.word(2)), c.bytes(3)
	whole := uint64(len(*body))
	switch {
	case c.fault:
	case start == 0:
		*body = append(bytes.Clone(data), (*body)[min(size, whole):]...)
	case start >= whole:
		*body = append(*body, data...)
	default:
		return badArgument
	}
	return ok
}

// answerHere has the plugin answer in place of the server.
func (c *call) answerHere() uint32 {
	const detailsParam, bodyParam, headersParam = 1, 3, 5
	c.bytes(detailsParam)
	body, headers := bytes.Clone(c.bytes(bodyParam)), readPairs(c.bytes(headersParam))
	if c.fault {
		return ok
	}
	s := c.stream()
	switch {
	case s.logging:
		panic(errTooLate)
	case s.over:
		c.guess("proxy_send_local_response when the request is over")
		return ok
	}
	code := c.word(0)
	if code < 200 || code > 599 {
		c.guess("proxy_send_local_response with the status " + strconv.FormatUint(uint64(code), 10))
	}
	if contentType, _ := s.request.headers.Get(headerContentType); bytes.HasPrefix([]byte(contentType), []byte("application/grpc")) {
		c.guess("proxy_send_local_response to a gRPC request")
	}
	local := Message{Headers: Headers{{headerStatus, strconv.FormatUint(uint64(code), 10)}}, Body: body}
	for _, header := range headers {
		local.Headers.add(header[0], header[1])
	}
	if len(body) > 0 {
		local.Headers.replace(headerContentLength, strconv.Itoa(len(body)))
		local.Headers.addMissing(headerContentType, "text/plain")
	}
	s.local, s.stopped = &local, true
	return ok
}

// goOn is a plugin that lets go on what it had stopped, which it does in callbacks that do not come here.
func (c *call) goOn() uint32 {
	if c.word(0) <= streamResponse {
		return c.goOnSoon()
	}
	return c.continueStream()
}

func (c *call) goOnSoon() uint32 {
	c.guess(c.lastCall + " in the callback that it is about")
	return ok
}

func (c *call) closeHere() uint32 {
	if c.word(0) <= streamResponse {
		c.guess("proxy_close_stream")
	}
	return c.closeStream()
}

// pass takes a message through the plugin. It returns nil where the message went through or the plugin answers by itself.
func (v *vm) pass(ctx context.Context, s *stream, w *way) *Verdict {
	w.visible = &w.headers
	var action uint32
	args := []uint64{uint64(s.context.id), uint64(count(w.headers))}
	if !v.firstABI() {
		args = append(args, flag(len(w.parts) == 0))
	}
	if verdict := v.call(ctx, StageRequest, w.onHeaders, &action, args...); verdict != nil || s.stopped {
		return verdict
	}
	if action != actionContinue {
		return v.waits(w.onHeaders, action, "gets no body and sends nothing on")
	}
	w.visible, w.passed = nil, true
	return v.passBody(ctx, s, w)
}

// passBody takes a body through the plugin, part by part. Where it returns neither a verdict nor an answer, all that the
// plugin let through is in w.out.
func (v *vm) passBody(ctx context.Context, s *stream, w *way) *Verdict {
	var held, buffered []byte
	defer func() { w.body = nil }()
	for i, part := range w.parts {
		visible := append(buffered, part...)
		w.body = &visible
		last := i == len(w.parts)-1
		var action uint32
		verdict := v.call(ctx, StageRequest, w.onBody, &action, uint64(s.context.id), uint64(length(visible)), flag(last))
		if verdict != nil || s.stopped {
			return verdict
		}
		if last && action != actionContinue {
			return v.waits(w.onBody, action, "lets no body through at its end")
		}
		buffered = nil
		switch action {
		case actionContinue:
			w.out = append(append(w.out, held...), visible...)
			held = nil
		case bodyStopAndBuffer:
			buffered = visible
		case bodyStopAndWatermark:
			held = append(held, visible...)
		}
	}
	return nil
}

// waits is the verdict on a plugin that stops a message and never lets it go on.
func (v *vm) waits(function string, action uint32, consequence string) *Verdict {
	switch {
	case v.ticks:
		v.guess("a tick, for which it may wait")
	case v.callouts.dns > 0:
		v.guess("envoy_resolve_dns")
	case len(v.state.queues) > 0:
		v.guess("a shared queue, for which it may wait")
	}
	return refused(StageRequest, "%s stops (it returned %d) and nothing lets it go on: Envoy %s", function, action, consequence)
}

func flag(value bool) uint64 {
	if value {
		return 1
	}
	return 0
}
