// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// Shell runs a command line in which kubectl and helm act as the cluster's administrator, and returns what it printed on
// both outputs. Their own folders are in the state folder, so that nothing of the user's configuration counts.
func (w *World) Shell(ctx context.Context, line string) (string, error) {
	cmd := w.command(ctx, "/bin/sh", "-c", line)
	home := filepath.Join(w.Dir, "home")
	cmd.Env = []string{
		"PATH=" + w.Path(),
		"KUBECONFIG=" + w.Cluster.Kubeconfig,
		"HOME=" + home,
		"HELM_CACHE_HOME=" + home, "HELM_CONFIG_HOME=" + home, "HELM_DATA_HOME=" + home,
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w\n%s", line, err, out)
	}
	return string(out), nil
}

// Path is the PATH with kubectl and helm.
func (w *World) Path() string {
	return strings.Join([]string{filepath.Dir(w.Bin.Kubectl), filepath.Dir(w.Helm), os.Getenv("PATH")}, ":")
}

// command runs in the repository. When ctx ends, so does everything that it started.
func (w *World) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = w.Root
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// build compiles the operator as it is released, and the example plugins.
func (w *World) build(ctx context.Context) error {
	operator := w.command(ctx, filepath.Join(w.Root, "hack", "build.sh"), w.OperatorBinary)
	operator.Stdout, operator.Stderr = w.progress, w.progress
	if err := operator.Run(); err != nil {
		return fmt.Errorf("cannot build the operator: %w", err)
	}
	for _, path := range []string{BasicAuthPath, HelloWorldPath} {
		name := strings.TrimSuffix(filepath.Base(path), ".wasm")
		plugin := w.command(ctx, "go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", w.Plugin(path), ".")
		plugin.Dir = filepath.Join(w.Root, "examples", name)
		plugin.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
		plugin.Stdout, plugin.Stderr = w.progress, w.progress
		if err := plugin.Run(); err != nil {
			return fmt.Errorf("cannot build the plugin %s: %w", name, err)
		}
	}
	return nil
}

// helmBinary is the one that HELM names, otherwise the project's own, built on the first use.
func (w *World) helmBinary(ctx context.Context) (string, error) {
	if path := os.Getenv("HELM"); path != "" {
		return path, nil
	}
	return chain.Tool(ctx, w.progress, "helm")
}
