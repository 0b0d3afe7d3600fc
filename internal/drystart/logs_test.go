// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestLogs(t *testing.T) {
	for _, row := range []struct {
		name string
		say  func(l *logs)
		want []string
	}{
		{"lines of a message", func(l *logs) { l.message(levelInfo, " one\n\n two\r\n") }, []string{"info: one", "info: two"}},
		{
			"words of an output", func(l *logs) {
				for _, piece := range []string{"pan", "ic: ", "lost", "\n", "\n", "goro", "utine\nand"} {
					l.write(levelError, piece, true)
				}
				l.write(levelInfo, "out", true)
			}, []string{"error: panic: lost", "error: goroutine", "info: out", "error: and"},
		},
		{"what is no text", func(l *logs) { l.message(levelInfo, "a\xff\xfeb") }, []string{"info: a?b"}},
		{
			"a long line", func(l *logs) { l.message(levelInfo, strings.Repeat("ä", maxLineBytes)) },
			[]string{"info: " + strings.Repeat("ä", maxLineBytes/2) + "…"},
		},
		{
			"an endless line", func(l *logs) {
				for range 3 {
					l.write(levelInfo, strings.Repeat("a", maxMessageBytes), true)
				}
				l.write(levelInfo, "rest\nnext\n", true)
			}, []string{"info: " + strings.Repeat("a", maxLineBytes) + "…", "info: next"},
		},
		{
			"a piece without its end", func(l *logs) {
				l.write(levelInfo, "whole\nhalf a sec", false)
				l.write(levelInfo, "ret\nnext\n", true)
			}, []string{"info: whole", "info: next"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLogs(nil)
			row.say(l)
			if got := l.lines(); !slices.Equal(got, row.want) {
				t.Errorf("got %.300q\nwant %.300q", got, row.want)
			}
		})
	}
}

// TestLogsMask: nothing is left of a secret that another one overlaps, begins or holds.
func TestLogsMask(t *testing.T) {
	for _, secrets := range [][]string{{"hunter2-and", "2-and-more", "unter"}, {"unter", "2-and-more", "hunter2-and"}} {
		l := newLogs(secrets)
		l.message(levelInfo, "a hunter2-and-more b")
		if got := l.lines(); !slices.Equal(got, []string{"info: a *** b"}) {
			t.Errorf("got %q", got)
		}
	}
}

// A text grows where short secrets are masked: what may be half of a long one is cut off by where it stood.
func TestLogsCut(t *testing.T) {
	long := strings.Repeat("-QRST", 100)
	l := newLogs([]string{"-", long})
	l.message(levelInfo, strings.Repeat("x\n", (maxMessageBytes-len(long))/2+1)+long)
	if got := strings.Join(l.lines(), "\n"); strings.Contains(got, "QRST") || !strings.HasSuffix(got, "…") {
		t.Errorf("got %.2000q", got)
	}
}

func TestLogsAreBounded(t *testing.T) {
	l := newLogs(nil)
	for i := range 1000 {
		l.message(levelInfo, fmt.Sprint("line ", i))
	}
	got := l.lines()
	if len(got) != 2*keptLines+1 || got[0] != "info: line 0" || got[keptLines] != "(968 lines left out)" || got[len(got)-1] != "info: line 999" {
		t.Errorf("%d lines: %q", len(got), got)
	}
}
