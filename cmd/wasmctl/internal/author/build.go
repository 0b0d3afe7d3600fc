// SPDX-License-Identifier: Apache-2.0

package author

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/internal/module"
	"github.com/solarmesh/wasmplugin-operator/internal/proxywasm"
	"github.com/solarmesh/wasmplugin-operator/internal/runtimeconfig"
)

const (
	// moduleName is that of the module in a plugin's folder.
	moduleName = "filter.wasm"
)

type buildOptions struct {
	cli.OutputOptions

	file string
}

// built is what a build has made.
type built struct {
	File   string `json:"file"`
	Size   int    `json:"size"`
	ABI    string `json:"abi"`
	Digest string `json:"digest"`
}

func newBuild() *cobra.Command {
	var options buildOptions
	cmd := &cobra.Command{
		Use:   "build [DIR]",
		Short: "Builds the plugin of a folder",
		Long: `build makes the module of a plugin's folder (the current one by default) with the toolchain of the language that
runtime-config.json names, checks that proxies can load it, and puts runtime-config.json into it. Where that fails, the
module of an earlier build stays as it is.

It ends with 0 when the module is made, 1 when the compiler or a proxy would refuse it, and 2 when it was called the wrong
way, or a toolchain is missing.`,
		Example: `  wasmctl build
  wasmctl build demo --file demo.wasm
  wasmctl build -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return cli.Usage(cmd, errors.New("give one folder at most"))
			}
			if err := options.Complete(); err != nil {
				return cli.Usage(cmd, err)
			}
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			return options.run(cmd.Context(), dir, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&options.file, "file", "", "The file to write (default: filter.wasm in the plugin's folder).")
	options.Add(cmd, cli.FormText, cli.FormJSON, cli.FormYAML)
	return cmd
}

func (o *buildOptions) run(ctx context.Context, dir string, out, errOut io.Writer) error {
	config, raw, err := load(dir)
	if err != nil {
		return err
	}
	if err := checkConfig(ctx, config); err != nil {
		return err
	}
	target := o.file
	if target == "" {
		target = filepath.Join(dir, moduleName)
	}
	if err := checkTarget(target); err != nil {
		return err
	}
	content, err := compile(ctx, config.Language, dir, errOut)
	if err != nil {
		return err
	}
	content, abi, err := finish(content, config, raw)
	if err != nil {
		return err
	}
	if err := cli.Replace(ctx, target, content); err != nil {
		return err
	}
	result := &built{File: target, Size: len(content), ABI: abi, Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(content))}
	text := result.text()
	if o.ForPrograms() {
		if text, err = cli.Encode(result, o.Form); err != nil {
			return err
		}
	}
	return cli.Write(out, text)
}

// checkTarget refuses early what couldn't be written after minutes of compiling.
func checkTarget(target string) error {
	if info, err := os.Stat(target); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is there and is no file that can be replaced; give another one with --file", target)
	}
	if info, err := os.Stat(filepath.Dir(target)); err != nil || !info.IsDir() {
		return fmt.Errorf("the folder %s isn't there; make it, or give another file with --file", filepath.Dir(target))
	}
	return nil
}

// finish judges a module as the operator would, and puts its description into it.
func finish(content []byte, config *runtimeconfig.Config, raw []byte) ([]byte, string, error) {
	// Before Inspect, whose words for this are about servers.
	if err := proxywasm.CheckHeader(content); err != nil {
		return nil, "", cli.Refused("what was built %v", err)
	}
	abi, err := module.Inspect(content)
	if err != nil {
		return nil, "", cli.Refused("what was built can't run in a proxy: %v", err)
	}
	if config.ABI != "" && config.ABI != abi {
		return nil, "", cli.Refused("%s says abi %q, but the module that was built is for proxy-wasm %s; correct the field abi",
			runtimeconfig.FileName, config.ABI, abi)
	}
	content, err = runtimeconfig.Embed(content, raw)
	if err != nil {
		return nil, "", fmt.Errorf("put %s into the module: %w", runtimeconfig.FileName, err)
	}
	return content, abi, nil
}

func (b *built) text() []byte {
	var out bytes.Buffer
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "File:\t%s\n", cli.Printable(b.File))
	fmt.Fprintf(table, "Size:\t%d bytes\n", b.Size)
	fmt.Fprintf(table, "ABI:\tproxy-wasm %s\n", b.ABI)
	fmt.Fprintf(table, "Digest:\t%s, of the module's bytes\n", b.Digest)
	_ = table.Flush() // into memory
	return out.Bytes()
}
