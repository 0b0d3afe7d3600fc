// SPDX-License-Identifier: Apache-2.0

// Package story is what the end-to-end suite and the demo share: a real mesh, gateways in it, the two example plugins on
// a web server, and the operator, which the chart installs and which runs in a process of its own with the chart's
// rights.
//
//	world, err := story.New(ctx, dir, os.Stderr) // builds and installs what is missing
//	defer world.Stop()
//	err = world.StartMesh(ctx)
//	_, err = world.InstallChart(ctx)
//	err = world.StartOperator(ctx)
//	gateway := story.Gateway{Namespace: "istio-system", Name: "gateway", Label: "ingressgateway", Ports: ports}
//	proxy, err := world.StartGateway(ctx, gateway)
package story

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// Paths of the example plugins on World.Modules.
const (
	BasicAuthPath  = "/basic-auth.wasm"
	HelloWorldPath = "/hello-world.wasm"
)

// World is a mesh with the operator. Its parts are nil until they are started.
type World struct {
	// Dir is the state folder, Root the repository.
	Dir, Root string
	Bin       *chain.Binaries
	// Helm is the helm binary, OperatorBinary the operator, which StartOperator starts with OperatorArgs.
	Helm, OperatorBinary string
	OperatorArgs         []string

	// Args are added to the operator's whenever it is started.
	Args []string
	// ObserveProxies, set before StartMesh, has the operator ask istiod what the proxies do.
	ObserveProxies bool
	// GatewayAPI, set before StartMesh, has its kinds installed.
	GatewayAPI bool

	Cluster *chain.Cluster
	Istiod  *chain.Istiod
	Modules *chain.ModuleServer
	Store   *Store
	// Registry asks for the password PullPassword; Cosign signs what is in it.
	Registry     *chain.Registry
	PullPassword string
	Cosign       *chain.Cosign
	// Operator is the manager, Checker the other container of its pod.
	Operator, Checker *chain.Process
	// MetricsURL is where the manager has its metrics.
	MetricsURL string

	proxies  []*chain.Proxy
	progress io.Writer
}

// New installs the control plane and helm into the cache, where they are missing, and builds the operator and the
// plugins. progress hears of everything that takes long. dir is the state folder.
func New(ctx context.Context, dir string, progress io.Writer) (*World, error) {
	root, err := repositoryRoot()
	if err != nil {
		return nil, err
	}
	w := &World{Dir: dir, Root: root, OperatorBinary: filepath.Join(dir, "wasmplugin-operator"), progress: progress}
	if w.Bin, err = chain.Install(ctx, progress); err != nil {
		return nil, err
	}
	if w.Helm, err = w.helmBinary(ctx); err != nil {
		return nil, err
	}
	return w, w.build(ctx)
}

// StartMesh starts the Kubernetes API, istiod, and the web server with the two plugins.
func (w *World) StartMesh(ctx context.Context) (err error) {
	w.Cluster, err = chain.StartCluster(ctx, w.Bin, chain.ClusterOptions{
		Dir: filepath.Join(w.Dir, "cluster"),
		// Some clusters ask whoever writes an owner reference for rights on the owner; the chart's must do there too.
		APIServerArgs: []string{"--enable-admission-plugins=OwnerReferencesPermissionEnforcement"},
	})
	if err != nil {
		return err
	}
	w.Istiod, err = chain.StartIstiod(ctx, w.Bin, w.Cluster, chain.IstiodOptions{
		Dir: filepath.Join(w.Dir, "istiod"), CA: w.ObserveProxies, GatewayAPI: w.GatewayAPI,
	})
	if err != nil {
		return err
	}
	if w.Modules, err = chain.StartModuleServer(); err != nil {
		return err
	}
	return errors.Join(
		w.Modules.ServeFile(BasicAuthPath, w.Plugin(BasicAuthPath)),
		w.Modules.ServeFile(HelloWorldPath, w.Plugin(HelloWorldPath)),
	)
}

// Plugin is the file of what is served under a path.
func (w *World) Plugin(path string) string { return filepath.Join(w.Dir, filepath.Base(path)) }

// Stop stops everything that was started, in the reverse order.
func (w *World) Stop() error {
	var errs []error
	for _, proxy := range w.proxies {
		errs = append(errs, proxy.Stop())
	}
	for _, process := range []*chain.Process{w.Operator, w.Checker} {
		if process != nil {
			errs = append(errs, process.Stop())
		}
	}
	if w.Store != nil {
		errs = append(errs, w.Store.Stop())
	}
	if w.Registry != nil {
		errs = append(errs, w.Registry.Stop())
	}
	if w.Modules != nil {
		errs = append(errs, w.Modules.Stop())
	}
	if w.Istiod != nil {
		errs = append(errs, w.Istiod.Stop())
	}
	if w.Cluster != nil {
		errs = append(errs, w.Cluster.Stop())
	}
	return errors.Join(errs...)
}

// repositoryRoot looks upwards from the working folder, which is a package's own folder in a test.
func repositoryRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "charts", "wasmplugin-operator", "Chart.yaml")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no charts/wasmplugin-operator in %s or above; run from inside the repository", start)
		}
	}
}
