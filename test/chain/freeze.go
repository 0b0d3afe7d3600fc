// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"errors"
	"fmt"
	"syscall"
)

// Freeze stops the process where it is (SIGSTOP), as a machine does that is suspended or short of everything: it does
// nothing and its connections stay open, until Thaw. What it started itself goes on. Kill ends a frozen process, too.
func (p *Process) Freeze() error { return p.signal(syscall.SIGSTOP) }

// Thaw lets a frozen process go on (SIGCONT).
func (p *Process) Thaw() error { return p.signal(syscall.SIGCONT) }

// Runs says whether the process has been started and hasn't ended, frozen or not.
func (p *Process) Runs() bool {
	r := p.current()
	if r == nil {
		return false
	}
	select {
	case <-r.exited:
		return false
	default:
		return true
	}
}

func (p *Process) signal(signal syscall.Signal) error {
	r := p.current()
	if r == nil {
		return fmt.Errorf("%s was never started", p.command.Name)
	}
	if !p.Runs() {
		return fmt.Errorf("%s does not run", p.command.Name)
	}
	if err := r.cmd.Process.Signal(signal); err != nil {
		return errors.Join(fmt.Errorf("cannot send %s the signal %q", p.command.Name, signal), err)
	}
	return nil
}
