// SPDX-License-Identifier: Apache-2.0

// Package release tests how releases are made, with goreleaser itself, for this machine's platform. Nothing is published,
// signed or uploaded.
package release

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	root = "../.."
	dist = root + "/bin/dist"
)

// goreleaser is the project's own one, which is built on the first use.
func goreleaser(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path := strings.TrimSpace(run(t, exec.CommandContext(t.Context(), root+"/hack/tool", "goreleaser")))
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir = root
	return cmd
}

func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, &out, &complaints)
	}
	return out.String()
}

// TestConfiguration: goreleaser knows every field, and deprecates none.
func TestConfiguration(t *testing.T) { run(t, goreleaser(t, "check")) }

func TestConfigurationWithAMistakeFails(t *testing.T) {
	content, err := os.ReadFile(root + "/.goreleaser.yaml")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "goreleaser.yaml")
	if err := os.WriteFile(path, bytes.Replace(content, []byte("krews:"), []byte("krew:"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := goreleaser(t, "check", "--config", path).CombinedOutput(); err == nil || !strings.Contains(string(out), "krew") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestBuilds: the programs are those of hack/build.sh, byte by byte, and the pages that go into the archives are there.
func TestBuilds(t *testing.T) {
	run(t, goreleaser(t, "build", "--snapshot", "--clean", "--single-target"))
	var metadata struct{ Version string }
	content, err := os.ReadFile(dist + "/metadata.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &metadata); err != nil {
		t.Fatal(err)
	}
	for name, source := range map[string]string{"wasmctl": "./cmd/wasmctl", "wasmplugin-operator": "."} {
		built := filepath.Join(t.TempDir(), name)
		cmd := exec.CommandContext(t.Context(), root+"/hack/build.sh", built, source)
		cmd.Env = append(os.Environ(), "VERSION=v"+metadata.Version)
		run(t, cmd)
		if err := same(t.Context(), released(t, name), built); err != nil {
			t.Errorf("%s isn't what hack/build.sh makes: %v", name, err)
		}
	}
	for _, name := range []string{
		"completions/wasmctl.bash", "completions/wasmctl.zsh", "completions/wasmctl.fish", "completions/wasmctl.ps1", "man/wasmctl.1", "man/wasmctl-install.1",
	} {
		if info, err := os.Stat(root + "/bin/release/" + name); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// released is where goreleaser put a program.
func released(t *testing.T, name string) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dist, "*", name))
	if err != nil || len(paths) != 1 {
		t.Fatalf("%s: found %v, %v", name, paths, err)
	}
	return paths[0]
}

func same(ctx context.Context, a, b string) error {
	if out, err := exec.CommandContext(ctx, "cmp", a, b).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}
