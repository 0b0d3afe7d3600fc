// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
)

var invocation = regexp.MustCompile(`(?:^|[|$] *)(?:wasmctl|kubectl wasm) ([^|#>]+)`)

// TestExamples parses every call that the help and the docs show.
func TestExamples(t *testing.T) {
	lines := map[string][]string{}
	for _, page := range append(glob(t, "../../docs/*.md"), "../../README.md") {
		lines[page] = fenced(read(t, page))
	}
	for _, cmd := range newRoot("wasmctl").Commands() {
		lines[cmd.Name()+" --help"] = strings.Split(cmd.Example, "\n")
	}
	seen := map[string]int{}
	for place, all := range lines {
		for _, line := range all {
			if found := invocation.FindStringSubmatch(strings.TrimSpace(line)); found != nil {
				seen[parse(t, place, found[1])]++
			}
		}
	}
	for _, cmd := range newRoot("wasmctl").Commands() {
		if seen[cmd.Name()] == 0 {
			t.Errorf("no example of %s", cmd.Name())
		}
	}
}

// fenced is the lines of a page's code blocks: sentences may begin with wasmctl, too.
func fenced(page string) []string {
	var lines []string
	inside := false
	for line := range strings.SplitSeq(page, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			inside = !inside
		} else if inside {
			lines = append(lines, line)
		}
	}
	return lines
}

// parse looks up the command and its flags, and returns the name of the former.
func parse(t *testing.T, place, call string) string {
	t.Helper()
	root := newRoot("wasmctl")
	root.InitDefaultCompletionCmd()
	cmd, rest, err := root.Find(strings.Fields(call))
	if err == nil && cmd.HasParent() {
		err = cmd.ParseFlags(rest)
	}
	if err != nil || !cmd.HasParent() {
		t.Errorf("%s: wasmctl %s: %v", place, call, err)
		return ""
	}
	for cmd.Parent().HasParent() {
		cmd = cmd.Parent()
	}
	return cmd.Name()
}

// TestReference keeps docs/cli in step with the commands.
func TestReference(t *testing.T) {
	folder := t.TempDir()
	if got := call(t, nil, "docs", folder); got.code != cli.ExitGood || got.out != "" {
		t.Fatal(got)
	}
	want, got := pages(t, folder, "*.md"), pages(t, "../../docs/cli", "*")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/cli isn't what the commands say (-commands +docs/cli); run: make generate\n%s", diff)
	}
	for _, cmd := range newRoot("wasmctl").Commands() {
		if _, found := want["wasmctl_"+cmd.Name()+".md"]; found == cmd.Hidden {
			t.Errorf("%s: hidden %v, page %v", cmd.Name(), cmd.Hidden, found)
		}
	}
	for name, page := range want {
		if home, err := os.UserHomeDir(); err == nil && home != "/" && strings.Contains(page, home+"/") {
			t.Errorf("%s names this machine's %s", name, home)
		}
	}
}

// TestManual: there is a page for each command, which man can read.
func TestManual(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("SOURCE_DATE_EPOCH", "1790000000")
	if got := call(t, nil, "docs", "-o", "man", folder); got.code != cli.ExitGood {
		t.Fatal(got)
	}
	all := pages(t, folder, "*.1")
	for _, cmd := range newRoot("wasmctl").Commands() {
		if page, found := all["wasmctl-"+cmd.Name()+".1"]; found == cmd.Hidden || found && !strings.Contains(page, `"Sep 2026"`) {
			t.Errorf("%s: hidden %v, page %.200s", cmd.Name(), cmd.Hidden, page)
		}
	}
}

func pages(t *testing.T, folder, pattern string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, path := range glob(t, filepath.Join(folder, pattern)) {
		found[filepath.Base(path)] = read(t, path)
	}
	return found
}

func TestDocsBadCalls(t *testing.T) {
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"name one folder":        {"docs"},
		"is none of markdown":    {"docs", "-o", "html", t.TempDir()},
		"make the folder: mkdir": {"docs", filepath.Join(blocked, "x")},
	} {
		if got := call(t, nil, args...); got.code != cli.ExitFailed || !strings.Contains(got.errOut, want) {
			t.Errorf("%v: %s", args, got)
		}
	}
}

// TestCompletion: scripts for four shells, which ask the program by either of its names.
func TestCompletion(t *testing.T) {
	for shell, want := range map[string]string{
		"bash": "__start_wasmctl", "zsh": "#compdef wasmctl", "fish": "complete -c wasmctl", "powershell": "Register-ArgumentCompleter",
	} {
		if got := call(t, nil, "completion", shell); got.code != cli.ExitGood || !strings.Contains(got.out, want) {
			t.Errorf("%s: exit %d: %.200s", shell, got.code, got.out+got.errOut)
		}
	}
	if got := call(t, nil, "__complete", "inst"); !strings.HasPrefix(got.out, "install\t") {
		t.Errorf("got %s", got)
	}
}
