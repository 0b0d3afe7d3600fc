// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Memory is what the kernel says of the process's memory, in bytes: a field of /proc/PID/status, such as VmRSS or VmHWM.
func (p *Process) Memory(field string) (int64, error) {
	file := fmt.Sprintf("/proc/%d/status", p.PID())
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if key, value, _ := strings.Cut(line, ":"); key == field {
			kibibytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kibibytes << 10, err
		}
	}
	return 0, fmt.Errorf("%s has no %s", file, field)
}
