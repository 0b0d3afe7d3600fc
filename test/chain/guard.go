// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
)

// guardScript waits for the end of its input, which comes when the starting process ends in whatever way, and then
// kills its process group. It ignores the signals that ask processes to stop.
const guardScript = `trap '' TERM INT HUP; read -r _; kill -KILL 0`

// guard is the leader of a process group: a shell that outlives the process that started the group just long enough to
// kill it. A parent death signal (Linux) would not do: it is bound to the starting thread, and it does not reach
// Envoy, which is the agent's child.
type guard struct {
	cmd   *exec.Cmd
	alive io.Closer
}

func startGuard() (*guard, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("cannot make a pipe: %w", err)
	}
	defer r.Close()
	cmd := exec.Command("/bin/sh", "-c", guardScript)
	cmd.Stdin = r
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot start /bin/sh: %w", err), w.Close())
	}
	return &guard{cmd: cmd, alive: w}, nil
}

// group is the id of the process group. It stays taken until end, so that a signal never reaches strangers.
func (g *guard) group() int { return g.cmd.Process.Pid }

// join makes a command that is not started yet a member of the group.
func (g *guard) join(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pgid = g.group()
}

// end kills what is left of the group, and waits until the group is gone.
func (g *guard) end() {
	_ = syscall.Kill(-g.group(), syscall.SIGKILL)
	_ = g.cmd.Wait() // "signal: killed" is what was asked for.
	_ = g.alive.Close()
}

// groupGone waits until no process of the group runs: those that lost their parent may end a little after it.
func groupGone(group int) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return Until(ctx, func(context.Context) error {
		if groupRuns(group) {
			return fmt.Errorf("process group %d was killed, but still runs", group)
		}
		return nil
	})
}

// groupExists also counts zombies.
func groupExists(group int) bool {
	return !errors.Is(syscall.Kill(-group, 0), syscall.ESRCH)
}
