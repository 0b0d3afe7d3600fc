// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Part is something that hack/control-plane.sh installs.
type Part string

// The parts of the chain.
const (
	Kubernetes Part = "kubernetes"
	Istio      Part = "istio"
	Envoy      Part = "envoy"
)

// Binaries are the paths of everything that Install can put into the cache.
type Binaries struct {
	// KubernetesDir holds the four below; it can serve as KUBEBUILDER_ASSETS.
	KubernetesDir                                       string
	Etcd, KubeAPIServer, KubeControllerManager, Kubectl string

	// IstioRelease is the release that istiod and the agent belong to, such as 1.31.0.
	IstioRelease               string
	PilotDiscovery, PilotAgent string
	// IstioCRDs is a YAML file with Istio's CRDs, GatewayAPICRDs one with those of the Gateway API, in the version that
	// istiod is built with. BootstrapTemplate is what the agent makes Envoy's bootstrap of.
	IstioCRDs, GatewayAPICRDs, BootstrapTemplate string

	Envoy string
}

// Install puts the parts (all of them if none is named) into the cache, if they are not there yet, and returns where
// they are. It works from any folder of the repository. The first time takes minutes; progress says how far it is.
func Install(ctx context.Context, progress io.Writer, parts ...Part) (*Binaries, error) {
	root, err := repositoryRoot()
	if err != nil {
		return nil, err
	}
	if len(parts) == 0 {
		parts = []Part{Kubernetes, Istio, Envoy}
	}
	if progress == nil {
		progress = io.Discard
	}
	args := []string{filepath.Join(root, "hack", "control-plane.sh")}
	for _, part := range parts {
		args = append(args, string(part))
	}
	install := exec.CommandContext(ctx, "bash", args...)
	install.Stdout, install.Stderr = progress, progress
	if err := runGuarded(ctx, install); err != nil {
		return nil, fmt.Errorf("hack/control-plane.sh could not install %v: %w", parts, err)
	}
	return binaries(ctx, root)
}

// runGuarded runs a command, made with ctx, that must not leave anything running, whatever happens to this process or to
// ctx.
func runGuarded(ctx context.Context, cmd *exec.Cmd) error {
	g, err := startGuard()
	if err != nil {
		return err
	}
	defer g.end()
	cmd.WaitDelay = time.Second
	g.join(cmd)
	if err := cmd.Run(); err != nil {
		return errors.Join(err, ctx.Err())
	}
	return nil
}

// binaries asks hack/versions.sh, the one place that knows versions and folders.
func binaries(ctx context.Context, root string) (*Binaries, error) {
	script := `source "$1/hack/versions.sh" && printf '%s\n' "$KUBERNETES_DIR" "$ISTIO_DIR" "$ENVOY_DIR" "$ISTIO_RELEASE" "$GATEWAY_API_CRDS"`
	out, err := exec.CommandContext(ctx, "bash", "-c", script, "bash", root).Output()
	if err != nil {
		return nil, fmt.Errorf("cannot read hack/versions.sh: %w", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != 5 {
		return nil, fmt.Errorf("hack/versions.sh was expected to set KUBERNETES_DIR, ISTIO_DIR, ENVOY_DIR, ISTIO_RELEASE "+
			"and GATEWAY_API_CRDS, but gave %q", out)
	}
	kubernetes, istio := lines[0], lines[1]
	return &Binaries{
		KubernetesDir:         kubernetes,
		Etcd:                  filepath.Join(kubernetes, "etcd"),
		KubeAPIServer:         filepath.Join(kubernetes, "kube-apiserver"),
		KubeControllerManager: filepath.Join(kubernetes, "kube-controller-manager"),
		Kubectl:               filepath.Join(kubernetes, "kubectl"),
		IstioRelease:          lines[3],
		PilotDiscovery:        filepath.Join(istio, "pilot-discovery"),
		PilotAgent:            filepath.Join(istio, "pilot-agent"),
		IstioCRDs:             filepath.Join(istio, "crds.yaml"),
		GatewayAPICRDs:        lines[4],
		BootstrapTemplate:     filepath.Join(istio, "envoy_bootstrap_tmpl.json"),
		Envoy:                 filepath.Join(lines[2], "envoy"),
	}, nil
}

// repositoryRoot looks upwards from the working folder, which is a package's own folder in a test.
func repositoryRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "hack", "control-plane.sh")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no hack/control-plane.sh in %s or above; run from inside the repository", start)
		}
	}
}
