// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

// said waits until the log of a process has more than it had.
func said(p *Process, had string) func(context.Context) error {
	return func(context.Context) error {
		if log := p.Log(); len(log) <= len(had) {
			return fmt.Errorf("nothing after %q", had)
		}
		return nil
	}
}

// stopped waits until a process stands still, by its state in /proc.
func stopped(p *Process) func(context.Context) error {
	return func(context.Context) error {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
		if err == nil && !strings.Contains(string(stat), "(sh) T ") {
			err = fmt.Errorf("its state is %q", stat)
		}
		return err
	}
}

func TestAFrozenProcessGoesOnOnlyWhenThawed(t *testing.T) {
	command := shell(t, "trap 'echo asked' TERM; echo up; while :; do sleep 0.01; done")
	command.Ready = logs(command, "up")
	p, err := Start(t.Context(), command)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	if err := p.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := p.Until(t.Context(), stopped(p)); err != nil {
		t.Fatal(err)
	}
	if !p.Runs() {
		t.Error("it ended")
	}
	before := p.Log()
	if err := p.Thaw(); err != nil {
		t.Fatal(err)
	}
	// Only one that runs takes a signal.
	if err := p.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Until(t.Context(), said(p, before)); err != nil {
		t.Error(err)
	}
}

func TestAFrozenProcessCanBeKilled(t *testing.T) {
	command := shell(t, "echo up; sleep 1000")
	command.Ready = logs(command, "up")
	p, err := Start(t.Context(), command)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Error(err)
	}
	wantError(t, p.Freeze(), "shell does not run")
	wantError(t, (&Process{command: command}).Thaw(), "shell was never started")
}
