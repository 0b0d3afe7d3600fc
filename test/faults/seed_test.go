// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"os"
	"strconv"
	"time"
)

// seed is what all that is random follows from: FAULTS_SEED, or the time.
var seed = func() uint64 {
	if given, err := strconv.ParseUint(os.Getenv("FAULTS_SEED"), 10, 64); err == nil {
		return given
	}
	return uint64(time.Now().UnixNano())
}()
