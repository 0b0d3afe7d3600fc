// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr"

	"github.com/solarmesh/wasmplugin-operator/internal/drystart"
)

func TestVerdicts(t *testing.T) {
	client := NewClient(ClientOptions{Socket: startServer(t, nil)})
	for name, test := range map[string]struct {
		module []byte
		want   drystart.Outcome
	}{
		"accepts":  {plugin(accepts, nil), drystart.Accepted},
		"refuses":  {plugin(refuses, nil), drystart.Refused},
		"no wasm":  {[]byte("<html>"), drystart.Refused},
		"no bytes": {nil, drystart.Refused},
	} {
		t.Run(name, func(t *testing.T) {
			verdicts, err := client.Check(t.Context(), request(test.module, "{}", `{"other": true}`))
			if err != nil || len(verdicts) != 2 || verdicts[0].Outcome != test.want || verdicts[1].Outcome != test.want {
				t.Errorf("got %+v, %v", verdicts, err)
			}
		})
	}
	if verdicts, err := client.Check(t.Context(), request(plugin(accepts, nil))); err != nil || len(verdicts) != 0 {
		t.Errorf("a module without plugins: %+v, %v", verdicts, err)
	}
}

// TestAllOfARequestArrives: what a plugin is started with is what the manager said.
func TestAllOfARequestArrives(t *testing.T) {
	got := make(chan drystart.Request, 1)
	client := NewClient(ClientOptions{Socket: startServer(t, func(s *Server) {
		s.check = func(_ context.Context, request drystart.Request) []drystart.Verdict {
			got <- request
			return make([]drystart.Verdict, len(request.Plugins))
		}
	})})
	sent := drystart.Request{
		Module: bytes.Repeat([]byte("\x00\xff"), 5<<20), VMConfiguration: "v\u2028\x00", Env: map[string]string{"A": "b"}, RootID: "r", VMID: "v",
		Capabilities: []string{"proxy_log"}, Plugins: []drystart.Plugin{{Name: "n", Configuration: `{"a": 12345678901234567890}`}}, Secrets: []string{"s"},
	}
	if _, err := client.Check(t.Context(), sent); err != nil {
		t.Fatal(err)
	}
	want, err := newQuestion(sent)
	if err != nil {
		t.Fatal(err)
	}
	arrived, err := newQuestion(<-got)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(arrived.head, want.head) || !bytes.Equal(arrived.module, want.module) {
		t.Errorf("sent %q with %d bytes, got %q with %d bytes", want.head, len(want.module), arrived.head, len(arrived.module))
	}
}

func TestMalformedChecks(t *testing.T) {
	client := NewClient(ClientOptions{Socket: startServer(t, nil)})
	length := func(size uint32) string { return string(binary.BigEndian.AppendUint32(nil, size)) }
	for name, body := range map[string]string{
		"nothing":                 "",
		"half a length":           "\x00\x00",
		"less than promised":      length(20) + `{"a": "hunter2"}`,
		"4 GiB of JSON":           length(1<<32-1) + `{"a": "hunter2"}`,
		"no JSON":                 length(7) + "hunter2",
		"JSON of another kind":    length(23) + `{"plugins": {"hunter2"}`,
		"a number for the module": length(22) + `{"module": "hunter2!"}` + "x",
	} {
		t.Run(name, func(t *testing.T) {
			response, err := client.http.Post(anyHost+pathCheck, "", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			said, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != http.StatusBadRequest || bytes.Contains(said, []byte("hunter2")) {
				t.Errorf("status %d, says %q, %v", response.StatusCode, said, err)
			}
		})
	}
	if verdicts, err := client.Check(t.Context(), request(plugin(accepts, nil), "{}")); err != nil || verdicts[0].Outcome != drystart.Accepted {
		t.Errorf("afterwards: %+v, %v", verdicts, err)
	}
}

// TestLineIsBounded: those that come to a checker with a long line are told so at once.
func TestLineIsBounded(t *testing.T) {
	release := make(chan struct{})
	socket := startServer(t, func(s *Server) {
		s.check = func(_ context.Context, request drystart.Request) []drystart.Verdict {
			<-release
			return make([]drystart.Verdict, len(request.Plugins))
		}
	})
	const places = atOnce + maxWaiting
	results := make(chan error, places+1)
	for range places + 1 {
		go func() {
			// Each of them is a manager of its own, which knows nothing of the others.
			_, err := NewClient(ClientOptions{Socket: socket}).Check(t.Context(), request(plugin(accepts, nil), "{}"))
			results <- err
		}()
	}
	var unavailable *Unavailable
	if err := <-results; !errors.As(err, &unavailable) || !strings.Contains(err.Error(), "503") || !unavailable.Temporary() {
		t.Errorf("got %v", err)
	}
	close(release)
	for range places {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

// TestEndOfTheChecker: checks that a checker leaves behind when it is told to end say nothing of the plugin.
func TestEndOfTheChecker(t *testing.T) {
	server := NewServer(ServerOptions{Socket: filepath.Join(t.TempDir(), "socket"), Log: logr.Discard()})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx) }()
	client := NewClient(ClientOptions{Socket: server.options.Socket})
	if err := client.awaitReturn(t.Context()); err != nil {
		t.Fatal(err)
	}
	results := make(chan error, 1)
	go func() {
		_, err := client.Check(t.Context(), request(plugin(loops, nil), "{}"))
		results <- err
	}()
	eventually(t, "the check runs", func() bool { return client.running() == "1" })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	var unavailable *Unavailable
	if err := <-results; !errors.As(err, &unavailable) {
		t.Errorf("got %v", err)
	}
}

// running is how many checks run, as the checker tells; "" where there is none.
func (c *Client) running() string {
	response, err := c.http.Get(anyHost + pathHealth)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

func TestSocket(t *testing.T) {
	path := startServer(t, nil)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ path, want string }{
		"another checker":    {path, "another checker serves"},
		"a file":             {file, "no socket"},
		"a long path":        {filepath.Join(t.TempDir(), strings.Repeat("x", 100)), "107 at most"},
		"no such folder":     {filepath.Join(t.TempDir(), "a", "b"), "make the socket"},
		"a folder with more": {filepath.Dir(file), "no socket"},
	} {
		t.Run(name, func(t *testing.T) {
			err := NewServer(ServerOptions{Socket: test.path, Log: logr.Discard()}).Serve(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	if content, err := os.ReadFile(file); err != nil || string(content) != "mine" {
		t.Errorf("the file is %q, %v", content, err)
	}
}

// TestSocketLeftBehind: a checker that was killed leaves its socket, and the next one takes the place.
func TestSocketLeftBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
