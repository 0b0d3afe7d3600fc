// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/solarmesh/wasmplugin-operator/internal/version"
)

// Exit codes.
const (
	exitGood    = 0
	exitRefused = 1
	exitFailed  = 2
)

// refusedError says that something was judged and found wrong, which isn't a failure of wasmctl.
type refusedError struct{ sentence string }

func (e *refusedError) Error() string { return e.sentence }

// usageError says that the command line can't be meant.
type usageError struct {
	command string
	cause   error
}

func (e *usageError) Error() string { return fmt.Sprintf("%v; see %s --help", e.cause, e.command) }

func (e *usageError) Unwrap() error { return e.cause }

// run is the whole program: args begin with its name.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	root := newRoot(args[0]) //nolint:contextcheck // commands get it from ExecuteContext
	root.SetArgs(args[1:])
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitGood
	}
	if ctx.Err() != nil {
		err = errors.New("stopped")
	}
	fmt.Fprintf(errOut, "%s: %s\n", root.Name(), printable(err.Error()))
	if _, refused := errors.AsType[*refusedError](err); refused {
		return exitRefused
	}
	return exitFailed
}

func newRoot(program string) *cobra.Command {
	root := &cobra.Command{
		Use:   "wasmctl",
		Short: "Renders, validates and inspects WasmPlugins without a cluster",
		Long: `wasmctl renders, validates and inspects WasmPlugins without a cluster. It is made of the packages that the
operator is made of, so what it says is what the operator does.

It ends with 0 when all is good, 1 when a plugin or a module is refused, and 2 when it was called the wrong way or could
not read or write.`,
		Args:          cobra.ArbitraryArgs, // so that what is no command gets a sentence of ours
		RunE:          help,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	if strings.HasPrefix(filepath.Base(program), "kubectl-") {
		root.Use = "kubectl-wasm"
		root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl wasm"}
	}
	root.SetFlagErrorFunc(usage)
	root.AddCommand(newRender(), newValidate(), newInspect(), newVersion())
	return root
}

func help(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	return usage(cmd, fmt.Errorf("there is no command %q", args[0]))
}

func usage(cmd *cobra.Command, err error) error {
	return &usageError{command: cmd.CommandPath(), cause: err}
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Prints the version",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage(cmd, fmt.Errorf("it takes no argument such as %q", args[0]))
			}
			return write(cmd.OutOrStdout(), []byte(version.Of("wasmctl")+"\n"))
		},
	}
}
