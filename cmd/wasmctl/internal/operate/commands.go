// SPDX-License-Identifier: Apache-2.0

// Package operate holds the commands for who is paged: status, diff, and those that change what runs.
package operate

import "github.com/spf13/cobra"

// Commands are the commands of this package.
func Commands() []*cobra.Command {
	return []*cobra.Command{newStatus(), newDiff(), newPromote(), newAbort(), newRollback(), newOff(), newOn()}
}
