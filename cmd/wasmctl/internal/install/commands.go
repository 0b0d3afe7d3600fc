// SPDX-License-Identifier: Apache-2.0

// Package install holds the commands that bring the operator into a cluster and out of it, with the chart that is built in
// and Helm's own library: a release of wasmctl and one of helm are the same.
package install

import (
	"github.com/spf13/cobra"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/docs"
)

// Commands are the commands of this package.
func Commands() []*cobra.Command {
	return []*cobra.Command{newInstall(), newUninstall(), newDemo(), docs.New()}
}
