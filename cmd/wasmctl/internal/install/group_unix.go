// SPDX-License-Identifier: Apache-2.0

//go:build unix

package install

import (
	"os/exec"
	"syscall"
	"time"
)

// endWait is more than the demo needs to stop what it started.
const endWait = time.Minute

// asGroup has the end of the context interrupt all that the command started, and wait for it: make hands no signal on.
func asGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = endWait
}
