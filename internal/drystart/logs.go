// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/solarmesh/wasmplugin-operator/internal/mask"
)

const (
	// keptLines are kept from the beginning of what a plugin says and as many from its end.
	keptLines    = 16
	maxLineBytes = 512
	// maxMessageBytes is read of one message; more than that of it can't be kept.
	maxMessageBytes = 64 << 10

	// shortestPart is the shortest line of a secret that is masked alone: a lone brace is in every text.
	shortestPart = 4
)

var levels = []string{"trace", "debug", "info", "warn", "error", "critical"}

const (
	levelInfo  = 2
	levelError = 4
	maxLevel   = 5
)

// logs keeps a bounded part of what a plugin says, without its secrets.
type logs struct {
	secrets []string
	longest int

	first, last []string
	lost        int
	// partial are the unfinished lines of standard output and standard error: some runtimes write word by word. The rest
	// of a line that became too long is skipped, since it may begin with half a secret.
	partial map[int]string
	skip    map[int]bool
}

func newLogs(secrets []string) *logs {
	l := &logs{partial: map[int]string{}, skip: map[int]bool{}}
	for _, secret := range secrets {
		l.secrets = append(l.secrets, parts(secret)...)
	}
	for _, secret := range l.secrets {
		l.longest = max(l.longest, len(secret))
	}
	return l
}

// parts are the forms in which a secret may be said: whole, in a JSON string, and line by line.
func parts(secret string) []string {
	if secret == "" {
		return nil
	}
	list := []string{secret}
	var quoted bytes.Buffer
	encoder := json.NewEncoder(&quoted)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(secret); err == nil {
		list = append(list, strings.Trim(strings.TrimSpace(quoted.String()), `"`))
	}
	for line := range strings.Lines(secret) {
		if line = strings.TrimSpace(line); len(line) >= shortestPart {
			list = append(list, line)
		}
	}
	return list
}

// message takes a whole message of a plugin.
func (l *logs) message(level int, text string) {
	for line := range strings.Lines(l.clean(text)) {
		if line = strings.TrimSpace(line); line != "" {
			l.add(levels[level] + ": " + cut(line))
		}
	}
}

// write takes a piece of an output. A piece is not whole where its end had to be left out.
func (l *logs) write(level int, piece string, whole bool) {
	text := l.partial[level] + piece
	if l.skip[level] {
		_, text, _ = strings.Cut(text, "\n")
		l.skip[level] = !strings.Contains(piece, "\n")
	}
	if end := strings.LastIndexByte(text, '\n'); end >= 0 {
		l.message(level, text[:end])
		text = text[end+1:]
	}
	if len(text) > maxMessageBytes {
		l.message(level, text)
		whole = false
	}
	if !whole {
		text, l.skip[level] = "", true
	}
	l.partial[level] = text
}

// flush ends the unfinished lines.
func (l *logs) flush() {
	for _, level := range []int{levelInfo, levelError} {
		l.message(level, l.partial[level])
		delete(l.partial, level)
	}
}

// clean masks the secrets in a text. A text that is too long loses its end, and with it what may be half a secret.
func (l *logs) clean(text string) string {
	if len(text) > maxMessageBytes {
		text = mask.HideFirst(text[:maxMessageBytes], maxMessageBytes-l.longest, slices.Values(l.secrets)) + "…"
	} else {
		text = l.mask(text)
	}
	return strings.ToValidUTF8(text, "?")
}

func (l *logs) mask(text string) string {
	return mask.Hide(text, slices.Values(l.secrets))
}

func (l *logs) add(line string) {
	if len(l.first) < keptLines {
		l.first = append(l.first, line)
		return
	}
	l.last = append(l.last, line)
	if len(l.last) > keptLines {
		l.last = l.last[1:]
		l.lost++
	}
}

func (l *logs) lines() []string {
	l.flush()
	lines := slices.Clone(l.first)
	if l.lost > 0 {
		lines = append(lines, fmt.Sprintf("(%d lines left out)", l.lost))
	}
	return append(lines, l.last...)
}

func cut(line string) string {
	if len(line) <= maxLineBytes {
		return line
	}
	return strings.ToValidUTF8(line[:maxLineBytes], "") + "…"
}
