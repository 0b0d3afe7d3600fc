// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// groupRuns tells whether a process of the group is left that is not a zombie. In a container whose first process does
// not reap, what lost its parent stays as a zombie for ever; it holds neither ports nor files.
func groupRuns(group int) bool {
	if !groupExists(group) {
		return false
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		return true
	}
	for _, path := range stats {
		content, err := os.ReadFile(path)
		if err != nil {
			continue // It ended meanwhile.
		}
		// "PID (COMMAND) STATE PARENT GROUP …", and a command may hold spaces and brackets.
		fields := strings.Fields(string(content[strings.LastIndexByte(string(content), ')')+1:]))
		if len(fields) > 2 && fields[2] == strconv.Itoa(group) && fields[0] != "Z" && fields[0] != "X" {
			return true
		}
	}
	return false
}
