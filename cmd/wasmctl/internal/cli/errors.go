// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	ExitGood    = 0
	ExitRefused = 1
	ExitFailed  = 2
)

// RefusedError says that something was judged and found wrong, which isn't a failure of wasmctl.
type RefusedError struct{ Sentence string }

func (e *RefusedError) Error() string { return e.Sentence }

// Refused makes a RefusedError.
func Refused(format string, args ...any) error { return &RefusedError{fmt.Sprintf(format, args...)} }

// usageError says that the command line can't be meant.
type usageError struct {
	command string
	cause   error
}

func (e *usageError) Error() string { return fmt.Sprintf("%v; see %s --help", e.cause, e.command) }

func (e *usageError) Unwrap() error { return e.cause }

// Usage says which command was called the wrong way.
func Usage(cmd *cobra.Command, err error) error {
	return &usageError{command: cmd.CommandPath(), cause: err}
}

// FirstError is the first of the errors that is one.
func FirstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Report writes the error that a program ends with, as one line, and returns the exit code.
func Report(ctx context.Context, errOut io.Writer, program string, err error) int {
	if err == nil {
		return ExitGood
	}
	if ctx.Err() != nil {
		err = errors.New("stopped")
	}
	fmt.Fprintf(errOut, "%s: %s\n", program, Printable(err.Error()))
	if _, refused := errors.AsType[*RefusedError](err); refused {
		return ExitRefused
	}
	return ExitFailed
}
