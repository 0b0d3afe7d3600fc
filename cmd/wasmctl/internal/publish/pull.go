// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/offline"
)

type pullOptions struct {
	offline.Fetching
	cli.OutputOptions

	file   string
	sha256 string
}

func newPull() *cobra.Command {
	var options pullOptions
	cmd := &cobra.Command{
		Use:   "pull REFERENCE",
		Short: "Fetches a module into a file",
		Long: `pull fetches a module as the operator does, checks it, and writes it to a file (` + defaultFile + ` where none is named),
all of it or nothing. The reference is what stands in spec.url: oci://, also without the scheme, https:// or http://.

It ends with 0 when the module is written, 1 when it is not good, or not there, and 2 when it was called the wrong way or
could not reach the server or write the file.`,
		Example: `  wasmctl pull registry.example.com/plugins/basic-auth:1.4
  wasmctl pull oci://registry.example.com/plugins/basic-auth:1.4 -f basic-auth.wasm
  wasmctl pull https://example.com/plugin.wasm -f plugin.wasm -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return cli.Usage(cmd, errors.New("name one module, as in spec.url"))
			}
			if options.file == "" {
				return cli.Usage(cmd, errors.New("--filename is empty; name the file to write, or leave it out"))
			}
			if err := options.OutputOptions.Complete(); err != nil {
				return cli.Usage(cmd, err)
			}
			return options.run(cmd.Context(), args[0], cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVarP(&options.file, "filename", "f", defaultFile, "File to write.")
	cmd.Flags().StringVar(&options.sha256, "sha256", "", "The digest that is expected, 64 hex digits: of the manifest for an image, otherwise of the module.")
	options.Fetching.Add(cmd.Flags())
	options.OutputOptions.Add(cmd, cli.FormText, cli.FormJSON, cli.FormYAML)
	return cmd
}

func (o pullOptions) run(ctx context.Context, reference string, out io.Writer) error {
	facts, content, err := o.Fetch(ctx, reference, o.sha256)
	if err != nil {
		return err
	}
	words := fmt.Appendf(nil, "%s: %s, %d bytes, proxy-wasm %s\n", cli.Printable(o.file), facts.Digest, facts.Size, facts.ABI)
	if o.Form != cli.FormText {
		if words, err = cli.Encode(facts, o.Form); err != nil {
			return err
		}
	}
	if err := replace(ctx, o.file, content); err != nil {
		return err
	}
	return cli.Write(out, words)
}

// replace writes a module to a file, which may be there already.
func replace(ctx context.Context, file string, content []byte) error {
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s can't be written: it is no regular file", file)
	}
	return cli.Replace(ctx, file, content)
}
