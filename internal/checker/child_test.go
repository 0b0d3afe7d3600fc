// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr"
)

func TestChildIsStartedAgain(t *testing.T) {
	client, written := startChild(t)
	before := written.pid(t)
	process, err := os.FindProcess(before)
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another checker serves", func() bool { return client.running() == "0" && written.pid(t) != before })
	if !strings.Contains(written.String(), "is started again") {
		t.Errorf("says %s", written)
	}
}

func TestChildThatNeverStarts(t *testing.T) {
	written := &output{}
	ctx, cancel := context.WithCancel(t.Context())
	child, err := NewChild(ChildOptions{Command: []string{filepath.Join(t.TempDir(), "missing")}, Log: logTo(func(line string) {
		fmt.Fprintln(written, line)
		if strings.Count(written.String(), "is started again") == 2 {
			cancel()
		}
	})})
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(ctx); err != nil {
		t.Error(err)
	}
	if said := written.String(); !strings.Contains(said, `"pause"="100ms"`) || !strings.Contains(said, `"pause"="200ms"`) {
		t.Errorf("says %s", said)
	}
}

// TestChildSeesNoEnvironment: a checker runs strangers' code, so it gets nothing that the manager has.
func TestChildSeesNoEnvironment(t *testing.T) {
	t.Setenv("TOKEN", "hunter2")
	_, written := startChild(t)
	environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", written.pid(t)))
	if err != nil || len(environment) > 0 {
		t.Errorf("has %q, %v", environment, err)
	}
}

// TestChildEndsWithItsContext leaves nothing behind.
func TestChildEndsWithItsContext(t *testing.T) {
	child, err := NewChild(ChildOptions{Command: []string{os.Args[0], "checker"}, Log: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Dir(child.Socket())); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- child.Start(ctx) }()
	client := NewClient(ClientOptions{Socket: child.Socket()})
	if err := client.awaitReturn(t.Context()); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Dir(child.Socket())); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
	if client.running() != "" {
		t.Error("the checker is still there")
	}
}

// TestChildEndsWithAKilledParent: no checker stays when the process that started it is gone, however it went.
func TestChildEndsWithAKilledParent(t *testing.T) {
	parent := exec.Command(os.Args[0], "parent")
	parent.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	stdout, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	socket, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	client := NewClient(ClientOptions{Socket: strings.TrimSpace(socket)})
	if err := client.awaitReturn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := parent.Wait(); err == nil {
		t.Error("the parent was not killed")
	}
	eventually(t, "the checker ends", func() bool { return client.running() == "" })
}
