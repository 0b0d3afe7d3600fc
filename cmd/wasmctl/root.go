// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/author"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/explain"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/install"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/migrate"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/offline"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/operate"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/plugintest"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/publish"
	"github.com/solarmesh/wasmplugin-operator/internal/version"
)

// run is the whole program: args begin with its name.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	root := newRoot(args[0]) //nolint:contextcheck // commands get it from ExecuteContext
	root.SetArgs(args[1:])
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	return cli.Report(ctx, errOut, root.Name(), root.ExecuteContext(ctx))
}

func newRoot(program string) *cobra.Command {
	root := &cobra.Command{
		Use:   "wasmctl",
		Short: "Writes, runs and watches WebAssembly plugins of Istio's proxies",
		Long: `wasmctl is for who writes a plugin (init, build, test, push) and for who runs one (status, explain, diff). It is made of
the packages that the operator is made of, so what it says is what the operator does.

It ends with 0 when all is good, 1 when something was judged and found wrong, and 2 when it was called the wrong way or
could not tell or do it.`,
		Args:          cobra.ArbitraryArgs, // so that what is no command gets a sentence of ours
		RunE:          help,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	if strings.HasPrefix(filepath.Base(program), "kubectl-") {
		root.Use = "kubectl-wasm"
		root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl wasm"}
	}
	root.SetFlagErrorFunc(cli.Usage)
	root.AddCommand(offline.NewRender(), offline.NewValidate(), offline.NewInspect(), newVersion())
	for _, group := range [][]*cobra.Command{
		author.Commands(), plugintest.Commands(), publish.Commands(), migrate.Commands(), explain.Commands(), operate.Commands(),
		install.Commands(),
	} {
		root.AddCommand(group...)
	}
	return root
}

func help(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	return cli.Usage(cmd, fmt.Errorf("there is no command %q", args[0]))
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Prints the version",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return cli.Usage(cmd, fmt.Errorf("it takes no argument such as %q", args[0]))
			}
			return cli.Write(cmd.OutOrStdout(), []byte(version.Of("wasmctl")+"\n"))
		},
	}
}
