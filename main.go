// SPDX-License-Identifier: Apache-2.0

// The operator: it turns WasmPlugins into the EnvoyFilters that run them, and keeps them so.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"

	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/solarmesh/wasmplugin-operator/controllers"
	"github.com/solarmesh/wasmplugin-operator/internal/metrics"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
	"github.com/solarmesh/wasmplugin-operator/internal/version"
)

// errUsage is of a command line that can't be meant. Whoever returns it has said why.
var errUsage = errors.New("wrong usage")

// commands are the processes that the binary can be. Each parses its own flags.
var commands = map[string]func(ctx context.Context, args []string, stderr io.Writer) error{
	"manager": runManager,
	"checker": runChecker,
	"store":   runStore,
}

// heapProfileRate is the usual number of allocated bytes for each sample of the heap's profile.
const heapProfileRate = 512 << 10

func main() {
	// The profile keeps every call stack that it ever met (runtime/mprof.go), so that a process grows for hours. It is taken
	// only where somebody can ask for it.
	runtime.MemProfileRate = 0
	run, args := runManager, os.Args[1:]
	if len(args) > 0 {
		if command, known := commands[args[0]]; known {
			run, args = command, args[1:]
		}
	}
	switch err := run(ctrl.SetupSignalHandler(), args, os.Stderr); {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "Stopping:", err)
		os.Exit(1)
	}
}

// runManager is the operator itself, and what the binary does without a subcommand.
func runManager(ctx context.Context, args []string, stderr io.Writer) error {
	options, err := parseFlags("wasmplugin-operator", args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return fmt.Errorf("%w: %w", errUsage, err) // parseFlags has said why
	}
	if options.version {
		fmt.Fprintln(os.Stdout, version.String())
		return nil
	}
	if options.pprofAddress != "" && options.pprofAddress != "0" {
		runtime.MemProfileRate = heapProfileRate
	}
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&options.zap)))
	return manage(ctx, options)
}

// manage manages a cluster until the context ends.
func manage(ctx context.Context, options options) error {
	log := ctrl.Log
	log.Info("Starting", "version", version.Version)
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the cluster: %w; give --kubeconfig, or run in a pod", err)
	}
	config.WarningHandlerWithContext = warnings{}
	manager, err := ctrl.NewManager(config, options.manager())
	if err != nil {
		return fmt.Errorf("set up the manager: %w", err)
	}
	rootNamespace, err := readRootNamespace(ctx, manager.GetAPIReader(), options.meshConfig)
	if err != nil {
		return err
	}
	log.Info("Using the mesh's root namespace", "rootNamespace", rootNamespace)
	if err := metrics.Register(ctrlmetrics.Registry); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	modules, err := options.modules.modules(ctx, manager, config)
	if err != nil {
		return err
	}
	rollouts, err := options.proxies.rollouts(manager, options.meshConfig, rootNamespace)
	if err != nil {
		return err
	}
	if err := addController(ctx, manager, config, options, options.rendering(rootNamespace), modules, rollouts); err != nil {
		return err
	}
	if err := addProbes(manager); err != nil {
		return err
	}
	return manager.Start(ctx)
}

// addController adds what works on plugins, and what tells the store of them, if there is one.
func addController(ctx context.Context, manager ctrl.Manager, config *rest.Config, options options, rendering translate.Options,
	modules *controllers.Modules, rollouts *controllers.Rollouts,
) error {
	renderer, err := translate.Fingerprint(rendering)
	if err != nil {
		return err
	}
	watches, err := metadata.NewForConfigAndClient(config, manager.GetHTTPClient())
	if err != nil {
		return fmt.Errorf("set up the watches of ConfigMaps: %w", err)
	}
	reconciler := &controllers.WasmPluginReconciler{
		Client:        manager.GetClient(),
		Live:          manager.GetAPIReader(),
		Recorder:      manager.GetEventRecorder("wasmplugin-operator"),
		Options:       rendering,
		Renderer:      renderer,
		Metadata:      watches,
		SecretRefresh: options.secretRefresh,
		Modules:       modules,
		Rollouts:      rollouts,
	}
	if err := reconciler.SetupWithManager(ctx, manager, options.concurrency); err != nil {
		return fmt.Errorf("set up the controller: %w", err)
	}
	if modules == nil || modules.Store == nil {
		return nil
	}
	references := &controllers.StoreReferences{Cache: manager.GetCache(), Store: modules.Store, Modules: modules}
	if err := manager.Add(references); err != nil {
		return fmt.Errorf("set up the telling of the store: %w", err)
	}
	return nil
}

func addProbes(manager ctrl.Manager) error {
	if err := manager.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return fmt.Errorf("set up /healthz: %w", err)
	}
	if err := manager.AddReadyzCheck("ping", healthz.Ping); err != nil {
		return fmt.Errorf("set up /readyz: %w", err)
	}
	return nil
}
