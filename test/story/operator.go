// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/solarmesh/wasmplugin-operator/test/chain"
)

// The chart is installed under this name, in this namespace, unless the operator asks istiod: see World.Namespace.
const (
	Release           = "wasmplugin-operator"
	OperatorNamespace = "wasmplugin-system"
)

// HelmInstall is the command that installs the chart.
func (w *World) HelmInstall() string {
	command := "helm install " + Release + " charts/wasmplugin-operator --namespace " + w.Namespace() + " --create-namespace --hide-notes"
	if !w.ObserveProxies {
		command += " --set proxies.observe=false"
	}
	return command
}

// Namespace is where the chart is installed: istiod says what its proxies do to its own namespace only.
func (w *World) Namespace() string {
	if w.ObserveProxies {
		return chain.IstioNamespace
	}
	return OperatorNamespace
}

// waitForCRD returns when the API server knows WasmPlugins; helm does not wait for that.
const waitForCRD = "kubectl wait --for=condition=Established crd/wasmplugins.wasm.solarmesh.io --timeout=30s"

// InstallChart installs the chart, with some values such as store.enabled=false, and starts the garbage collector, which
// looks for new kinds when it starts. It returns what helm printed.
func (w *World) InstallChart(ctx context.Context, values ...string) (string, error) {
	command := []string{w.HelmInstall()}
	for _, value := range append(w.registryValues(), values...) {
		command = append(command, "--set '"+value+"'")
	}
	out, err := w.Shell(ctx, strings.Join(command, " "))
	if err != nil {
		return out, err
	}
	if _, err := w.Shell(ctx, waitForCRD); err != nil {
		return out, err
	}
	if err := w.trustRegistry(ctx); err != nil {
		return out, err
	}
	return out, w.Cluster.StartControllerManager(ctx)
}

// StartOperator starts what the installed Deployments would start if there were nodes: the store, if there is one and it
// does not run, the checker, and the manager, to whose arguments more are added. A token of the ServiceAccount says what it
// may do.
func (w *World) StartOperator(ctx context.Context, more ...string) error {
	// The store first: its certificate is replaced then.
	if err := w.startStoreOnce(ctx); err != nil {
		return err
	}
	p, err := w.newPod(ctx, Release, filepath.Join(w.Dir, "pod"))
	if err != nil {
		return err
	}
	ports, err := chain.FreePorts(2)
	if err != nil {
		return err
	}
	health, metrics := fmt.Sprintf("127.0.0.1:%d", ports[0]), fmt.Sprintf("127.0.0.1:%d", ports[1])
	instead := map[string]string{"health-probe-bind-address": health, "metrics-bind-address": metrics}
	if w.Store != nil {
		instead["store-url"] = w.Store.URL()
		instead["store-upload-url"] = w.Store.UploadURL()
	}
	if p.has("checker-socket") {
		if err := w.startChecker(ctx, p); err != nil {
			return err
		}
	}
	command, err := p.command("manager", instead)
	if err != nil {
		return err
	}
	// The registries and servers of the specs are on this machine, as nothing of a real cluster is.
	command.Args = append(command.Args, "--kubeconfig="+p.kubeconfig, "--leader-election-namespace="+w.Namespace(),
		"--allow-loopback-addresses")
	if p.has("istiod-token-file") {
		// No EndpointSlice may hold an address of this machine.
		command.Args = append(command.Args, "--istiod-addresses="+w.Istiod.SecureAddress, "--istiod-server-name="+chain.IstiodServerName)
	}
	command.Args = append(append(command.Args, w.Args...), more...)
	command.Ready = readyAt(health)
	w.OperatorArgs, w.MetricsURL = command.Args, "https://"+metrics+"/metrics"
	w.Operator, err = chain.Start(ctx, command)
	return err
}

// RestartOperator stops the manager and starts it with further arguments instead of those it was given before.
func (w *World) RestartOperator(ctx context.Context, more ...string) error {
	if err := w.Operator.Stop(); err != nil {
		return err
	}
	return w.StartOperator(ctx, more...)
}

// startStoreOnce starts the store if the chart has one and it does not run yet.
func (w *World) startStoreOnce(ctx context.Context) error {
	if w.Store != nil {
		return nil
	}
	deployment, err := w.storeDeployment(ctx)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return w.startStore(ctx, deployment)
}

// startChecker starts the pod's second container anew: a restart of the Deployment restarts both.
func (w *World) startChecker(ctx context.Context, p *pod) error {
	if w.Checker != nil {
		if err := w.Checker.Stop(); err != nil {
			return err
		}
	}
	command, err := p.command("checker", nil)
	if err != nil {
		return err
	}
	w.Checker, err = chain.Start(ctx, command)
	return err
}
