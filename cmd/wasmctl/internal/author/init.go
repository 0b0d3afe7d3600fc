// SPDX-License-Identifier: Apache-2.0

package author

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/internal/scaffold"
)

type initOptions struct {
	language string
}

func newInit() *cobra.Command {
	var options initOptions
	cmd := &cobra.Command{
		Use:   "init NAME",
		Short: "Makes a folder with a new plugin",
		Long: fmt.Sprintf(`init makes a folder NAME with a plugin that builds, tests and runs as it is: it sets the header "hello: world" on every
response, as its rules say. The name is the plugin's, too.

The languages are %s. Without --language, a menu asks for one.
%s`, strings.Join(scaffold.LanguageNames(), ", "), untestedNote()),
		Example: `  wasmctl init demo
  wasmctl init demo --language rust`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return cli.Usage(cmd, errors.New("give the new plugin one name, such as demo"))
			}
			if err := options.complete(args[0]); err != nil {
				return cli.Usage(cmd, err)
			}
			return options.run(cmd.Context(), args[0], cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	options.add(cmd)
	return cmd
}

func (o *initOptions) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.language, "language", "l", "", "The language: "+strings.Join(scaffold.LanguageNames(), ", ")+".")
	// It fails only where the flag isn't there.
	_ = cmd.RegisterFlagCompletionFunc("language", cobra.FixedCompletions(scaffold.LanguageNames(), cobra.ShellCompDirectiveNoFileComp))
}

// complete refuses before anything is asked.
func (o *initOptions) complete(name string) error {
	if err := scaffold.CheckName(name); err != nil {
		return err
	}
	if o.language == "" {
		return nil
	}
	if _, err := scaffold.Find(o.language); err != nil {
		return fmt.Errorf("--language: %w", err)
	}
	return nil
}

func (o *initOptions) run(ctx context.Context, name string, in io.Reader, out, errOut io.Writer) error {
	if err := checkFree(name); err != nil {
		return err
	}
	if o.language == "" {
		chosen, err := chooseLanguage(ctx, in, errOut)
		if err != nil {
			return err
		}
		o.language = chosen
	}
	language, err := scaffold.Find(o.language)
	if err != nil {
		return err
	}
	files, err := scaffold.Files(language, name)
	if err != nil {
		return err
	}
	if err := makeFolder(ctx, name, files); err != nil {
		return err
	}
	return cli.Write(out, made(name, language, files))
}

// made says what there is, and what comes next.
func made(name string, language scaffold.Language, files []scaffold.File) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "Made %s, a plugin in %s:\n", name, language.Title)
	for _, file := range files {
		fmt.Fprintf(&out, "  %s/%s\n", name, file.Path)
	}
	fmt.Fprintf(&out, "Next: cd %s && wasmctl build && wasmctl test\n", name)
	return out.Bytes()
}

// untestedNote names the languages whose template nobody has compiled.
func untestedNote() string {
	var names []string
	for _, language := range scaffold.Languages() {
		if language.Untested {
			names = append(names, language.Name+" (untested)")
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "Tests of ours compile and run what it makes, but for " + strings.Join(names, ", ") + "."
}
