// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

type (
	stream   = grpc.ServerStream
	request  = discoveryv3.DiscoveryRequest
	response = discoveryv3.DiscoveryResponse
)

// askFor expects an answer.
func askFor(t *testing.T, asker Asker, resource string) {
	t.Helper()
	body, err := asker.Ask(t.Context(), resource)
	if want := answerTo(resource); err != nil || string(body) != want {
		t.Fatalf("got %q, %v, want %q", body, err, want)
	}
}

func TestAskSeveralTimesOnOneStream(t *testing.T) {
	istiod := newFakeIstiod(t)
	asker, _ := istiod.dial(nil)
	for _, resource := range []string{"syncz", "adsz", "config_dump?types=ecds&proxyID=a.shop", "syncz"} {
		askFor(t, asker, resource)
	}
	istiod.mutex.Lock()
	defer istiod.mutex.Unlock()
	if len(istiod.streams) != 1 || len(istiod.asked) != 4 {
		t.Fatalf("%d streams, %d requests", len(istiod.streams), len(istiod.asked))
	}
	headers, first := istiod.streams[0], istiod.asked[0]
	if got := headers.Get("authorization"); !slices.Equal(got, []string{"Bearer " + secretToken}) {
		t.Errorf("authorization %q", got)
	}
	if got := headers.Get("clusterid"); !slices.Equal(got, []string{"Kubernetes"}) {
		t.Errorf("clusterid %q", got)
	}
	if first.GetTypeUrl() != debugType || first.GetNode().GetId() != "sidecar~0.0.0.0~operator.istio-system~istio-system.svc.cluster.local" {
		t.Errorf("request %v", first)
	}
}

// TestTokenIsReplaced: kubelet does so every hour or so, and istiod looks at it when a stream begins.
func TestTokenIsReplaced(t *testing.T) {
	istiod := newFakeIstiod(t)
	asker, options := istiod.dial(nil)
	askFor(t, asker, "syncz")
	writeFile(t, options.TokenFile, "another")
	askFor(t, asker, "syncz")
	istiod.answers(func(stream, *request) (*response, error) { return nil, status.Error(codes.Unauthenticated, "expired") })
	if _, err := asker.Ask(t.Context(), "syncz"); err == nil {
		t.Error("an expired token is accepted")
	}
	istiod.answers(repeats)
	askFor(t, asker, "syncz")
	if got, want := istiod.tokens(), []string{"Bearer " + secretToken, "Bearer another"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestAskErrors answers once in each way that can't be read, and expects what is said of it, and that the next answer is
// read again.
func TestAskErrors(t *testing.T) {
	fails := func(code codes.Code, message string) func(stream, *request) (*response, error) {
		return func(stream, *request) (*response, error) { return nil, status.Error(code, message) }
	}
	says := func(answer *response) func(stream, *request) (*response, error) {
		return func(stream, *request) (*response, error) { return answer, nil }
	}
	tests := map[string]struct {
		answer func(stream, *request) (*response, error)
		want   Reason
	}{
		"denied":           {fails(codes.PermissionDenied, "no: "+secretToken), Denied},
		"not who":          {fails(codes.Unauthenticated, "authentication failure: "+secretToken), Denied},
		"broken":           {fails(codes.Unknown, "oops: "+secretToken), Unreachable},
		"no such service":  {fails(codes.Unimplemented, "unknown service"), Garbage},
		"away":             {fails(codes.Unavailable, "server is not ready: "+secretToken), Unreachable},
		"takes its time":   {fails(codes.DeadlineExceeded, "too late"), TimedOut},
		"two resources":    {says(debugAnswer("one", "two")), Garbage},
		"no resource":      {says(debugAnswer()), Garbage},
		"another type":     {says(&response{TypeUrl: listenerType, Resources: debugAnswer("x").GetResources()}), Garbage},
		"too large":        {says(debugAnswer(strings.Repeat("x", 5000))), TooLarge},
		"a large one else": {says(debugAnswer(strings.Repeat("x", 2500), strings.Repeat("x", 2500))), TooLarge},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			istiod := newFakeIstiod(t)
			asker, _ := istiod.dial(func(o *DialOptions) { o.MaxBytes = 4096 })
			istiod.answers(test.answer)
			_, err := asker.Ask(t.Context(), "syncz")
			mustBe(t, err, test.want)
			istiod.answers(repeats)
			askFor(t, asker, "syncz")
		})
	}
}

// mustBe expects an error of a reason that doesn't tell the token.
func mustBe(t *testing.T, err error, want Reason) {
	t.Helper()
	var known *Error
	if !errors.As(err, &known) {
		t.Fatalf("got %v, want %s", err, want)
	}
	if known.Reason != want || known.Text == "" || !strings.HasPrefix(err.Error(), "istiod ") || known.Reason.Label() == "" {
		t.Errorf("%s: %v, want %s", known.Reason, err, want)
	}
	if strings.Contains(err.Error(), secretToken) {
		t.Errorf("tells the token: %v", err)
	}
}

func TestWrongFiles(t *testing.T) {
	other, _ := newAuthority(t)
	tests := map[string]struct {
		spoil func(*testing.T, DialOptions)
		want  Reason
	}{
		"another authority": {func(t *testing.T, o DialOptions) { t.Helper(); writeFile(t, o.CAFile, string(other)) }, BadCertificate},
		"no authority yet":  {func(_ *testing.T, o DialOptions) { _ = os.Remove(o.CAFile) }, Unreachable},
		"no token yet":      {func(_ *testing.T, o DialOptions) { _ = os.Remove(o.TokenFile) }, Unreachable},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			istiod := newFakeIstiod(t)
			asker, options := istiod.dial(nil)
			test.spoil(t, options)
			_, err := asker.Ask(t.Context(), "syncz")
			mustBe(t, err, test.want)
			writeFile(t, options.CAFile, string(istiod.ca))
			writeFile(t, options.TokenFile, secretToken)
			askFor(t, asker, "syncz")
		})
	}
}

func TestAnotherServerName(t *testing.T) {
	istiod := newFakeIstiod(t)
	_, options := istiod.dial(nil)
	asker, err := Dial(Istiod{Name: "istiod-0", Address: istiod.address, ServerName: "istiod.evil.svc"}, options)
	if err != nil {
		t.Fatal(err)
	}
	defer asker.Close()
	_, err = asker.Ask(t.Context(), "syncz")
	mustBe(t, err, BadCertificate)
	if tokens := istiod.tokens(); len(tokens) > 0 {
		t.Errorf("sends it the token: %q", tokens)
	}
}

// TestSlowIstiod: an Ask heeds its context, wherever istiod stops answering.
func TestSlowIstiod(t *testing.T) {
	istiod := newFakeIstiod(t)
	asker, _ := istiod.dial(nil)
	askFor(t, asker, "syncz")
	istiod.answers(func(s stream, _ *request) (*response, error) {
		<-s.Context().Done()
		return nil, s.Context().Err()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := asker.Ask(ctx, "adsz")
	mustBe(t, err, TimedOut)
	istiod.answers(repeats)
	askFor(t, asker, "adsz")
}

// TestSilentIstiod accepts connections and says nothing.
func TestSilentIstiod(t *testing.T) {
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	istiod := newFakeIstiod(t)
	istiod.address = listener.Addr().String()
	asker, _ := istiod.dial(nil)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = asker.Ask(ctx, "adsz")
	mustBe(t, err, TimedOut)
}

func TestIstiodRestarts(t *testing.T) {
	istiod := newFakeIstiod(t)
	asker, _ := istiod.dial(nil)
	askFor(t, asker, "syncz")
	istiod.server.Stop()
	_, err := asker.Ask(t.Context(), "syncz")
	mustBe(t, err, Unreachable)
	istiod.start()
	askFor(t, asker, "syncz")
}

// TestStreamEndsBetweenTwoQuestions is no news of the next one.
func TestStreamEndsBetweenTwoQuestions(t *testing.T) {
	istiod := newFakeIstiod(t)
	asker, _ := istiod.dial(nil)
	askFor(t, asker, "syncz")
	istiod.server.Stop()
	istiod.start()
	askFor(t, asker, "adsz")
	if got := len(istiod.tokens()); got != 2 {
		t.Errorf("%d streams", got)
	}
}

func TestStatusInFrontOfAnAnswer(t *testing.T) {
	tests := map[string]struct {
		body, text string
		code       int
	}{
		"not connected": {`{"statusCode":"404"}Proxy not connected`, "Proxy not connected", 404},
		"words":         {`{"statusCode":"403"}` + "no\nway\n", "no way", 403},
		"a text alone":  {"Proxy not connected to this Pilot instance. It may be connected to another instance.\n", "Proxy not connected to this Pilot instance. It may be connected to another instance.", 404},
		"another text":  {"You must provide a proxyID in the query string", "You must provide a proxyID in the query string", 400},
		"unknown text":  {"oops", "oops", 500},
		"nothing":       {"", "", 500},
		"an answer":     {`{"totalClients":1}`, "", 0},
		"a list":        {`[{"proxy":"statusCode"}]`, "", 0},
		"no number":     {`{"statusCode":"often"}`, "", 0},
		"cut off":       {`{"statusCode":"404`, "", 0},
	}
	istiod := newFakeIstiod(t)
	asker, _ := istiod.dial(nil)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			istiod.answers(func(stream, *request) (*response, error) { return debugAnswer(test.body), nil })
			body, err := asker.Ask(t.Context(), "syncz")
			var answered *StatusError
			if test.code == 0 && (err != nil || string(body) != test.body) {
				t.Errorf("got %q, %v", body, err)
			}
			if test.code != 0 && (!errors.As(err, &answered) || answered.Code != test.code || answered.Text != test.text || body != nil) {
				t.Errorf("got %q, %v", body, err)
			}
		})
	}
	if got := istiod.tokens(); len(got) != 1 {
		t.Errorf("such an answer ends the stream: %d", len(got))
	}
}
