// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/api/resource"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/solarmesh/wasmplugin-operator/internal/checker"
)

// checkerOptions is what the command line says.
type checkerOptions struct {
	socket           string
	memoryLimit      resource.QuantityValue
	untilStdinCloses bool
	zap              zap.Options
}

// runChecker is the process in which plugins are started to see whether they take their rules. It needs no cluster.
func runChecker(ctx context.Context, args []string, stderr io.Writer) error {
	options, err := parseCheckerFlags(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return fmt.Errorf("%w: %w", errUsage, err) // parseCheckerFlags has said why
	}
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&options.zap)))
	if options.untilStdinCloses {
		ctx = checker.UntilClosed(ctx, os.Stdin)
	}
	return checker.NewServer(checker.ServerOptions{
		Socket: options.socket, MemoryLimit: options.memoryLimit.Value(), Log: ctrl.Log.WithName("checker"),
	}).Serve(ctx)
}

func parseCheckerFlags(args []string, output io.Writer) (checkerOptions, error) {
	var o checkerOptions
	flags := flag.NewFlagSet("wasmplugin-operator checker", flag.ContinueOnError)
	flags.SetOutput(output)
	flags.StringVar(&o.socket, "socket", "", "Path of the Unix socket on which the manager asks. Only this user may use it.")
	flags.Var(&o.memoryLimit, "memory-limit", "Memory that the process may have, for example 1Gi. A check that needs more is stopped. 0: the container's limit.")
	flags.BoolVar(&o.untilStdinCloses, "until-stdin-closes", false, "End when standard input does, and so with the process that started this one.")
	o.zap.BindFlags(flags)
	if err := flags.Parse(args); err != nil {
		return checkerOptions{}, err
	}
	if err := o.check(flags.Args()); err != nil {
		fmt.Fprintln(output, err)
		return checkerOptions{}, err
	}
	return o, nil
}

func (o *checkerOptions) check(rest []string) error {
	if len(rest) > 0 {
		return fmt.Errorf("unknown argument %q; the checker takes flags only, see --help", rest[0])
	}
	if o.socket == "" {
		return errors.New("--socket must name the Unix socket to serve, for example /run/checker/socket")
	}
	if o.memoryLimit.Sign() < 0 {
		return errors.New("--memory-limit must be 0 or more")
	}
	return nil
}
