// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/go-logr/logr"
)

const (
	// defaultChildMemory is enough for a module of 30 MB.
	defaultChildMemory = 1 << 30

	// longLife is how long a child lives after which its end is no sign that the next one ends at once.
	longLife         = time.Minute
	shortestBackoff  = 100 * time.Millisecond
	longestBackoff   = 10 * time.Second
	childGracePeriod = 5 * time.Second
)

// ChildOptions say how to start a checker.
type ChildOptions struct {
	// Command is the program and its first arguments. Default: this very program's subcommand checker.
	Command []string
	// MemoryLimit is how many bytes the checker may have. Default: 1 GiB.
	MemoryLimit int64
	// Stderr gets the checker's log.
	Stderr io.Writer
	// Log gets a line when the checker ends by itself.
	Log logr.Logger
}

// Child is a checker that this process starts, for where there is no container for it. It is a Runnable of
// controller-runtime's manager.
type Child struct {
	options ChildOptions
	folder  string
}

// NewChild makes the folder for the checker's socket, which only this user can enter.
func NewChild(options ChildOptions) (*Child, error) {
	if len(options.Command) == 0 {
		path, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find this program: %w", err)
		}
		options.Command = []string{path, "checker"}
	}
	if options.MemoryLimit == 0 {
		options.MemoryLimit = defaultChildMemory
	}
	folder, err := os.MkdirTemp("", "checker-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the checker's socket: %w", err)
	}
	return &Child{options: options, folder: folder}, nil
}

// Socket is where the checker can be asked while Start runs.
func (c *Child) Socket() string { return filepath.Join(c.folder, "socket") }

// Start keeps a checker running until the context ends. It ends with this process, too, however that ends.
func (c *Child) Start(ctx context.Context) error {
	defer os.RemoveAll(c.folder)
	backoff := shortestBackoff
	for {
		began := time.Now()
		err := c.run(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(began) > longLife {
			backoff = shortestBackoff
		}
		c.options.Log.Info("The checker ended and is started again", "error", fmt.Sprint(err), "pause", backoff.String())
		select {
		case <-time.After(backoff):
		case <-ctx.Done():
			return nil
		}
		backoff = min(2*backoff, longestBackoff)
	}
}

func (c *Child) run(ctx context.Context) error {
	arguments := append(c.options.Command[1:len(c.options.Command):len(c.options.Command)],
		"--socket", c.Socket(), "--memory-limit", strconv.FormatInt(c.options.MemoryLimit, 10), "--until-stdin-closes")
	command := exec.CommandContext(ctx, c.options.Command[0], arguments...) //nolint:gosec // This very program.
	// Nothing of what the manager was given is the checker's business.
	command.Env = []string{}
	command.Stderr = c.options.Stderr
	command.WaitDelay = childGracePeriod
	stdin, err := command.StdinPipe()
	if err != nil {
		return fmt.Errorf("start the checker: %w", err)
	}
	command.Cancel = stdin.Close
	if err := command.Start(); err != nil {
		return fmt.Errorf("start the checker: %w", err)
	}
	return command.Wait()
}

// UntilClosed returns a context that ends when input does, which is when the process at its other end is gone.
func UntilClosed(ctx context.Context, input io.Reader) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, input)
	}()
	return ctx
}
