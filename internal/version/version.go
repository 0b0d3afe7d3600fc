// SPDX-License-Identifier: Apache-2.0

// Package version says which build this is.
package version

import (
	"fmt"
	"runtime"
)

// Version is the release, or what `git describe` says, set at link time.
var Version = "dev"

// String is one line for people.
func String() string {
	return fmt.Sprintf("wasmplugin-operator %s (%s, %s/%s)", Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
