// SPDX-License-Identifier: Apache-2.0

// Command server is a proxy-wasm plugin that does at each callback of a request what the header x-do of that request says,
// and says what it is called for and what the host answers. It speaks the ABI without an SDK.
//
// The header holds steps, with a semicolon between them. The first word of a step is the callback: reqh, reqb (each part of
// a body but the last), reqe (the end of a body), resph, respb, respe, log, done, delete.
package main

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"unsafe"
)

const (
	levelInfo     = 2
	mebibyte      = 1 << 20
	requestMap    = 0
	noGRPCStatus  = -1
	scriptHeader  = "x-do"
	configuration = 7
)

//go:wasmimport env proxy_log
func proxyLog(level int32, text unsafe.Pointer, size int32) int32

//go:wasmimport env proxy_get_buffer_bytes
func proxyGetBufferBytes(kind, start, size int32, text, textSize unsafe.Pointer) int32

//go:wasmimport env proxy_set_buffer_bytes
func proxySetBufferBytes(kind, start, size int32, text unsafe.Pointer, textSize int32) int32

//go:wasmimport env proxy_get_property
func proxyGetProperty(path unsafe.Pointer, size int32, value, valueSize unsafe.Pointer) int32

//go:wasmimport env proxy_set_property
func proxySetProperty(path unsafe.Pointer, size int32, value unsafe.Pointer, valueSize int32) int32

//go:wasmimport env proxy_get_header_map_value
func proxyGetHeader(kind int32, name unsafe.Pointer, size int32, value, valueSize unsafe.Pointer) int32

//go:wasmimport env proxy_add_header_map_value
func proxyAddHeader(kind int32, name unsafe.Pointer, size int32, value unsafe.Pointer, valueSize int32) int32

//go:wasmimport env proxy_replace_header_map_value
func proxyReplaceHeader(kind int32, name unsafe.Pointer, size int32, value unsafe.Pointer, valueSize int32) int32

//go:wasmimport env proxy_remove_header_map_value
func proxyRemoveHeader(kind int32, name unsafe.Pointer, size int32) int32

//go:wasmimport env proxy_get_header_map_pairs
func proxyGetHeaders(kind int32, pairs, size unsafe.Pointer) int32

//go:wasmimport env proxy_set_header_map_pairs
func proxySetHeaders(kind int32, pairs unsafe.Pointer, size int32) int32

//go:wasmimport env proxy_get_header_map_size
func proxyGetHeadersSize(kind int32, size unsafe.Pointer) int32

//go:wasmimport env proxy_send_local_response
func proxySendLocalResponse(status int32, details unsafe.Pointer, detailsSize int32, body unsafe.Pointer, bodySize int32,
	headers unsafe.Pointer, headersSize, grpcStatus int32) int32

//go:wasmimport env proxy_set_effective_context
func proxySetEffectiveContext(id int32) int32

//go:wasmimport env proxy_continue_stream
func proxyContinueStream(kind int32) int32

//go:wasmimport env proxy_set_tick_period_milliseconds
func proxySetTickPeriod(milliseconds int32) int32

//go:wasmimport env proxy_http_call
func proxyHTTPCall(cluster unsafe.Pointer, clusterSize int32, headers unsafe.Pointer, headersSize int32, body unsafe.Pointer,
	bodySize int32, trailers unsafe.Pointer, trailersSize, timeout int32, token unsafe.Pointer) int32

// kept is what the host allocated.
var kept = map[unsafe.Pointer][]byte{}

var rounds int

// scripts are those of the requests that are open.
var scripts = map[int32][]string{}

//go:wasmexport proxy_abi_version_0_2_1
func version() {}

//go:wasmexport malloc
func allocate(size int32) unsafe.Pointer {
	memory := make([]byte, size)
	pointer := unsafe.Pointer(unsafe.SliceData(memory))
	kept[pointer] = memory
	return pointer
}

//go:wasmexport proxy_on_context_create
func onContextCreate(id, parent int32) {
	if parent != 0 {
		scripts[id] = nil
	}
}

//go:wasmexport proxy_on_configure
func onConfigure(_, _ int32) int32 {
	rules := buffer(configuration)
	if strings.Contains(rules, "refuse") {
		say("I do not like it")
		return 0
	}
	if strings.Contains(rules, "tick") {
		proxySetTickPeriod(1000)
	}
	return 1
}

//go:wasmexport proxy_on_request_headers
func onRequestHeaders(id, count, end int32) int32 {
	script, _ := header(requestMap, scriptHeader)
	for step := range strings.SplitSeq(script, ";") {
		scripts[id] = append(scripts[id], strings.TrimSpace(step))
	}
	return do(id, "reqh", count, end)
}

//go:wasmexport proxy_on_request_body
func onRequestBody(id, size, end int32) int32 { return do(id, at(end, "reqb", "reqe"), size, end) }

//go:wasmexport proxy_on_response_headers
func onResponseHeaders(id, count, end int32) int32 { return do(id, "resph", count, end) }

//go:wasmexport proxy_on_response_body
func onResponseBody(id, size, end int32) int32 { return do(id, at(end, "respb", "respe"), size, end) }

//go:wasmexport proxy_on_log
func onLog(id int32) { do(id, "log", 0, 0) }

//go:wasmexport proxy_on_done
func onDone(id int32) int32 { do(id, "done", 0, 0); return 1 }

//go:wasmexport proxy_on_delete
func onDelete(id int32) {
	do(id, "delete", 0, 0)
	delete(scripts, id)
}

func at(end int32, before, last string) string {
	if end != 0 {
		return last
	}
	return before
}

// do takes the steps of a callback, and returns what the callback is to return.
func do(id int32, callback string, count, end int32) int32 {
	say(fmt.Sprintf("%s %d %d", callback, count, end))
	result := int32(0)
	for _, step := range scripts[id] {
		when, what, _ := strings.Cut(step, " ")
		if when != callback {
			continue
		}
		word, rest, _ := strings.Cut(what, " ")
		switch word {
		case "return":
			result = number(rest)
		case "loop":
			for {
				rounds++
			}
		case "panic":
			panic("I am lost")
		default:
			say(what + " -> " + take(word, rest))
		}
	}
	return result
}

// take takes a step, and returns the host's answer in words.
func take(word, rest string) string {
	words := append(strings.SplitN(rest, " ", 4), "", "", "", "")
	kind, name, value := number(words[0]), words[1], strings.Join(strings.Fields(strings.Join(words[2:], " ")), " ")
	switch word {
	case "get":
		text, status := header(kind, name)
		return fmt.Sprintf("%d %q", status, text)
	case "add":
		return result(proxyAddHeader(kind, pointer(name), size(name), pointer(value), size(value)))
	case "replace":
		return result(proxyReplaceHeader(kind, pointer(name), size(name), pointer(value), size(value)))
	case "remove":
		return result(proxyRemoveHeader(kind, pointer(name), size(name)))
	case "pairs":
		return pairs(kind)
	case "keep": // only one header
		text, _ := header(kind, name)
		list := list(":method", "GET", ":path", "/kept", ":authority", "kept.example.com", ":scheme", "http",
			"x-forwarded-proto", "http", name, text)
		return result(proxySetHeaders(kind, pointer(list), size(list)))
	case "size":
		var bytes int32
		return fmt.Sprint(proxyGetHeadersSize(kind, unsafe.Pointer(&bytes)), bytes > 0)
	case "body":
		return fmt.Sprintf("%q", buffer(kind))
	case "set":
		start, length, _ := strings.Cut(name, "-")
		return result(proxySetBufferBytes(kind, number(start), number(length), pointer(value), size(value)))
	case "reply":
		list := list("x-reply", name)
		return result(proxySendLocalResponse(kind, nil, 0, pointer(value), size(value), pointer(list), size(list), noGRPCStatus))
	case "property":
		text, status := property(rest)
		return fmt.Sprintf("%d %q", status, text)
	case "code":
		text, status := property("response.code")
		return fmt.Sprint(status, len(text) == 8 && binary.LittleEndian.Uint64([]byte(text)) == uint64(kind))
	case "setproperty":
		key, value, _ := strings.Cut(rest, " ")
		return result(proxySetProperty(pointer(key), size(key), pointer(value), size(value)))
	case "effective":
		return result(proxySetEffectiveContext(kind))
	case "continue":
		return result(proxyContinueStream(kind))
	case "call":
		var token int32
		list := list(":method", "GET", ":path", "/", ":authority", "x")
		return result(proxyHTTPCall(pointer(rest), size(rest), pointer(list), size(list), nil, 0, nil, 0, 100, unsafe.Pointer(&token)))
	}
	return "no such step"
}

func result(status int32) string { return strconv.Itoa(int(status)) }

func number(text string) int32 {
	value, _ := strconv.Atoi(text)
	return int32(value)
}

// pairs are the headers whose names begin with x-s.
func pairs(kind int32) string {
	var text uint32
	var bytes int32
	status := proxyGetHeaders(kind, unsafe.Pointer(&text), unsafe.Pointer(&bytes))
	data := given(text, bytes)
	if len(data) < 4 {
		return fmt.Sprint(status, " none")
	}
	count := int(binary.LittleEndian.Uint32([]byte(data)))
	texts := strings.Split(data[4+8*count:], "\x00")
	var found []string
	for i := range count {
		if strings.HasPrefix(texts[2*i], "x-s") {
			found = append(found, texts[2*i]+"="+texts[2*i+1])
		}
	}
	return fmt.Sprint(status, " ", strings.Join(found, " "))
}

func list(texts ...string) string {
	data := binary.LittleEndian.AppendUint32(nil, uint32(len(texts)/2))
	for _, text := range texts {
		data = binary.LittleEndian.AppendUint32(data, uint32(len(text)))
	}
	for _, text := range texts {
		data = append(append(data, text...), 0)
	}
	return string(data)
}

func pointer(text string) unsafe.Pointer { return unsafe.Pointer(unsafe.StringData(text)) }
func size(text string) int32             { return int32(len(text)) }

func say(text string) { proxyLog(levelInfo, pointer(text), size(text)) }

func buffer(kind int32) string {
	var text uint32
	var bytes int32
	proxyGetBufferBytes(kind, 0, mebibyte, unsafe.Pointer(&text), unsafe.Pointer(&bytes))
	return given(text, bytes)
}

func header(kind int32, name string) (string, int32) {
	var text uint32
	var bytes int32
	status := proxyGetHeader(kind, pointer(name), size(name), unsafe.Pointer(&text), unsafe.Pointer(&bytes))
	return given(text, bytes), status
}

func property(path string) (string, int32) {
	var text uint32
	var bytes int32
	path = strings.ReplaceAll(path, ".", "\x00")
	status := proxyGetProperty(pointer(path), size(path), unsafe.Pointer(&text), unsafe.Pointer(&bytes))
	return given(text, bytes), status
}

// given copies what the host wrote to memory that it had allocated here.
func given(address uint32, bytes int32) string {
	if bytes == 0 {
		return ""
	}
	place := unsafe.Pointer(uintptr(address))
	text := strings.Clone(unsafe.String((*byte)(place), bytes))
	delete(kept, place)
	return text
}

func main() {}
