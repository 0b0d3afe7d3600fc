// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/solarmesh/wasmplugin-operator/internal/drystart"
)

// slowToLoad takes half a second and more to load, and half a gigabyte.
var slowToLoad = sync.OnceValue(func() []byte { return heavy(3) })

// plenty is more memory than a check takes, also with the race detector.
const plenty = 8 << 30

// killWhileChecking kills the checker, as the kernel does, each time that it is at a check, up to a number of times. It
// returns how often it did so far.
func killWhileChecking(t *testing.T, client *Client, written *output, times int) func() int {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	var kills atomic.Int32
	go func() {
		killed, at := 0, 0
		for ticker := time.NewTicker(5 * time.Millisecond); int(kills.Load()) < times && ctx.Err() == nil; <-ticker.C {
			before := at
			if at = 0; client.running() == "1" {
				at = written.pid(t)
			}
			// With the second look at it the check has been confirmed to the client: one that wasn't blames no module.
			if at == 0 || at == killed || at != before {
				continue
			}
			process, err := os.FindProcess(at)
			if err != nil {
				continue
			}
			kills.Add(1) // before the client can notice
			if process.Kill() != nil {
				kills.Add(-1)
				continue
			}
			killed = at
		}
	}()
	return func() int { return int(kills.Load()) }
}

// TestKilledByChance: a checker that is killed once says nothing of the plugin that it was at.
func TestKilledByChance(t *testing.T) {
	client, written := startLimitedChild(t, plenty)
	kills := killWhileChecking(t, client, written, 1)
	verdicts, err := client.Check(t.Context(), request(slowToLoad(), "{}"))
	if err != nil || verdicts[0].Outcome != drystart.Accepted {
		t.Errorf("got %+v, %v", verdicts, err)
	}
	if kills() != 1 || len(client.suspects.deaths) != 0 {
		t.Errorf("killed %d times, suspects %v", kills(), client.suspects.deaths)
	}
}

// TestKilledEachTime: a module with which the checker is killed each time is refused, and remembered.
func TestKilledEachTime(t *testing.T) {
	client, written := startLimitedChild(t, plenty)
	kills := killWhileChecking(t, client, written, 3)
	for _, test := range []struct{ killed int }{{2}, {3}} {
		verdicts, err := client.Check(t.Context(), request(slowToLoad(), "{}", strconv.Itoa(test.killed)))
		if err != nil || len(verdicts) != 2 || verdicts[1].Outcome != drystart.Refused || !verdicts[1].Exhausted {
			t.Fatalf("got %+v, %v", verdicts, err)
		}
		if !strings.Contains(verdicts[0].Reason, "raise checker.resources") {
			t.Errorf("says %q", verdicts[0].Reason)
		}
		if kills() != test.killed {
			t.Errorf("killed %d times, want %d", kills(), test.killed)
		}
	}
	// As soon as nothing kills it any more, it is a module like all others.
	if verdicts, err := client.Check(t.Context(), request(slowToLoad(), "{}")); err != nil || verdicts[0].Outcome != drystart.Accepted {
		t.Errorf("got %+v, %v", verdicts, err)
	}
}

// TestOthersConverge: a module that takes all memory, and one that never ends, are refused; all others get their verdicts
// meanwhile, also those that lose a check with the checker.
func TestOthersConverge(t *testing.T) {
	const others = 40
	client, written := startLimitedChild(t, 160<<20)
	type result struct {
		verdicts []drystart.Verdict
		err      error
	}
	poisoned := make(chan result, 1)
	go func() {
		verdicts, err := client.Check(t.Context(), request(slowToLoad(), `{"password": "hunter2"}`))
		poisoned <- result{verdicts, err}
	}()
	good := make(chan result, others)
	for i := range byte(others) {
		go func() {
			verdicts, err := client.Check(t.Context(), request(plugin(accepts, differs(i)), `{"password": "hunter2"}`))
			good <- result{verdicts, err}
		}()
	}
	for range others {
		if got := <-good; got.err != nil || got.verdicts[0].Outcome != drystart.Accepted {
			t.Errorf("an innocent one got %+v, %v", got.verdicts, got.err)
		}
	}
	if got := <-poisoned; got.err != nil || got.verdicts[0].Outcome != drystart.Refused || !got.verdicts[0].Exhausted {
		t.Errorf("the guilty one got %+v, %v", got.verdicts, got.err)
	}
	said := written.String()
	if stops := strings.Count(said, "took more memory than they may"); stops != 2 {
		t.Errorf("%d stops: %s", stops, said)
	}
	// The process began anew by itself: whoever started it had nothing to do.
	if strings.Contains(said, "is started again") || strings.Contains(said, "hunter2") {
		t.Errorf("says %s", said)
	}
}

// differs is some code that differs with the number.
func differs(i byte) []byte { return []byte{0x41, i, 0x1a} }

// TestStuck: what heeds no deadline ends with the process.
func TestStuck(t *testing.T) {
	client, written := startChild(t, "--time-limit=300ms")
	verdicts, err := client.Check(t.Context(), request(slowToLoad(), "{}"))
	if err != nil || verdicts[0].Outcome != drystart.Refused || !verdicts[0].Exhausted {
		t.Errorf("got %+v, %v", verdicts, err)
	}
	if said := written.String(); strings.Count(said, "took longer than it may") != 2 {
		t.Errorf("says %s", said)
	}
}

// TestEndlessPlugin: a plugin that never returns ends by its deadline, and nothing else does.
func TestEndlessPlugin(t *testing.T) {
	client, written := startChild(t, "--time-limit=15s")
	verdicts, err := client.Check(t.Context(), request(plugin(loops, nil), "{}"))
	if err != nil || verdicts[0].Outcome != drystart.Refused || !verdicts[0].Exhausted || verdicts[0].Stage != drystart.StageConfigure {
		t.Errorf("got %+v, %v", verdicts, err)
	}
	if said := written.String(); strings.Contains(said, "Stopping") {
		t.Errorf("says %s", said)
	}
}

func TestNoChecker(t *testing.T) {
	client := NewClient(ClientOptions{Socket: filepath.Join(t.TempDir(), "socket")})
	_, err := client.Check(t.Context(), request(plugin(accepts, nil), "{}"))
	if unavailable, ok := errors.AsType[*Unavailable](err); !ok || !unavailable.Temporary() || !strings.Contains(err.Error(), "can't be reached") {
		t.Errorf("got %v", err)
	}
}

// TestBrokenCheckers asks programs that are no checkers, or no longer.
func TestBrokenCheckers(t *testing.T) {
	const goOn = "HTTP/1.1 100 Continue\r\n\r\n"
	answer := func(status, body string) string {
		return "HTTP/1.1 " + status + "\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
	}
	for name, test := range map[string]struct {
		healthy bool
		says    string
		want    string
		blamed  bool
	}{
		"ends before it asks for the check": {true, "", "ended several times", false},
		"ends for good":                     {false, goOn, "not back yet", true},
		"answers something else":            {true, goOn + answer("200 OK", "[]"), "another release", false},
		"has no time":                       {true, answer("503 Service Unavailable", "hunter2"), "status 503", false},
		"takes it for something else":       {true, goOn + answer("400 Bad Request", "hunter2"), "status 400", false},
	} {
		t.Run(name, func(t *testing.T) {
			socket := filepath.Join(t.TempDir(), "socket")
			listener, err := net.Listen("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			go func() {
				for {
					connection, err := listener.Accept()
					if err != nil {
						return
					}
					request, err := http.ReadRequest(bufio.NewReader(connection))
					switch {
					case err != nil:
					case request.URL.Path == pathCheck:
						rest, asks := strings.CutPrefix(test.says, goOn)
						if asks {
							_, _ = connection.Write([]byte(goOn))
							_, _ = io.Copy(io.Discard, request.Body)
						}
						_, _ = connection.Write([]byte(rest))
					case test.healthy:
						_, _ = connection.Write([]byte(answer("200 OK", "0")))
					}
					_ = connection.Close()
				}
			}()
			options := ClientOptions{Socket: socket}
			if !test.healthy {
				options.Wait = 200 * time.Millisecond // in vain
			}
			client := NewClient(options)
			_, err = client.Check(t.Context(), request(plugin(accepts, nil), "{}"))
			if _, ok := errors.AsType[*Unavailable](err); !ok || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v", err)
			}
			if blamed := len(client.suspects.deaths) > 0; blamed != test.blamed {
				t.Errorf("blamed: %t", blamed)
			}
		})
	}
}

func TestCallerGoes(t *testing.T) {
	client := NewClient(ClientOptions{Socket: startServer(t, nil)})
	ctx, cancel := context.WithCancel(t.Context())
	results := make(chan error)
	for range atOnce + 2 {
		go func() {
			_, err := client.Check(ctx, request(plugin(loops, nil), "{}"))
			results <- err
		}()
	}
	eventually(t, "checks run", func() bool { return client.running() == strconv.Itoa(atOnce) })
	cancel()
	for range atOnce + 2 {
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
	eventually(t, "no check runs", func() bool { return client.running() == "0" })
}

func TestTooLarge(t *testing.T) {
	client := NewClient(ClientOptions{Socket: "nowhere"})
	verdicts, err := client.Check(t.Context(), request(plugin(accepts, nil), strings.Repeat("x", maxQuestion)))
	if err != nil || verdicts[0].Outcome != drystart.Inconclusive || !strings.Contains(verdicts[0].Call, "larger") {
		t.Errorf("got %.200v, %v", verdicts, err)
	}
}

func TestSuspectsAreBounded(t *testing.T) {
	s := suspects{deaths: map[[32]byte]int{}}
	for i := range 2 * maxSuspects {
		s.blame([32]byte{byte(i), byte(i >> 8)})
	}
	if len(s.deaths) != maxSuspects {
		t.Errorf("remembers %d", len(s.deaths))
	}
}
