// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package chain

import "errors"

func mountModuleCache(_, _ string, _ *Command) error {
	return errors.New("only Linux has mount namespaces")
}
