// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	readyTimeout = 60 * time.Second
	stopTimeout  = 10 * time.Second
)

// Command says how to run one process.
type Command struct {
	// Name stands for the process in errors.
	Name string
	// Path is the binary, Args its arguments.
	Path string
	Args []string
	// Env is added to PATH, HOME and TMPDIR of this process. Nothing else is inherited, so that a run does not depend
	// on who starts it. Of two values of one name the later one counts.
	Env []string
	// Dir is the working folder; the folder of LogFile if empty.
	Dir string
	// LogFile gets the output of the process; it is appended to, also after a restart.
	LogFile string
	// Ready is asked until it returns nil, at most for a minute. Without it, a started process is a ready one.
	Ready func(context.Context) error
	// StopTimeout is how long Stop waits after SIGTERM; 10 seconds if zero.
	StopTimeout time.Duration

	reserved *reservation               // ports to release right before the start
	adjust   func(*syscall.SysProcAttr) // namespaces
}

// Process is a process group that was started from a Command, and can be stopped and started again.
type Process struct {
	command Command
	mu      sync.Mutex
	run     *run
}

// run is one life of a process.
type run struct {
	cmd    *exec.Cmd
	guard  *guard
	log    int64         // size of the log file at the start
	exited chan struct{} // closed when cmd has ended; err is set by then
	err    error
	ended  bool // the whole group was ended by us
}

// Start starts a process and waits until it is ready. If it does not become ready, it is killed.
func Start(ctx context.Context, command Command) (*Process, error) {
	p := &Process{command: command}
	return p, p.Start(ctx)
}

// Start starts a stopped process again and waits until it is ready.
func (p *Process) Start(ctx context.Context) error {
	p.mu.Lock()
	if p.run != nil && !p.run.ended {
		p.mu.Unlock()
		return fmt.Errorf("%s is started already; stop it first", p.command.Name)
	}
	r, err := p.launch()
	if err == nil {
		p.run = r
	}
	p.mu.Unlock()
	if err != nil {
		return fmt.Errorf("cannot start %s: %w", p.command.Name, err)
	}
	if p.command.Ready == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := p.Until(ctx, p.command.Ready); err != nil {
		return errors.Join(fmt.Errorf("%s did not become ready: %w", p.command.Name, err), p.Kill())
	}
	return nil
}

func (p *Process) launch() (*run, error) {
	out, size, err := openLog(p.command.LogFile)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	g, err := startGuard()
	if err != nil {
		return nil, err
	}
	cmd := p.command.build(out)
	g.join(cmd)
	if p.command.reserved != nil {
		p.command.reserved.release()
	}
	if err := cmd.Start(); err != nil {
		g.end()
		return nil, err
	}
	r := &run{cmd: cmd, guard: g, log: size, exited: make(chan struct{})}
	go func() {
		r.err = cmd.Wait()
		close(r.exited)
	}()
	return r, nil
}

func (c Command) build(out *os.File) *exec.Cmd {
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Dir = cmp.Or(c.Dir, filepath.Dir(c.LogFile))
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(baseEnv(), c.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if c.adjust != nil {
		c.adjust(cmd.SysProcAttr)
	}
	return cmd
}

func baseEnv() []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// Until waits until check returns nil. It ends at once with the last lines of the log if the process ends.
func (p *Process) Until(ctx context.Context, check func(context.Context) error) error {
	r := p.current()
	if r == nil {
		return fmt.Errorf("%s was never started", p.command.Name)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-r.exited:
			cancel(fmt.Errorf("it ended: %s", exitText(r.err)))
		case <-ctx.Done():
		}
	}()
	if err := Until(ctx, check); err != nil {
		return fmt.Errorf("%w\n%s", err, p.tail(r))
	}
	return nil
}

func (p *Process) current() *run {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.run
}

// Stop asks the process to stop (SIGTERM), waits, and kills what is left of what it started. The signal goes to the
// process only, as in a Pod: Envoy would end at once instead of draining. Stop returns an error if the process had
// ended by itself before, or did not stop in time; in either case nothing of it is left. Stopping it again does
// nothing.
func (p *Process) Stop() error {
	r := p.take()
	if r == nil {
		return nil
	}
	var problem error
	select {
	case <-r.exited:
		problem = fmt.Errorf("%s had ended by itself: %s\n%s", p.command.Name, exitText(r.err), p.tail(r))
	default:
		problem = p.terminate(r)
	}
	return errors.Join(problem, r.finish())
}

func (p *Process) terminate(r *run) error {
	limit := cmp.Or(p.command.StopTimeout, stopTimeout)
	timer := time.NewTimer(limit)
	defer timer.Stop()
	_ = r.cmd.Process.Signal(syscall.SIGTERM) // It may just have ended.
	select {
	case <-r.exited:
		return nil
	case <-timer.C:
		return fmt.Errorf("%s did not stop within %s of SIGTERM and was killed\n%s", p.command.Name, limit, p.tail(r))
	}
}

// Kill ends the process and everything it started at once (SIGKILL), as a crash would.
func (p *Process) Kill() error {
	if r := p.take(); r != nil {
		return r.finish()
	}
	return nil
}

// take hands the life of the process to the caller that ends it; nil if there is none or it was taken before.
func (p *Process) take() *run {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run == nil || p.run.ended {
		return nil
	}
	p.run.ended = true
	return p.run
}

func (r *run) finish() error {
	r.guard.end()
	<-r.exited
	return groupGone(r.guard.group())
}

// PID is the id of the process, 0 if it was never started. It stays after the end of the process.
func (p *Process) PID() int {
	if r := p.current(); r != nil {
		return r.cmd.Process.Pid
	}
	return 0
}

// ExitCode is the exit status of the process once it has ended; -1 as long as it runs, and if a signal ended it.
func (p *Process) ExitCode() int {
	r := p.current()
	if r == nil {
		return -1
	}
	select {
	case <-r.exited:
		return r.cmd.ProcessState.ExitCode()
	default:
		return -1
	}
}

func exitText(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}
