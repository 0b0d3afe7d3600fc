// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

const (
	half  = "/apis/networking.istio.io/v1alpha3/namespaces/shop/envoyfilters/auth-config"
	state = "/apis/wasm.solarmesh.io/v1alpha1/namespaces/shop/wasmplugins/auth/status"
	watch = "/apis/networking.istio.io/v1alpha3/envoyfilters?watch=true&resourceVersion=7&sendInitialEvents=true"
)

// server is an API server that counts, and whose watches say five things.
type server struct {
	*Layer
	url       string
	committed atomic.Int64
	asked     chan string
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{asked: make(chan string, 100)}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked <- r.URL.String()
		if r.Method != http.MethodGet {
			s.committed.Add(1)
		}
		if r.URL.Query().Get("watch") == "" {
			fmt.Fprint(w, `{"kind":"Something"}`)
			return
		}
		for i := range 5 {
			fmt.Fprintf(w, "event %d\n", i)
			_ = http.NewResponseController(w).Flush()
		}
	}))
	t.Cleanup(upstream.Close)
	proxy, err := chain.StartCountingProxy(&rest.Config{Host: upstream.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	s.Layer, s.url = New(proxy), proxy.URL
	return s
}

// send returns the status and the body; 0 where the connection broke.
func (s *server) send(t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	answer, err := chain.Probe{URL: s.url + path, Method: method, Body: body}.Do(t.Context())
	if err != nil {
		return 0, err.Error()
	}
	return answer.Status, answer.Body
}

func TestRefusals(t *testing.T) {
	s := newServer(t)
	for _, refusal := range Refusals() {
		s.Set(First(1, IsWrite, refusal.Answer))
		code, body := s.send(t, http.MethodPatch, half, "{}")
		if want := refusal.Name[:3]; code != http.StatusOK && fmt.Sprint(code) != want {
			t.Errorf("%s is answered %d", refusal.Name, code)
		}
		var status struct {
			Kind string
			Code int
		}
		readable := json.Unmarshal([]byte(body), &status) == nil
		if apart := strings.Contains(refusal.Name, "-") || refusal.Name == "truncated"; !apart && (!readable || status.Kind != "Status" || status.Code != code) {
			t.Errorf("%s is answered %s", refusal.Name, body)
		}
		if code, _ := s.send(t, http.MethodPatch, half, "{}"); code != http.StatusOK {
			t.Errorf("after %s: %d", refusal.Name, code)
		}
	}
	if got, want := s.Injected(), len(Refusals()); got != want || int(s.committed.Load()) != want {
		t.Errorf("%d faults, want %d; %d writes came through", got, want, s.committed.Load())
	}
}

func TestConnections(t *testing.T) {
	s := newServer(t)
	s.Set(First(1, IsWrite, s.Reset))
	if code, body := s.send(t, http.MethodPatch, half, "{}"); code != 0 || s.committed.Load() != 0 {
		t.Errorf("reset: %d %s, %d writes came through", code, body, s.committed.Load())
	}
	s.Set(First(1, IsWrite, s.Lose))
	if code, body := s.send(t, http.MethodPatch, half, "{}"); code != 0 || s.committed.Load() != 1 {
		t.Errorf("lost: %d %s, %d writes came through", code, body, s.committed.Load())
	}
	s.Set(First(1, IsWrite, s.Slow(func() time.Duration { return time.Millisecond })))
	if code, _ := s.send(t, http.MethodPatch, half, "{}"); code != http.StatusOK || s.committed.Load() != 2 {
		t.Errorf("slow: %d, %d writes came through", code, s.committed.Load())
	}
}

func TestKill(t *testing.T) {
	for k, want := range []int64{0, 1, 2} {
		s := newServer(t)
		killed := 0
		s.Set(s.Kill(k, WritesOf("shop"), func() { killed++ }))
		codes := []int{}
		for range 3 {
			code, _ := s.send(t, http.MethodPatch, half, "{}")
			codes = append(codes, code)
			if killed > 0 {
				break
			}
		}
		if killed != 1 || s.committed.Load() != want || codes[len(codes)-1] != 0 {
			t.Errorf("k = %d: killed %d times after %d writes, answered %v", k, killed, s.committed.Load(), codes)
		}
		if code, _ := s.send(t, http.MethodPatch, half, "{}"); code != http.StatusOK {
			t.Errorf("k = %d: whoever comes next is answered %d", k, code)
		}
	}
}

func TestWritesAreRemembered(t *testing.T) {
	s := newServer(t)
	s.Set(First(1, IsStatusWrite, s.Reset))
	s.send(t, http.MethodPatch, half, `{"metadata":{"uid":"1","ownerReferences":[{"uid":"2"}]}}`)
	s.send(t, http.MethodPatch, state, `[{"op":"remove"}]`)
	s.send(t, http.MethodDelete, half, `{"preconditions":{"uid":"3"}}`)
	s.send(t, http.MethodGet, half, "")
	want := []Write{
		{Method: "PATCH", Target: Target{"shop", "envoyfilters", "auth-config", ""}, UID: "1", Owner: "2", Status: 200},
		{Method: "PATCH", Target: Target{"shop", "wasmplugins", "auth", "status"}, Injected: true},
		{Method: "DELETE", Target: Target{"shop", "envoyfilters", "auth-config", ""}, UID: "3", Status: 200},
	}
	// Its end is noted when the client has the answer already.
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := chain.Until(ctx, func(context.Context) error {
		if got := s.Writes("shop"); !slices.Equal(got, want) {
			return fmt.Errorf("remembered %+v, want %+v", got, want)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if got := s.Writes("other"); len(got) != 0 {
		t.Errorf("remembered %+v of another namespace", got)
	}
}

func TestMatches(t *testing.T) {
	for path, want := range map[string]Target{
		half:                            {"shop", "envoyfilters", "auth-config", ""},
		state:                           {"shop", "wasmplugins", "auth", "status"},
		strings.Split(watch, "?")[0]:    {Resource: "envoyfilters"},
		"/apis/events.k8s.io/v1/events": {Resource: "events"},
		"/api/v1/namespaces/shop":       {},
	} {
		if got := TargetOf(httptest.NewRequest(http.MethodGet, path, nil)); got != want {
			t.Errorf("%s is %+v, want %+v", path, got, want)
		}
	}
	auth := About(IsChildWrite, "shop", "auth")
	for path, want := range map[string]bool{half: true, strings.Replace(half, "auth", "other", 1): false, strings.Replace(half, "shop", "other", 1): false, state: false} {
		if got := auth(httptest.NewRequest(http.MethodPatch, path, nil)); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
	for resource, want := range map[string]bool{"": true, EnvoyFilters: true, WasmPlugins: false} {
		if got := IsWatch(resource)(httptest.NewRequest(http.MethodGet, watch, nil)); got != want {
			t.Errorf("a watch of %q: %v", resource, got)
		}
	}
}

func TestWatches(t *testing.T) {
	all := "event 0\nevent 1\nevent 2\nevent 3\nevent 4\n"
	s := newServer(t)
	s.Set(s.EndAfter(2))
	if code, body := s.send(t, http.MethodGet, watch, ""); code != http.StatusOK || body != "event 0\nevent 1\n" {
		t.Errorf("ended: %d %q", code, body)
	}
	s.Set(Fail)
	if code, body := s.send(t, http.MethodGet, watch, ""); code != http.StatusOK || !strings.HasPrefix(body, `{"type":"ERROR"`) {
		t.Errorf("failed: %d %q", code, body)
	}
	s.Set(s.Gone)
	for len(s.asked) > 0 {
		<-s.asked
	}
	s.send(t, http.MethodGet, watch, "")
	if asked := <-s.asked; !strings.Contains(asked, "resourceVersion=1&") || strings.Contains(asked, "sendInitialEvents") {
		t.Errorf("asked from the beginning: %s", asked)
	}
	release := make(chan struct{})
	s.Set(s.Stall(release))
	time.AfterFunc(20*time.Millisecond, func() { close(release) })
	if code, body := s.send(t, http.MethodGet, watch, ""); code != http.StatusOK || body != all {
		t.Errorf("stalled: %d %q", code, body)
	}
	tape := &Tape{}
	s.Set(s.Record(tape))
	s.send(t, http.MethodGet, watch, "")
	for len(s.asked) > 0 {
		<-s.asked
	}
	s.Set(tape.Replay(release))
	if code, body := s.send(t, http.MethodGet, watch, ""); code != http.StatusOK || body != all || len(s.asked) != 0 {
		t.Errorf("replayed: %d %q", code, body)
	}
	if events, replayed := tape.Told(); events != 5 || replayed != 1 {
		t.Errorf("the tape has %d events, and was replayed %d times", events, replayed)
	}
}

// TestStallIsSilent: a connection that says nothing stays open.
func TestStallIsSilent(t *testing.T) {
	s := newServer(t)
	s.Set(s.Stall(make(chan struct{})))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+watch, nil)
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() {
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			_, err = io.ReadAll(response.Body)
			_ = response.Body.Close()
		}
		read <- err
	}()
	select {
	case err := <-read:
		t.Fatalf("the watch ended: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	s.proxy.Cut()
	if err := <-read; err == nil {
		t.Error("the watch ended well, although it was cut")
	}
}

func TestAddTakesOutAgain(t *testing.T) {
	s := newServer(t)
	remove := s.Add(Where(IsWrite, s.Reset))
	if code, _ := s.send(t, http.MethodPatch, half, "{}"); code != 0 {
		t.Errorf("with the fault: %d", code)
	}
	remove()
	if code, _ := s.send(t, http.MethodPatch, half, "{}"); code != http.StatusOK {
		t.Errorf("without it: %d", code)
	}
}
