// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/solarmesh/wasmplugin-operator/internal/module"
)

type inspectOptions struct {
	fetchOptions
	outputOptions

	sha256 string
}

func newInspect() *cobra.Command {
	var options inspectOptions
	cmd := &cobra.Command{
		Use:   "inspect REFERENCE",
		Short: "Fetches a module, and says what it is",
		Long: `inspect fetches a module, checks it, and prints its digests, its size and its version of
proxy-wasm. The reference is what stands in spec.url: oci://, also without the scheme, https:// or http://.

It ends with 0 when the module is good, 1 when it is not, or not there, and 2 when it was called the wrong way or could
not reach the server.`,
		Example: `  wasmctl inspect oci://registry.example.com/plugins/basic-auth:1.4
  wasmctl inspect https://example.com/plugin.wasm -o json
  wasmctl inspect registry.example.com/plugins/basic-auth:1.4 --pull-secret-file config.json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(cmd, errors.New("name one module, as in spec.url"))
			}
			if err := options.outputOptions.complete(); err != nil {
				return usage(cmd, err)
			}
			return options.run(cmd.Context(), args[0], cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&options.sha256, "sha256", "", "The digest that is expected, 64 hex digits: of the manifest for an image, otherwise of the module.")
	options.fetchOptions.add(cmd.Flags())
	options.outputOptions.add(cmd, outputText, outputJSON, outputYAML)
	return cmd
}

func (o inspectOptions) run(ctx context.Context, reference string, out io.Writer) error {
	fetcher, err := o.open()
	if err != nil {
		return err
	}
	defer fetcher.modules.Close()
	facts, _, err := fetcher.fetch(ctx, reference, o.sha256, nil)
	switch {
	case err == nil:
	case verdictOnModule(err) && module.KindOf(err) != module.InvalidReference:
		return &refusedError{err.Error()}
	default:
		return err
	}
	content := facts.text()
	if o.format != outputText {
		if content, err = encode(facts, o.format); err != nil {
			return err
		}
	}
	return write(out, content)
}

func (f *moduleFacts) text() []byte {
	var out bytes.Buffer
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(table, "%s\t%s\n", name, printable(value))
		}
	}
	row("Reference:", f.Reference)
	row("Source:", f.Source)
	row("Digest:", f.Digest+", of the module's bytes")
	row("Manifest:", f.ManifestDigest)
	row("Index:", f.IndexDigest)
	row("Size:", fmt.Sprintf("%d bytes", f.Size))
	row("ABI:", "proxy-wasm "+f.ABI)
	_ = table.Flush() // into memory
	return out.Bytes()
}
