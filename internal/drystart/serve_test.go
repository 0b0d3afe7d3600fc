// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/solarmesh/wasmplugin-operator/internal/proxywasm"
)

const serverPlugin = "testdata/server"

// serving is a plugin that serves, interpreted.
func serving(t *testing.T, options Options, request Request, configuration string) *Instance {
	t.Helper()
	if options.Timeout == 0 {
		options.Timeout = time.Minute
	}
	options.Interpret = options.Timeout
	session, refused := New(options).Open(t.Context(), request)
	if refused != nil {
		t.Fatalf("%+v", refused)
	}
	t.Cleanup(func() { session.Close(t.Context()) })
	instance, verdict := session.Start(t.Context(), Plugin{Name: "test", Configuration: configuration})
	if instance == nil {
		t.Fatalf("%+v", verdict)
	}
	return instance
}

// asking is an exchange in which the plugin takes the steps.
func asking(steps string) Exchange {
	return Exchange{
		Request: Message{
			Headers: Headers{{":method", "POST"}, {":path", "/a"}, {":authority", "shop"}, {"x-do", steps}}, Body: []byte("question"),
		},
		Answer: Message{Headers: Headers{{":status", "200"}, {"x-answer", "42"}}, Body: []byte("answer")},
	}
}

func TestServe(t *testing.T) {
	instance := serving(t, Options{}, Request{Module: goModule(t, serverPlugin), Secrets: []string{"hunter2"}}, "")
	if instance.Memory() == 0 {
		t.Error("the VM has no memory")
	}
	for _, row := range []struct {
		name, steps string
		want        Verdict // Reason and Call: what they contain; Logs: lines among others
		status      string
		answer      string
		reached     bool
	}{
		{
			name: "nothing", status: "200", answer: "answer", reached: true,
			want: Verdict{Outcome: Accepted, Logs: []string{
				"info: reqh 8 0", "info: reqb 8 0", "info: reqe 0 1", "info: resph 3 0", "info: respb 6 0", "info: respe 0 1",
				"info: log 0 0", "info: done 0 0", "info: delete 0 0",
			}},
		},
		{name: "the plugin answers", steps: "reqh reply 403 early no", want: Verdict{Outcome: Accepted}, status: "403", answer: "no"},
		{name: "a secret", steps: "reqh get hunter2", want: Verdict{Outcome: Accepted, Logs: []string{`info: get *** -> 1 ""`}}, status: "200", answer: "answer", reached: true},
		{
			name: "waits at the headers", steps: "reqh return 1",
			want: Verdict{Outcome: Refused, Stage: StageRequest, Reason: "proxy_on_request_headers stops (it returned 1) and nothing lets it go on"},
		},
		{
			name: "waits at the end of a body", steps: "respe return 1", reached: true,
			want: Verdict{Outcome: Refused, Stage: StageRequest, Reason: "proxy_on_response_body stops (it returned 1)"},
		},
		{
			name: "a part of a body is dropped", steps: "resph remove 2 content-length; respb return 3",
			want: Verdict{Outcome: Accepted}, status: "200", answer: "", reached: true,
		},
		{
			name: "a part of a body is held", steps: "respb return 2; respe body 1",
			want: Verdict{Outcome: Accepted, Logs: []string{`info: body 1 -> ""`}}, status: "200", answer: "answer", reached: true,
		},
		{
			name: "a body that content-length does not fit", steps: "respb set 1 0-100 longer than before", reached: true,
			want: Verdict{Outcome: Refused, Stage: StageRequest, Reason: "the body 18 bytes long, and content-length says 6; remove content-length in proxy_on_response_headers"},
		},
		{
			name: "an answer when the headers are gone", steps: "respb reply 500 late no", reached: true,
			want: Verdict{Outcome: Refused, Stage: StageRequest, Reason: "proxy_on_response_body answers by itself when the response's headers are on their way"},
		},
		{
			name: "a request without a path", steps: "reqh remove 0 :path",
			want: Verdict{Outcome: Inconclusive, Call: "a message without :path"}, status: "200", answer: "answer", reached: true,
		},
		{
			name: "a call to a cluster", steps: "reqh call auth; reqh return 1",
			want: Verdict{Outcome: Inconclusive, Call: "proxy_http_call to the cluster auth"},
		},
		{
			name: "a property of the connection", steps: "reqh property source.address",
			want: Verdict{Outcome: Inconclusive, Call: "proxy_get_property source.address"}, status: "200", answer: "answer", reached: true,
		},
		{
			name: "a property of a request that is gone", steps: "resph property request.path",
			want: Verdict{Outcome: Inconclusive, Call: "proxy_get_property request.path"}, status: "200", answer: "answer", reached: true,
		},
		{
			name: "goes on by itself", steps: "reqh continue 0",
			want: Verdict{Outcome: Inconclusive, Call: "proxy_continue_stream in the callback"}, status: "200", answer: "answer", reached: true,
		},
		{
			name: "a status that is none", steps: "reqh reply 42 odd",
			want: Verdict{Outcome: Inconclusive, Call: "proxy_send_local_response with the status 42"}, status: "42",
		},
		{
			name: "trailers", steps: "reqe add 1 x y",
			want: Verdict{Outcome: Inconclusive, Call: "proxy_add_header_map_value for trailers"}, status: "200", answer: "answer", reached: true,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := instance.Serve(t.Context(), asking(row.steps))
			compare(t, got.Verdict, row.want)
			if (got.Reached != nil) != row.reached || instance.Failed() {
				t.Errorf("reached: %v, failed: %v", got.Reached, instance.Failed())
			}
			if row.status == "" && got.Response != nil {
				t.Fatalf("the response is %+v", got.Response)
			}
			if row.status != "" {
				assertResponse(t, got.Response, row.status, row.answer)
			}
		})
	}
}

func assertResponse(t *testing.T, response *Message, status, body string) {
	t.Helper()
	if response == nil {
		t.Fatal("no response")
	}
	if got, _ := response.Headers.Get(":status"); got != status || string(response.Body) != body {
		t.Errorf("the response is %+v", response)
	}
}

// TestServeFails: after a trap an instance is of no use.
func TestServeFails(t *testing.T) {
	module := goModule(t, serverPlugin)
	for _, row := range []struct {
		name, steps string
		options     Options
		want        Verdict
	}{
		{
			"panics", "resph panic",
			Options{},
			Verdict{Outcome: Refused, Stage: StageRequest, Reason: "proxy_on_response_headers fails: unreachable", Logs: []string{"error: panic: I am lost"}},
		},
		{
			"answers while it logs", "log reply 403 late",
			Options{},
			Verdict{Outcome: Refused, Stage: StageRequest, Reason: "proxy_on_log calls proxy_send_local_response when the request is over, which takes Envoy down"},
		},
		{
			"never returns", "reqh loop",
			Options{Timeout: 5 * time.Second},
			Verdict{Outcome: Refused, Stage: StageRequest, Exhausted: true, Reason: "it had 5s at most"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			instance := serving(t, row.options, Request{Module: module}, "")
			compare(t, instance.Serve(t.Context(), asking(row.steps)).Verdict, row.want)
			if !instance.Failed() {
				t.Error("the instance counts as a good one")
			}
		})
	}
}

func TestServeMayWait(t *testing.T) {
	instance := serving(t, Options{}, Request{Module: goModule(t, serverPlugin)}, "tick")
	got := instance.Serve(t.Context(), asking("reqh return 1"))
	compare(t, got.Verdict, Verdict{Outcome: Inconclusive, Call: "a tick, for which it may wait"})
}

func TestServeRefused(t *testing.T) {
	session, refused := New(Options{}).Open(t.Context(), Request{Module: goModule(t, serverPlugin)})
	if refused != nil {
		t.Fatalf("%+v", refused)
	}
	defer session.Close(t.Context())
	instance, verdict := session.Start(t.Context(), Plugin{Configuration: "refuse"})
	if instance != nil {
		t.Error("a plugin that refused has an instance")
	}
	compare(t, verdict, Verdict{Outcome: Refused, Stage: StageConfigure, Reason: "proxy_on_configure returned false", Logs: []string{"info: I do not like it"}})
	if _, refused := New(Options{}).Open(t.Context(), Request{Module: []byte("<html>")}); refused == nil {
		t.Error("a page is a module")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if instance, _ := session.Start(ctx, Plugin{}); instance != nil || !errors.Is(ctx.Err(), context.Canceled) {
		t.Error("a start that was canceled has an instance")
	}
}

// TestServeFirstABI: request headers have one parameter less, and a header that is missing is an empty one.
func TestServeFirstABI(t *testing.T) {
	version := proxywasm.ABI010
	get, _ := lookup(version, proxywasm.ModuleEnv, "proxy_get_header_map_value")
	body := slices.Concat(i32(0), i32(text), i32(6), i32(out), i32(out+4), callOf(0))
	m := wasm{
		abi: "0_1_0", data: map[uint32]string{text: "absent"},
		imports:   []wasmImport{{module: proxywasm.ModuleEnv, name: "proxy_get_header_map_value", signature: get.signature}},
		functions: []wasmFunction{{"proxy_on_request_headers", "ii>i", body}},
	}
	got := serving(t, Options{}, Request{Module: m.bytes()}, "").Serve(t.Context(), asking(""))
	compare(t, got.Verdict, Verdict{Outcome: Accepted})
	assertResponse(t, got.Response, "200", "answer")
}

func TestPairs(t *testing.T) {
	headers := Headers{{"a", "1"}, {"b", ""}}
	data := writePairs(headers)
	if diff := cmp.Diff(headers, readPairs(data)); diff != "" || string(data) != pairsOf("a", "1", "b", "") {
		t.Errorf("%q: %s", data, diff)
	}
	for _, bad := range []string{"", "\x00", string(data[:len(data)-1]), string(data) + "\x00", strings.Repeat("\xff", 64)} {
		if got := readPairs([]byte(bad)); len(got) > 0 {
			t.Errorf("%q is read as %v", bad, got)
		}
	}
}

func TestHeaders(t *testing.T) {
	headers := Headers{{":authority", "shop"}, {"x-a", "1"}}
	headers.add("x-a", "2")
	headers.add("user-agent", "a")
	headers.add("user-agent", "b")
	headers.add("host", "other")
	headers.replace("x-b", "1")
	headers.replace("x-a", "3")
	headers.remove("x-c")
	headers.addMissing("x-b", "2")
	want := Headers{{":authority", "shop,other"}, {"user-agent", "a,b"}, {"x-b", "1"}, {"x-a", "3"}}
	if diff := cmp.Diff(want, headers); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if host, _ := headers.Get("host"); host != "shop,other" || headers.size() != 41 {
		t.Errorf("host %q, size %d", host, headers.size())
	}
}
