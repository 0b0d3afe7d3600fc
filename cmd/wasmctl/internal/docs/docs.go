// SPDX-License-Identifier: Apache-2.0

// Package docs writes the reference of wasmctl from its commands: pages in Markdown, and for man.
package docs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
)

// New makes the command. It is hidden: packagers and the repository use it.
func New() *cobra.Command {
	var output cli.OutputOptions
	cmd := &cobra.Command{
		Use:    "docs FOLDER",
		Short:  "Writes the reference of all commands into a folder",
		Hidden: true,
		Long: `docs writes a page for every command into a folder, which it makes if there is none. Pages for man carry the month of
SOURCE_DATE_EPOCH, or else of today.`,
		Example: `  wasmctl docs docs/cli
  wasmctl docs -o man bin/man`,
		RunE: func(cmd *cobra.Command, args []string) error {
			err := output.Complete()
			if len(args) != 1 {
				err = errors.New("name one folder")
			}
			if err != nil {
				return cli.Usage(cmd, err)
			}
			return run(cmd.Context(), cmd.Root(), output.Form, args[0])
		},
	}
	output.Add(cmd, formMarkdown, formMan)
	return cmd
}

const (
	formMarkdown = "markdown"
	formMan      = "man"
)

// run computes all pages first, so that a failure leaves the folder as it was.
func run(ctx context.Context, root *cobra.Command, form, folder string) error {
	root.DisableAutoGenTag = true // it would have a date
	pages := map[string][]byte{}
	if err := render(root, form, pages); err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return fmt.Errorf("make the folder: %w", err)
	}
	for name, content := range pages {
		if err := cli.Replace(ctx, filepath.Join(folder, name), content); err != nil {
			return err
		}
	}
	return nil
}

// render adds the pages of a command and of those under it.
func render(cmd *cobra.Command, form string, pages map[string][]byte) error {
	neutral(cmd)
	path := cmd.CommandPath()
	var page bytes.Buffer
	var err error
	var name string
	if form == formMan {
		name = strings.ReplaceAll(path, " ", "-") + ".1"
		err = doc.GenMan(cmd, &doc.GenManHeader{Section: "1", Source: cmd.Root().Name(), Manual: cmd.Root().Name()}, &page)
	} else {
		name = strings.ReplaceAll(path, " ", "_") + ".md"
		err = doc.GenMarkdown(cmd, &page)
	}
	if err != nil {
		return fmt.Errorf("write the page of %s: %w", path, err)
	}
	pages[name] = page.Bytes()
	for _, below := range cmd.Commands() {
		if below.IsAvailableCommand() && !below.IsAdditionalHelpTopicCommand() {
			if err := render(below, form, pages); err != nil {
				return err
			}
		}
	}
	return nil
}

// neutral takes the home of whoever writes the pages out of the defaults.
func neutral(cmd *cobra.Command) {
	home, err := os.UserHomeDir()
	if err != nil || home == "/" {
		return
	}
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		if rest, under := strings.CutPrefix(flag.DefValue, home); under {
			flag.DefValue = "$HOME" + filepath.ToSlash(rest)
		}
	})
}
