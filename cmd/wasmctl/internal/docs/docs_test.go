// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestPages(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	root := &cobra.Command{Use: "tool", Short: "Does things"}
	run := func(*cobra.Command, []string) {}
	visible := &cobra.Command{Use: "visible", Short: "Is seen", Run: run}
	visible.Flags().String("cache", filepath.Join(home, "cache"), "A folder")
	root.AddCommand(visible, &cobra.Command{Use: "secret", Hidden: true, Run: run}, New())

	folder := filepath.Join(t.TempDir(), "new", "folder")
	root.SetArgs([]string{"docs", folder})
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(folder, "tool_visible.md"))
	if err != nil {
		t.Fatal(err)
	}
	if text := string(page); !strings.Contains(text, `(default "$HOME/cache")`) || strings.Contains(text, "Auto generated") {
		t.Errorf("a home or a date is in the page:\n%s", text)
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if name := entry.Name(); strings.Contains(name, "secret") || strings.Contains(name, "docs") || strings.HasPrefix(name, ".") {
			t.Errorf("there is %s", name)
		}
		if info, err := entry.Info(); err != nil || info.Mode().Perm()&0o444 != 0o444 {
			t.Errorf("%s can't be read by all: %v", entry.Name(), err)
		}
	}
}
