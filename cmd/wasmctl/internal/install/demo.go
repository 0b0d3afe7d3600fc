// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
)

const (
	module    = "github.com/solarmesh/wasmplugin-operator"
	sourceURL = "https://" + module
)

type demoOptions struct {
	source string
	keep   bool
}

func newDemo() *cobra.Command {
	var options demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Shows the operator on a real control plane of this machine, from a clone of the repository",
		Long: `demo runs what make demo runs in a clone of the repository: a real Kubernetes API, istiod and Envoy as processes of this
machine, the operator, two plugins and real requests. It needs Linux, Go, Python 3 with pip, git and make. At first it builds
the control plane from source, which takes many minutes; later it takes about one. No cluster is touched.

The binary alone can't do it: what the demo runs is built from the sources.`,
		Example: `  wasmctl demo
  wasmctl demo --source ~/src/wasmplugin-operator --keep`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return cli.Usage(cmd, fmt.Errorf("it takes no argument such as %q", args[0]))
			}
			return options.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&options.source, "source", "", "The clone. Default: the one that the working directory is in.")
	cmd.Flags().BoolVar(&options.keep, "keep", false, "Leave everything running until Ctrl-C, with commands to try.")
	return cmd
}

func (o *demoOptions) run(ctx context.Context, out, errOut io.Writer) error {
	if runtime.GOOS != "linux" {
		return errors.New("the demo runs on Linux only, since Envoy and istiod's agent are built for it")
	}
	clone, err := o.clone()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "make", "demo")
	if o.keep {
		cmd.Args = append(cmd.Args, "KEEP=1")
	}
	cmd.Dir, cmd.Stdout, cmd.Stderr = clone, out, errOut
	asGroup(cmd)
	err = cmd.Run()
	if errors.Is(err, exec.ErrNotFound) {
		return errors.New("the demo needs make, and there is none in the PATH; install it")
	}
	if err != nil {
		return fmt.Errorf("make demo in %s: %w", clone, err)
	}
	return nil
}

// clone is the folder that was named, or the one that the working directory is in.
func (o *demoOptions) clone() (string, error) {
	if o.source != "" {
		if !isClone(o.source) {
			return "", fmt.Errorf("--source: %s is no clone of %s", o.source, sourceURL)
		}
		return o.source, nil
	}
	folder, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the working directory: %w", err)
	}
	for {
		if isClone(folder) {
			return folder, nil
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return "", fmt.Errorf("the demo is built from the sources, and this is no clone of them; git clone %s, then wasmctl demo in it, or name a clone with --source", sourceURL)
		}
		folder = parent
	}
}

// isClone looks for the module and for its demo: a program that uses the module is no clone.
func isClone(folder string) bool {
	files := os.DirFS(folder)
	content, err := fs.ReadFile(files, "go.mod")
	if err != nil {
		return false
	}
	_, err = fs.Stat(files, "test/demo/main.go")
	first, _, _ := strings.Cut(string(content), "\n")
	return err == nil && strings.TrimSpace(first) == "module "+module
}
