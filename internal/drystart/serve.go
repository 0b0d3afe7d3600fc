// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"bytes"
	"cmp"
	"context"
	"net/http"
	"strconv"
	"time"
)

// Message is a request or a response.
type Message struct {
	Headers Headers
	Body    []byte
}

// Exchange is a request, and what the server behind the proxy would answer.
type Exchange struct {
	Request, Answer Message
}

// Served is what became of an exchange.
type Served struct {
	// Verdict is Accepted where the request was answered, by the server or by the plugin, and otherwise says why not.
	Verdict
	// Reached is the request as it reaches the server; nil where it does not.
	Reached *Message
	// Response is what the client gets.
	Response *Message
	// Took is the time that the plugin had.
	Took time.Duration
}

// Session is a module, loaded once, whose plugins serve requests.
type Session struct {
	module  *module
	request Request
}

// Open loads the module of a request, or says why Envoy would not. The request's own plugins have no meaning for it.
func (c *Checker) Open(ctx context.Context, request Request) (*Session, *Verdict) {
	a := attempt{timeout: c.options.Timeout, memory: c.options.Memory, compile: c.options.Interpret < c.options.Timeout}
	loaded, verdict := load(ctx, a, request)
	if verdict != nil {
		return nil, verdict
	}
	return &Session{module: loaded, request: request}, nil
}

// Close ends the session, and all that was started in it.
func (s *Session) Close(ctx context.Context) { s.module.close(ctx) }

// Instance is a plugin in a VM of its own, with all that a VM keeps from one request to the next.
type Instance struct {
	vm   *vm
	root *rootContext
}

// Start starts a plugin as a check does. There is no instance where the verdict is a refusal.
func (s *Session) Start(ctx context.Context, plugin Plugin) (*Instance, Verdict) {
	own := *s.module
	own.state, own.slow = newSharedState(), false
	v := own.newVM()
	timed, cancel := context.WithTimeout(ctx, own.attempt.timeout)
	defer cancel()
	verdict := v.run(timed, plugin, true)
	if verdict.Outcome == Refused || ctx.Err() != nil {
		v.close(ctx)
		return nil, verdict
	}
	return &Instance{vm: v, root: v.current}, verdict
}

// Close ends the instance.
func (i *Instance) Close(ctx context.Context) { i.vm.close(ctx) }

// Failed says whether the VM is of no use any more, as after a trap: Envoy would let no further request through.
func (i *Instance) Failed() bool { return i.vm.failed }

// Memory is the size of the VM's linear memory in bytes.
func (i *Instance) Memory() uint64 {
	if i.vm.memory == nil {
		return 0
	}
	return uint64(i.vm.memory.Size())
}

// Serve has the plugin serve a request as in a proxy with this plugin alone: context, request, response, log, end. A body
// comes in one piece, and over HTTP/1 its end comes for itself.
func (i *Instance) Serve(ctx context.Context, exchange Exchange) Served {
	v := i.vm
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, vmKey{}, v), v.attempt.timeout)
	defer cancel()
	v.logs, v.unsure = newLogs(v.request.Secrets), ""
	s := v.newStream(i.root, exchange.Request)
	before := time.Now()
	served, verdict := v.serve(ctx, s, exchange.Answer)
	if !v.failed {
		verdict = cmp.Or(verdict, v.end(ctx, s))
	}
	served.Took = time.Since(before)
	delete(v.contexts, s.context.id)
	v.current = i.root
	if verdict == nil {
		verdict = &Verdict{Outcome: Accepted}
	}
	if v.unsure != "" && !verdict.Exhausted {
		verdict = inconclusive("%s", v.unsure)
	}
	served.Verdict = *verdict
	served.Reason, served.Call, served.Logs = v.logs.mask(served.Reason), v.logs.mask(served.Call), v.logs.lines()
	return served
}

func (v *vm) newStream(root *rootContext, request Message) *stream {
	v.lastContext++
	headers := append(Headers(nil), request.Headers...)
	headers.addMissing(headerScheme, "http")
	headers.addMissing(headerForwarded, "http")
	headers.addMissing(headerRequestID, "00000000-0000-4000-8000-000000000000")
	s := &stream{
		root: root.id, properties: map[string]string{},
		request:  way{onHeaders: "proxy_on_request_headers", onBody: "proxy_on_request_body", headers: headers},
		response: way{onHeaders: "proxy_on_response_headers", onBody: "proxy_on_response_body"},
	}
	if len(request.Body) > 0 {
		// Over HTTP/1 the end of a body comes for itself.
		s.request.parts = [][]byte{bytes.Clone(request.Body), nil}
		s.request.headers.addMissing(headerContentLength, strconv.Itoa(len(request.Body)))
	}
	s.context = &rootContext{id: v.lastContext, plugin: root.plugin, stream: s}
	v.contexts[s.context.id], v.current = s.context, s.context
	return s
}

// serve takes a request to the server and the answer back.
func (v *vm) serve(ctx context.Context, s *stream, answer Message) (Served, *Verdict) {
	var served Served
	if verdict := v.call(ctx, StageRequest, exportContextCreate, nil, uint64(s.context.id), uint64(s.root)); verdict != nil {
		return served, verdict
	}
	if verdict := v.pass(ctx, s, &s.request); verdict != nil {
		return served, verdict
	}
	method, _ := s.request.headers.Get(headerMethod)
	if local := s.takeLocal(); local != nil {
		s.response.answerBy(method, local)
	} else {
		if verdict := v.complete(&s.request, headerMethod, headerPath, headerAuthority, headerForwarded); verdict != nil {
			return served, verdict
		}
		served.Reached, s.reached = &Message{Headers: s.request.headers, Body: s.request.out}, true
		s.response.answerOf(method, &answer)
	}
	if verdict := v.pass(ctx, s, &s.response); verdict != nil {
		return served, verdict
	}
	response, verdict := v.respond(s, method)
	served.Response = response
	return served, verdict
}

// answerBy is the plugin's own answer, whose body comes at once.
func (w *way) answerBy(method string, local *Message) {
	w.headers = local.Headers
	if hasBody(method, local) {
		w.parts = [][]byte{local.Body}
	}
}

// answerOf is the server's, over HTTP/1.
func (w *way) answerOf(method string, answer *Message) {
	w.headers = append(Headers(nil), answer.Headers...)
	if hasBody(method, answer) {
		w.parts = [][]byte{bytes.Clone(answer.Body), nil}
	}
	if mayHaveBody(answer) {
		w.headers.addMissing(headerContentLength, strconv.Itoa(len(answer.Body)))
	}
}

// respond is what the client gets once the response's callbacks are done.
func (v *vm) respond(s *stream, method string) (*Message, *Verdict) {
	w := &s.response
	local := s.takeLocal()
	switch {
	case local != nil && w.passed:
		return nil, refused(StageRequest, "%s answers by itself when the response's headers are on their way: Envoy cuts the connection", w.onBody)
	case local != nil:
		w.headers, w.out = local.Headers, local.Body
		if !hasBody(method, local) {
			w.out = nil
		}
		return &Message{Headers: w.headers, Body: w.out}, nil
	}
	if verdict := v.complete(w, headerStatus); verdict != nil {
		return nil, verdict
	}
	return &Message{Headers: w.headers, Body: w.out}, nil
}

// complete is the verdict on a message that can't be sent as the plugin left it.
func (v *vm) complete(w *way, needed ...string) *Verdict {
	for _, name := range needed {
		if _, found := w.headers.Get(name); !found {
			v.guess("a message without " + name)
		}
	}
	if text, found := w.headers.Get(headerContentLength); found && text != strconv.Itoa(len(w.out)) && len(w.parts) > 0 {
		return refused(StageRequest, "the plugin makes the body %d bytes long, and content-length says %s; remove content-length in %s",
			len(w.out), text, w.onHeaders)
	}
	return nil
}

// end logs the exchange and deletes its context.
func (v *vm) end(ctx context.Context, s *stream) *Verdict {
	s.over = true
	// What a message that did not go through left open is no more.
	s.request.visible, s.response.visible = nil, nil
	for _, function := range []string{exportLog, "proxy_on_done", "proxy_on_delete"} {
		s.logging = function == exportLog
		if verdict := v.call(ctx, StageRequest, function, nil, uint64(s.context.id)); verdict != nil {
			return verdict
		}
	}
	return nil
}

func (s *stream) takeLocal() *Message {
	local := s.local
	s.local, s.stopped = nil, false
	return local
}

// hasBody says whether a response to the method has a body.
func hasBody(method string, response *Message) bool {
	return len(response.Body) > 0 && method != http.MethodHead && mayHaveBody(response)
}

func mayHaveBody(response *Message) bool {
	status, _ := response.Headers.Get(headerStatus)
	return status != strconv.Itoa(http.StatusNoContent) && status != strconv.Itoa(http.StatusNotModified)
}
