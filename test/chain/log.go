// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// shownLines is how much of a log an error shows.
const shownLines = 20

func openLog(path string) (out *os.File, size int64, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, 0, err
	}
	out, err = os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, 0, err
	}
	size, err = out.Seek(0, io.SeekEnd)
	return out, size, err
}

// LogFile is the path of the log, which holds the output of every run of this process.
func (p *Process) LogFile() string { return p.command.LogFile }

// Log is the output since the last start.
func (p *Process) Log() string {
	if r := p.current(); r != nil {
		return p.output(r)
	}
	return ""
}

func (p *Process) output(r *run) string {
	content, err := os.ReadFile(p.command.LogFile)
	if err != nil {
		return err.Error()
	}
	return string(content[min(r.log, int64(len(content))):])
}

func (p *Process) tail(r *run) string {
	lines := collapse(strings.Split(strings.TrimRight(p.output(r), "\n"), "\n"))
	lines = lines[max(0, len(lines)-shownLines):]
	return fmt.Sprintf("last lines of %s:\n  %s", p.command.LogFile, strings.Join(lines, "\n  "))
}

// collapse keeps the last one of consecutive lines that differ in their first word (the time) only: a program that
// says again and again that it is not ready would hide the reason.
func collapse(lines []string) []string {
	var kept []string
	previous := ""
	for _, line := range lines {
		_, text, _ := strings.Cut(strings.ReplaceAll(line, "\t", " "), " ")
		if text != "" && text == previous {
			kept[len(kept)-1] = line
			continue
		}
		kept = append(kept, line)
		previous = text
	}
	return kept
}
