// SPDX-License-Identifier: Apache-2.0

// Package plugintest holds the command test, which runs a compiled plugin against requests kept in files.
package plugintest

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
)

// Commands are the commands of this package.
func Commands() []*cobra.Command {
	return []*cobra.Command{newTest()}
}

type testOptions struct {
	cli.OutputOptions

	dir    string
	module string
	cases  []string
	envoy  string
}

func newTest() *cobra.Command {
	var options testOptions
	cmd := &cobra.Command{
		Use:   "test [DIR]",
		Short: "Runs a compiled plugin against requests kept in files",
		Long: `test runs the module that wasmctl build made, filter.wasm in the plugin's folder, against the cases in testdata/*.http
of that folder: each is a request, perhaps rules and what the server behind the proxy answers, and what is expected of the
response or of the request as it reaches the server. It says of each case whether all was as expected, or what was not and
what the plugin said. Rules that no case gives are defaultRules of runtime-config.json.

The plugin runs in the operator's own host for dry starts, without a proxy. What only a proxy could answer, such as a call
to a cluster, makes a case inconclusive, which is no success. With --envoy the cases run in a real Envoy.

Cases with the same rules share a VM and run in their order, as requests do in a proxy.

It ends with 0 when all cases went well, 1 when one failed or is inconclusive, and 2 when it was called the wrong way, or
when there is no module or no case.`,
		Example: `  wasmctl test
  wasmctl test hello --cases hello/testdata/deny.http
  wasmctl test hello --module build/hello.wasm -o json
  wasmctl test hello --envoy
  wasmctl test hello --envoy=/opt/envoy/bin/envoy`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := options.complete(args); err != nil {
				return cli.Usage(cmd, err)
			}
			return options.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	options.Add(cmd, cli.FormText, cli.FormJSON)
	flags := cmd.Flags()
	flags.StringVar(&options.module, "module", "", "The module, where it is not filter.wasm in the folder.")
	flags.StringArrayVar(&options.cases, "cases", nil, "A file of cases, in place of testdata/*.http in the folder. It may be repeated.")
	flags.StringVar(&options.envoy, "envoy", "", "Run the cases in this Envoy; without a value the one in the PATH.")
	flags.Lookup("envoy").NoOptDefVal = "envoy"
	return cmd
}

func (o *testOptions) complete(args []string) error {
	switch len(args) {
	case 0:
		o.dir = "."
	case 1:
		o.dir = args[0]
	default:
		return errors.New("name one folder, the plugin's; a path of Envoy follows --envoy with =")
	}
	return o.Complete()
}

func (o *testOptions) run(ctx context.Context, out io.Writer) error {
	plugin, err := o.load()
	if err != nil {
		return err
	}
	var report *Report
	if o.envoy != "" {
		report, err = plugin.testInEnvoy(ctx, o.envoy)
	} else {
		report, err = plugin.testHere(ctx)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return err
	}
	report.sum()
	content := report.text()
	if o.Form != cli.FormText {
		if content, err = cli.Encode(report, o.Form); err != nil {
			return err
		}
	}
	if err := cli.Write(out, content); err != nil {
		return err
	}
	return report.verdict()
}
