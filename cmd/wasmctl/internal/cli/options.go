// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// Values of --output.
const (
	FormText = "text"
	FormWide = "wide"
	FormYAML = "yaml"
	FormJSON = "json"
)

// OutputOptions say in which form results are written.
type OutputOptions struct {
	Form    string
	allowed []string
}

// Add declares --output; the first of the forms is the default.
func (o *OutputOptions) Add(cmd *cobra.Command, allowed ...string) {
	o.allowed = allowed
	forms := strings.Join(allowed, ", ")
	cmd.Flags().StringVarP(&o.Form, "output", "o", allowed[0], "Form of the output: "+forms+".")
	// It fails only where the flag isn't there.
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(allowed, cobra.ShellCompDirectiveNoFileComp))
}

// Complete refuses a form that the command doesn't have.
func (o *OutputOptions) Complete() error {
	if !slices.Contains(o.allowed, o.Form) {
		return fmt.Errorf("--output %q is none of %s", o.Form, strings.Join(o.allowed, ", "))
	}
	return nil
}

// ForPrograms says whether the output is one for programs: JSON or YAML.
func (o *OutputOptions) ForPrograms() bool { return o.Form == FormJSON || o.Form == FormYAML }
