// SPDX-License-Identifier: Apache-2.0

package plugintest

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
)

const (
	// logFormat is level, logger and text of a line.
	logFormat = "[%l][%n] %v"
	// mostLog bounds what is kept of what Envoy says.
	mostLog = 4 << 20
)

var (
	lineStart = regexp.MustCompile(`(?m)^\[(\w+)\]\[(\w+)\] `)
	pluginLog = regexp.MustCompile(`^wasm log[^:]*: ?`)
	trap      = regexp.MustCompile(`Function: (\S+) failed: (.*)`)
	refusal   = regexp.MustCompile(`(?i)wasm.*(fail|missing|unable|corrupt)|Failed to .*[Ww]asm|Bad function signature|Unable to create Wasm`)
)

// transcript keeps what Envoy says.
type transcript struct {
	mutex sync.Mutex
	said  bytes.Buffer
}

var _ io.Writer = (*transcript)(nil)

// Write implements io.Writer.
func (t *transcript) Write(data []byte) (int, error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if room := mostLog - t.said.Len(); room > 0 {
		t.said.Write(data[:min(room, len(data))])
	}
	return len(data), nil
}

func (t *transcript) from(offset int) string {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return string(t.said.Bytes()[min(offset, t.said.Len()):])
}

func (t *transcript) len() int {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.said.Len()
}

// pluginLines are what the plugin itself said, each with its level.
func pluginLines(log string) []string {
	var lines []string
	eachMessage(log, func(level, message string) {
		if head := pluginLog.FindString(message); head != "" {
			lines = append(lines, level+": "+strings.TrimSpace(message[len(head):]))
		}
	})
	return bounded(lines)
}

// bounded leaves lines out from the middle: Go's runtime writes word by word, and Envoy makes a line of each.
func bounded(lines []string) []string {
	const most = 60
	if len(lines) <= most {
		return lines
	}
	left := fmt.Sprintf("(%d lines left out)", len(lines)-most)
	return slices.Concat(lines[:most/2], []string{left}, lines[len(lines)-most/2:])
}

// refusalOf is what Envoy says of a plugin that it does not run, "" if it says nothing of the plugin.
func refusalOf(log string) string {
	var reasons []string
	eachMessage(log, func(level, message string) {
		if (level == "error" || level == "critical") && !pluginLog.MatchString(message) && refusal.MatchString(message) {
			reasons = append(reasons, firstLine(message))
		}
	})
	if len(reasons) == 0 {
		return ""
	}
	return strings.Join(append(reasons, pluginLines(log)...), " | ")
}

// trapOf is what Envoy says of a function that did not return, "" for none.
func trapOf(log string) string {
	if match := trap.FindStringSubmatch(log); match != nil {
		return match[1] + " fails: " + match[2]
	}
	return ""
}

// eachMessage visits the messages of a log; one may have several lines.
func eachMessage(log string, visit func(level, message string)) {
	starts := lineStart.FindAllStringSubmatchIndex(log, -1)
	for i, start := range starts {
		end := len(log)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		visit(strings.Replace(log[start[2]:start[3]], "warning", "warn", 1), strings.TrimSpace(log[start[1]:end]))
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
