// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// machine is where and when something was measured.
type machine struct {
	Date      string `json:"date"`
	Processor string `json:"processor"`
	Cores     int    `json:"cores"`
	Go        string `json:"go"`
	// Busy is how many processes wanted to run when the run began, those of others.
	Busy string `json:"loadBefore"`
}

func thisMachine() machine {
	m := machine{Date: time.Now().UTC().Format(time.DateOnly), Cores: runtime.NumCPU(), Go: runtime.Version(), Processor: runtime.GOARCH}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range bytes.Lines(text) {
			if key, value, _ := strings.Cut(string(line), ":"); strings.TrimSpace(key) == "model name" {
				m.Processor = strings.TrimSpace(value)
				break
			}
		}
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Busy, _, _ = strings.Cut(string(text), " ")
	}
	return m
}

// String is a sentence.
func (m machine) String() string {
	return fmt.Sprintf("%s, on %d cores (%s) that were shared with other work (load %s before the start).", m.Date, m.Cores, m.Processor, m.Busy)
}
