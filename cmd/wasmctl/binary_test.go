// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
)

// TestBinary runs what users run: the program that hack/build.sh makes.
func TestBinary(t *testing.T) {
	program := filepath.Join(t.TempDir(), "wasmctl")
	build := exec.Command("../../hack/build.sh", program, "./cmd/wasmctl")
	build.Env = append(os.Environ(), "VERSION=v1.2.3-test")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	asPlugin := filepath.Join(t.TempDir(), "kubectl-wasm")
	if err := os.Symlink(program, asPlugin); err != nil {
		t.Fatal(err)
	}
	good := strings.Replace(goodPlugin, "NAME", "auth", 1)
	bad := strings.Replace(good, "oci://", "ftp://", 1)
	tests := map[string]struct {
		program, input string
		args           []string
		code           int
		out, errOut    string
	}{
		"version":             {program, "", []string{"version"}, cli.ExitGood, "wasmctl v1.2.3-test (go", ""},
		"help":                {program, "", nil, cli.ExitGood, "Usage:\n  wasmctl", ""},
		"help of a plugin":    {asPlugin, "", []string{"validate", "--help"}, cli.ExitGood, "kubectl wasm validate", ""},
		"good":                {program, good, []string{"validate", "-f", "-"}, cli.ExitGood, "shop/auth: ok", ""},
		"refused":             {program, good + bad, []string{"validate", "-f", "-"}, cli.ExitRefused, "unknown scheme", "wasmctl: 1 of 2 refused"},
		"rendered":            {program, good, []string{"render", "-f", "-"}, cli.ExitGood, "name: auth-filter", "ownerReferences"},
		"not rendered":        {program, bad, []string{"render", "-f", "-"}, cli.ExitRefused, "", "wasmctl: 1 of 1 refused"},
		"unknown command":     {program, "", []string{"destroy"}, cli.ExitFailed, "", "there is no command"},
		"unknown flag":        {asPlugin, "", []string{"validate", "--x"}, cli.ExitFailed, "", "see kubectl wasm validate --help"},
		"absent file":         {program, "", []string{"validate", "-f", "absent.yaml"}, cli.ExitFailed, "", "there is no file absent.yaml"},
		"module of loopback":  {program, "", []string{"inspect", "https://127.0.0.1:1/a"}, cli.ExitRefused, "", "loopback"},
		"module of nobody":    {program, "", []string{"inspect", "https://127.0.0.1:1/a", "--allow-loopback"}, cli.ExitFailed, "", "refuses connections"},
		"completion of flags": {program, "", []string{"__complete", "render", "-o", ""}, cli.ExitGood, "json", ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(tc.program, tc.args...)
			var out, errOut bytes.Buffer
			cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(tc.input), &out, &errOut
			code := exitCode(t, cmd.Run())
			if code != tc.code || !strings.Contains(out.String(), tc.out) || !strings.Contains(errOut.String(), tc.errOut) {
				t.Errorf("exit %d, want %d\nstdout (want %q): %s\nstderr (want %q): %s", code, tc.code, tc.out, &out, tc.errOut, &errOut)
			}
			if strings.Contains(errOut.String(), "Usage:") || strings.Contains(errOut.String(), "goroutine") {
				t.Errorf("more than sentences: %s", &errOut)
			}
		})
	}
	t.Run("interrupted", func(t *testing.T) { interrupt(t, program) })
}

func exitCode(t *testing.T, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	ended, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		t.Fatal(err)
	}
	return ended.ExitCode()
}

// interrupt stops a program that waits for input that never comes.
func interrupt(t *testing.T, program string) {
	t.Helper()
	cmd := exec.Command(program, "render", "-f", "-")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// More than a pipe holds: written only once the program reads, and so listens to signals.
	if _, err := in.Write(bytes.Repeat([]byte("# waiting\n"), 1<<16)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if code := exitCode(t, err); code != cli.ExitFailed || out.Len() > 0 || !strings.Contains(errOut.String(), "stopped") {
			t.Errorf("exit %d, stdout %q, stderr %q", code, &out, &errOut)
		}
	case <-time.After(20 * time.Second):
		_ = cmd.Process.Kill()
		t.Fatal("doesn't end")
	}
}
