// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func shell(t *testing.T, script string) Command {
	t.Helper()
	return Command{
		Name:    "shell",
		Path:    "/bin/sh",
		Args:    []string{"-c", script},
		LogFile: filepath.Join(t.TempDir(), "shell.log"),
	}
}

func never(context.Context) error { return errors.New("not ready yet") }

// logs waits for a text in the log of a command.
func logs(command Command, text string) func(context.Context) error {
	return func(context.Context) error {
		content, err := os.ReadFile(command.LogFile)
		if err == nil && !strings.Contains(string(content), text) {
			err = fmt.Errorf("no %q in %q", text, content)
		}
		return err
	}
}

func wantError(t *testing.T, err error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one with %q", texts)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error lacks %q:\n%v", text, err)
		}
	}
}

func TestProcessThatDiesEarlyTellsItsLastLines(t *testing.T) {
	command := shell(t, "seq 1 100; echo bad flag >&2; exit 3")
	command.Ready = never
	start := time.Now()
	p, err := Start(t.Context(), command)
	wantError(t, err, "shell did not become ready", "exit status 3", "not ready yet", "bad flag", "\n  82\n")
	if strings.Contains(err.Error(), "\n  81\n") {
		t.Errorf("more than the last lines are shown:\n%v", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("the end of the process was noticed after %s", took)
	}
	if p.ExitCode() != 3 {
		t.Errorf("exit code %d, want 3", p.ExitCode())
	}
}

func TestProcessThatIsNotReadyInTimeIsKilled(t *testing.T) {
	command := shell(t, "sleep 1000")
	command.Ready = never
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	p, err := Start(ctx, command)
	wantError(t, err, "shell did not become ready", "deadline exceeded", "not ready yet")
	if groupRuns(p.current().guard.group()) {
		t.Error("it still runs")
	}
}

func TestStopAsksTheProcessAndKillsItsChildren(t *testing.T) {
	command := shell(t, "trap 'echo stopping; exit 0' TERM; sh -c 'trap \"echo asked\" TERM; echo up; sleep 1000' & wait")
	command.Ready = logs(command, "up")
	p, err := Start(t.Context(), command)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context()); err == nil {
		t.Error("a started process was started again")
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	if groupRuns(p.current().guard.group()) {
		t.Error("the child still runs")
	}
	if p.Log() != "up\nstopping\n" || p.ExitCode() != 0 {
		t.Errorf("no orderly end: exit code %d, log %q", p.ExitCode(), p.Log())
	}
	if err := p.Stop(); err != nil {
		t.Errorf("second Stop: %v", err)
	}
}

func TestStopKillsWhatDoesNotStop(t *testing.T) {
	command := shell(t, "trap '' TERM; echo up; sleep 1000")
	command.Ready = logs(command, "up")
	command.StopTimeout = 50 * time.Millisecond
	p, err := Start(t.Context(), command)
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, p.Stop(), "shell did not stop within 50ms")
	if groupRuns(p.current().guard.group()) {
		t.Error("it still runs")
	}
}

func TestStopTellsOfAnEarlierEnd(t *testing.T) {
	command := shell(t, "echo crashed; kill -9 $$")
	p, err := Start(t.Context(), command)
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, p.Until(t.Context(), never), "signal: killed", "crashed")
	wantError(t, p.Stop(), "had ended by itself", "signal: killed", "crashed")
}

func TestProcessStartsAgain(t *testing.T) {
	command := shell(t, `echo "life of $$"; sleep 1000`)
	command.Ready = logs(command, "life of")
	p, err := Start(t.Context(), command)
	if err != nil {
		t.Fatal(err)
	}
	first := p.PID()
	if err := errors.Join(p.Kill(), p.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	second := p.PID()
	own := fmt.Sprintf("life of %d\n", second)
	if err := p.Until(t.Context(), logs(command, own)); err != nil {
		t.Fatal(err)
	}
	if first == second || p.Log() != own {
		t.Errorf("process %d after %d has the log %q, want %q", second, first, p.Log(), own)
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
}

func TestEnvironmentIsNotInherited(t *testing.T) {
	t.Setenv("CHAIN_TEST_LEAK", "leaked")
	command := shell(t, `echo "leak=$CHAIN_TEST_LEAK own=$OWN path=${PATH:+set}."; sleep 1000`)
	command.Env = []string{"OWN=first", "OWN=second"}
	p, err := Start(t.Context(), command)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Until(t.Context(), logs(command, "leak= own=second path=set.")); err != nil {
		t.Error(err)
	}
	if err := p.Kill(); err != nil {
		t.Error(err)
	}
}

func TestStartNamesAMissingBinary(t *testing.T) {
	command := shell(t, "")
	command.Path = "/nonexistent/operator"
	_, err := Start(t.Context(), command)
	wantError(t, err, "cannot start shell", "/nonexistent/operator")
}

// TestNothingOutlivesAKilledStarter reads a FIFO that a shell and its child hold open, until both are gone.
func TestNothingOutlivesAKilledStarter(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "alive")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	starter := exec.Command(os.Args[0])
	starter.Env = append(os.Environ(), starterVariable+"="+fifo)
	if err := starter.Start(); err != nil {
		t.Fatal(err)
	}
	alive, err := os.Open(fifo)
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Close()
	reader := bufio.NewReader(alive)
	if line, err := reader.ReadString('\n'); err != nil || line != "up\n" {
		t.Fatalf("the shell did not start: %q, %v", line, err)
	}
	if err := starter.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = starter.Wait()
	// Blocks as long as one of them lives; the test's own timeout ends it.
	if rest, err := io.ReadAll(reader); err != nil || len(rest) > 0 {
		t.Errorf("unexpected end of the FIFO: %q, %v", rest, err)
	}
}

func TestPortsAreDistinctAndFree(t *testing.T) {
	r, err := reservePorts(50)
	if err != nil {
		t.Fatal(err)
	}
	more, err := FreePorts(50)
	if err != nil {
		t.Fatal(err)
	}
	if listener, err := net.Listen("tcp", local(r.ports[0])); err == nil {
		listener.Close()
		t.Errorf("port %d was not held", r.ports[0])
	}
	r.release()
	seen := map[int]bool{}
	for _, port := range append(r.ports, more...) {
		if seen[port] {
			t.Errorf("port %d was handed out twice", port)
		}
		seen[port] = true
		wantFree(t, port)
	}
}

func wantFree(t *testing.T, port int) {
	t.Helper()
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		t.Errorf("port %d is not free: %v", port, err)
		return
	}
	if err := listener.Close(); err != nil {
		t.Error(err)
	}
}
