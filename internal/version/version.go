// SPDX-License-Identifier: Apache-2.0

// Package version says which build this is.
package version

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Version is the release, set at link time.
var Version = "dev"

// Commit returns the short hash of the commit that the binary was built from, or "unknown".
func Commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" && len(setting.Value) >= 12 {
			return setting.Value[:12]
		}
	}
	return "unknown"
}

// String is one line for people.
func String() string {
	return fmt.Sprintf("wasmplugin-operator %s (commit %s, %s, %s/%s)",
		Version, Commit(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
