// SPDX-License-Identifier: Apache-2.0

// Package httpcase reads cases that a plugin is tested with, and compares what became of one with what it expects.
//
// A file holds one case or several. A line that begins with ### begins a case, and may name it; the first case may do
// without. A case has these parts, of which only the request and what is expected must be there:
//
//	### a name
//	# a comment, before the request only
//	@rules {"header": "hello"}
//	POST /path?query HTTP/1.1
//	Host: shop.example.com
//	Accept: text/plain
//
//	the request's body
//	===
//	HTTP/1.1 404
//	Content-Type: text/plain
//
//	the body of what the server behind the proxy answers
//	--->
//	HTTP/1.1 404
//	hello: world
//	!server
//	> x-user: somebody
//	> !authorization
//
//	the body that the client gets
//
// Rules stand in one line of JSON; without them the plugin has its default rules. A request without Host is for localhost. A
// server that is not described answers 200 and nothing.
//
// After ---> stands what is expected, each part of it only if it matters: the status, headers that the response must have or
// must not have (!), headers of the request as it reaches the server (>), among them :method, :path and :authority. A header
// that stands there several times is expected with each of the values. A body is expected where an empty line stands before
// it; "refused" alone, or "refused: words", expects that the plugin refuses the rules when it starts, and needs no request.
//
// The line break at the end of a body, and empty lines there, don't count, neither in what is sent nor in what is compared.
// Content-Length is of the body, and can't be given. A body can't hold a line that begins with ###, nor one that is === or
// --->.
package httpcase

// Header is one of a message. Its name is in lower case.
type Header struct {
	Name, Value string
}

// Message is a request or a response. Method and Target are of a request, Status is of a response.
type Message struct {
	Method, Target string
	Status         int
	Headers        []Header
	Body           string
}

// Case is one request, and what is expected of it.
type Case struct {
	// File and Line are where it begins.
	File string
	Line int
	Name string
	// Rules are its own as JSON, empty for the default ones. RulesLine is where they stand.
	Rules     string
	RulesLine int
	// Request is what a client sends; without a method if only a refusal is expected.
	Request Message
	// Answer is what the server behind the proxy answers.
	Answer   Message
	Expected Expected
}

// Expected is what a case expects.
type Expected struct {
	// Refused: the plugin refuses the rules, with Words in what it says.
	Refused bool
	Words   string
	// Status is that of the response, 0 for any.
	Status int
	// Response is expected of the headers of the response, Reached of those of the request that reaches the server.
	Response, Reached []HeaderRule
	// Body is that of the response, nil for any.
	Body *string
}

// HeaderRule is what is expected of a header.
type HeaderRule struct {
	Header
	// Absent: there must be none of the name.
	Absent bool
}

// empty says whether nothing is expected.
func (e Expected) empty() bool {
	return !e.Refused && e.Status == 0 && len(e.Response) == 0 && len(e.Reached) == 0 && e.Body == nil
}
