// SPDX-License-Identifier: Apache-2.0

package offline

import "github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"

// document is one object of the input, as cli.Document.
type document struct {
	place string
	json  []byte
	head
	unreadable string
}

type head = cli.Head

func parse(source cli.Text, namespace string) []document {
	var found []document
	for _, d := range cli.Parse(source, namespace) {
		found = append(found, document{d.Place, d.JSON, d.Head, d.Unreadable})
	}
	return found
}
