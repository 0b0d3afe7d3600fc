// SPDX-License-Identifier: Apache-2.0

package author

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/internal/runtimeconfig"
	"github.com/solarmesh/wasmplugin-operator/internal/scaffold"
	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

// graceful is how long a compiler that is stopped may take to tidy up.
const graceful = 5 * time.Second

// step is a program that is run in the plugin's folder.
type step struct {
	program string
	args    []string
	env     []string
	// found gets what the program writes to its standard output, and says where the module is. Without it, that is shown,
	// and the module is where the plan was told to put it.
	found func(output []byte) (string, error)
}

func (s step) String() string {
	return strings.Join(append(append([]string{}, s.env...), append([]string{filepath.Base(s.program)}, s.args...)...), " ")
}

// plan says how the sources of a folder become a module. It fails where a program is missing, with what to install.
type plan func(ctx context.Context, dir, output string) ([]step, error)

var plans = map[string]plan{
	scaffold.Go:             planGo,
	scaffold.TinyGo:         planTinyGo,
	scaffold.Rust:           planRust,
	scaffold.AssemblyScript: planAssemblyScript,
	scaffold.CPP:            planCPP,
}

// compile makes a module of the sources of a folder. What the compilers say is shown as they say it.
func compile(ctx context.Context, language, dir string, errOut io.Writer) ([]byte, error) {
	plan, known := plans[language]
	if !known {
		return nil, fmt.Errorf("%s: language %q is none of %s", runtimeconfig.FileName, language, strings.Join(scaffold.LanguageNames(), ", "))
	}
	temporary, err := os.MkdirTemp("", "wasmctl-build-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the module: %w", err)
	}
	defer os.RemoveAll(temporary)
	// Compilers run in the plugin's folder.
	output, err := filepath.Abs(filepath.Join(temporary, moduleName))
	if err != nil {
		return nil, fmt.Errorf("make a folder for the module: %w", err)
	}
	steps, err := plan(ctx, dir, output)
	if err != nil {
		return nil, err
	}
	for _, step := range steps {
		where, err := step.run(ctx, dir, errOut)
		if err != nil {
			return nil, err
		}
		if where != "" {
			output = where
		}
	}
	return readModule(output)
}

func (s step) run(ctx context.Context, dir string, errOut io.Writer) (string, error) {
	cli.Comment(errOut, "build", s.String())
	command := exec.CommandContext(ctx, s.program, s.args...) //nolint:gosec // programs are found by plans
	command.Dir = dir
	command.Env = append(os.Environ(), s.env...)
	command.Stderr, command.Stdout = errOut, errOut
	// A compiler that is killed leaves its temporary files.
	command.Cancel = func() error {
		if err := command.Process.Signal(os.Interrupt); err != nil {
			return command.Process.Kill()
		}
		return nil
	}
	command.WaitDelay = graceful
	var said strings.Builder
	if s.found != nil {
		command.Stdout = &said
	}
	err := command.Run()
	if exit, ended := errors.AsType[*exec.ExitError](err); ended {
		return "", cli.Refused("the build failed: %s ended with %v", filepath.Base(s.program), exit)
	}
	if err != nil {
		return "", fmt.Errorf("run %s: %w", s.program, err)
	}
	if s.found == nil {
		return "", nil
	}
	return s.found([]byte(said.String()))
}

func readModule(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("the compiler made no module: %w", err)
	}
	if info.Size() > store.MaxModule {
		return nil, cli.Refused("the module that was built has %d bytes; the operator takes %d at most", info.Size(), store.MaxModule)
	}
	content, err := os.ReadFile(path) //nolint:gosec // the compiler made it
	if err != nil {
		return nil, fmt.Errorf("read the module that was built: %w", err)
	}
	return content, nil
}
