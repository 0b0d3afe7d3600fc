// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// objects are there before the operator.
const objects = chain.MeshObjects + `---
apiVersion: v1
kind: Namespace
metadata: {name: ` + namespace + `}
`

// world is a cluster with the operator installed, but for its pods, and two meters that act as the operator's ServiceAccount.
type world struct {
	dir, root, binary string
	bin               *chain.Binaries
	cluster           *chain.Cluster
	// admin goes straight to the API server.
	admin *api
	// ours is in front of the operator, raws in front of the raw client.
	ours, raws *meter
	progress   io.Writer
}

func newWorld(ctx context.Context, dir string, progress io.Writer) (*world, error) {
	w := &world{dir: dir, binary: filepath.Join(dir, "wasmplugin-operator"), progress: progress}
	if err := w.start(ctx); err != nil {
		return nil, errors.Join(err, w.Stop())
	}
	return w, nil
}

// Stop ends all that was started.
func (w *world) Stop() error {
	var errs []error
	for _, m := range []*meter{w.ours, w.raws} {
		if m != nil {
			errs = append(errs, m.Close())
		}
	}
	if w.cluster != nil {
		errs = append(errs, w.cluster.Stop())
	}
	return errors.Join(errs...)
}

func (w *world) say(format string, args ...any) { fmt.Fprintf(w.progress, format+"\n", args...) }

func (w *world) start(ctx context.Context) error {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("find the repository: %w", err)
	}
	w.root = strings.TrimSpace(string(root))
	if w.bin, err = chain.Install(ctx, w.progress, chain.Kubernetes); err != nil {
		return err
	}
	w.say("building the operator")
	if err := w.command(ctx, filepath.Join(w.root, "hack", "build.sh"), w.binary); err != nil {
		return err
	}
	if w.cluster, err = chain.StartCluster(ctx, w.bin, chain.ClusterOptions{Dir: filepath.Join(w.dir, "cluster")}); err != nil {
		return err
	}
	if w.admin, err = newAPI(w.cluster.Config); err != nil {
		return err
	}
	if err := w.install(ctx); err != nil {
		return err
	}
	token, err := w.cluster.ServiceAccountToken(ctx, "wasmplugin-system", "wasmplugin-operator")
	if err != nil {
		return err
	}
	if w.ours, err = newMeter(w.cluster.ConfigFor(token)); err != nil {
		return err
	}
	w.raws, err = newMeter(w.cluster.ConfigFor(token))
	return err
}

// install installs Istio's CRDs, in the version that the operator is built with, and config/default.
func (w *world) install(ctx context.Context) error {
	dir, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "istio.io/api").Output()
	if err != nil {
		return fmt.Errorf("find Istio's CRDs: %w", err)
	}
	crds := filepath.Join(strings.TrimSpace(string(dir)), "kubernetes", "customresourcedefinitions.gen.yaml")
	if err := chain.ApplyFile(ctx, w.cluster.Config, crds); err != nil {
		return err
	}
	if err := chain.Apply(ctx, w.cluster.Config, objects); err != nil {
		return err
	}
	if err := w.command(ctx, w.bin.Kubectl, "--kubeconfig="+w.cluster.Kubeconfig, "apply", "-k", filepath.Join(w.root, "config", "default")); err != nil {
		return err
	}
	return chain.Until(ctx, func(ctx context.Context) error {
		_, err := w.admin.do(ctx, request{method: http.MethodGet, path: pluginsPath})
		return err
	})
}

func (w *world) command(ctx context.Context, path string, args ...string) error {
	command := exec.CommandContext(ctx, path, args...)
	command.Env = append(os.Environ(), "HOME="+os.Getenv("HOME"), "KUBECACHEDIR="+w.dir)
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", path, err, out)
	}
	return nil
}
