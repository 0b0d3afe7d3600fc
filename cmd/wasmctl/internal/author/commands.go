// SPDX-License-Identifier: Apache-2.0

// Package author holds the commands for who writes a plugin: init and build.
package author

import "github.com/spf13/cobra"

// Commands are the commands of this package.
func Commands() []*cobra.Command {
	return []*cobra.Command{newInit(), newBuild()}
}
