// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// containerLimits are where a container finds the limit on its memory, with version 2 and version 1 of cgroups.
var containerLimits = []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}

// containerLimit is how many bytes this container may have, 0 where there is no limit.
func containerLimit() int64 {
	// Version 1 writes "no limit" as a number near the largest there is.
	const none = math.MaxInt64 / 2
	for _, path := range containerLimits {
		content, err := os.ReadFile(path) //nolint:gosec // One of the above.
		if err != nil {
			continue
		}
		if limit, err := strconv.ParseInt(strings.TrimSpace(string(content)), 10, 64); err == nil && limit < none {
			return limit
		}
	}
	return 0
}

// linearMemory is what a module may have for itself. Two instances of it stand at a time, beside its code.
func linearMemory(limit int64) uint64 {
	const most, least = 512 << 20, 16 << 20
	if limit <= 0 {
		return most
	}
	return uint64(min(max(limit/4, least), most))
}

// collectEarlier makes the garbage collector work harder before the process reaches its limit. Code that was compiled for
// this machine is not the collector's, so there has to be room for it.
func collectEarlier(limit int64) {
	const ask = -1
	if limit > 0 {
		debug.SetMemoryLimit(min(limit/4*3, debug.SetMemoryLimit(ask)))
	}
}

// resident is how many bytes of memory this process takes up, 0 where the system doesn't tell.
func resident() int64 {
	content, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(content))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
