// SPDX-License-Identifier: Apache-2.0

// Package version says which build this is.
package version

import (
	"fmt"
	"runtime"
)

// Version is the release, or what `git describe` says, set at link time.
var Version = "dev"

// String is the operator's line for people.
func String() string { return Of("wasmplugin-operator") }

// Of is one line for people about a program of this build.
func Of(program string) string {
	return fmt.Sprintf("%s %s (%s, %s/%s)", program, Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
