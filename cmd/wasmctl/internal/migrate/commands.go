// SPDX-License-Identifier: Apache-2.0

// Package migrate holds the commands import and export, to and from what others call a plugin.
package migrate

import "github.com/spf13/cobra"

// Commands are the commands of this package.
func Commands() []*cobra.Command {
	return []*cobra.Command{newImport(), newExport()}
}
