// SPDX-License-Identifier: Apache-2.0

//go:build unix

package install

import (
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
)

func TestClone(t *testing.T) {
	root, err := filepath.Abs("../../../..")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(".") // this package's folder is in the repository
	if got, err := (&demoOptions{}).clone(); err != nil || got != root {
		t.Errorf("got %q, %v, want %s", got, err, root)
	}
	if got, err := (&demoOptions{source: root}).clone(); err != nil || got != root {
		t.Errorf("got %q, %v, want %s", got, err, root)
	}
	t.Chdir(t.TempDir())
	if _, err := (&demoOptions{}).clone(); err == nil || !strings.Contains(err.Error(), "git clone https://github.com/solarmesh/wasmplugin-operator") {
		t.Errorf("got %v", err)
	}
}

// clone makes a folder that passes for one, with a Makefile.
func clone(t *testing.T, makefile string) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.MkdirAll(filepath.Join(folder, "test", "demo"), 0o750); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"go.mod": "module " + module + "\n", "test/demo/main.go": "package main\n", "Makefile": makefile} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func TestDemoRunsMake(t *testing.T) {
	folder := clone(t, "demo:\n\t@echo keep=$(KEEP) in $$(pwd)\n\t@test -n '$(KEEP)'\n")
	code, out, errOut := call(t, newDemo(), "--source", folder, "--keep")
	if code != cli.ExitGood || out != "keep=1 in "+folder+"\n" {
		t.Errorf("exit %d: %s%s", code, out, errOut)
	}
	if code, _, errOut := call(t, newDemo(), "--source", folder); code != cli.ExitFailed || !strings.Contains(errOut, "make demo in "+folder) {
		t.Errorf("exit %d: %s", code, errOut)
	}
}

// TestDemoIsInterrupted: the end of the context reaches what make started, which then cleans up.
func TestDemoIsInterrupted(t *testing.T) {
	folder := clone(t, "demo:\n\t@bash -c 'trap \"echo cleaned >cleaned; exit 1\" INT; touch started; while :; do sleep 0.1; done'\n")
	// As in main: who started this may have had it ignore interrupts (a job of a script in the background), and make with it.
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt)
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(filepath.Join(folder, "started")); err == nil {
				stop()
			}
			<-time.After(10 * time.Millisecond)
		}
	}()
	var out, errOut strings.Builder
	if err := (&demoOptions{source: folder}).run(ctx, &out, &errOut); err == nil {
		t.Error("no error")
	}
	if _, err := os.Stat(filepath.Join(folder, "cleaned")); err != nil {
		t.Errorf("%v\n%s%s", err, &out, &errOut)
	}
}
