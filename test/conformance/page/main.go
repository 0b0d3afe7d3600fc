// SPDX-License-Identifier: Apache-2.0

// The generator of docs/conformance.md: it prints the page that test/conformance/testdata makes.
package main

import (
	"fmt"
	"os"

	"github.com/solarmesh/wasmplugin-operator/test/conformance/table"
)

func main() {
	cases, err := table.Load("test/conformance/testdata")
	if err == nil {
		err = table.WritePage(os.Stdout, cases)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "make the conformance page, from the top of the repository:", err)
		os.Exit(1)
	}
}
