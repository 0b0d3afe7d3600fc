// SPDX-License-Identifier: Apache-2.0

package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

var invocation = regexp.MustCompile(`(?:^|[|$] *)(?:wasmctl|kubectl wasm) ([^|#>]+)`)

// TestExamples parses every call that the help and the docs show.
func TestExamples(t *testing.T) {
	lines := strings.Split(read(t, "../../docs/wasmctl.md"), "\n")
	for _, cmd := range newRoot("wasmctl").Commands() {
		lines = append(lines, strings.Split(cmd.Example, "\n")...)
	}
	seen := map[string]int{}
	for _, line := range lines {
		found := invocation.FindStringSubmatch(strings.TrimSpace(line))
		if found == nil {
			continue
		}
		cmd, rest, err := newRoot("wasmctl").Find(strings.Fields(found[1]))
		if err == nil && cmd.HasParent() {
			err = cmd.ParseFlags(rest)
		}
		if err != nil || !cmd.HasParent() {
			t.Errorf("%s: %v", line, err)
		}
		seen[cmd.Name()]++
	}
	for _, cmd := range newRoot("wasmctl").Commands() {
		if seen[cmd.Name()] == 0 {
			t.Errorf("no example of %s", cmd.Name())
		}
	}
}

// TestDocsNameEveryFlag keeps the page in step with the commands.
func TestDocsNameEveryFlag(t *testing.T) {
	page := read(t, "../../docs/wasmctl.md")
	for _, cmd := range newRoot("wasmctl").Commands() {
		flagsOf(cmd, func(name string) {
			if !strings.Contains(page, "`--"+name+"`") {
				t.Errorf("docs/wasmctl.md says nothing of --%s of %s", name, cmd.Name())
			}
		})
	}
}

func flagsOf(cmd *cobra.Command, visit func(name string)) {
	for line := range strings.Lines(cmd.NonInheritedFlags().FlagUsages()) {
		if _, name, found := strings.Cut(line, "--"); found {
			visit(strings.FieldsFunc(name, func(r rune) bool { return r == ' ' || r == '\n' })[0])
		}
	}
}
