// SPDX-License-Identifier: Apache-2.0

// Package publish holds the commands that bring a module to a registry or the store, and back: push and pull.
package publish

import "github.com/spf13/cobra"

// Commands are the commands of this package.
func Commands() []*cobra.Command {
	return []*cobra.Command{newPush(), newPull()}
}
