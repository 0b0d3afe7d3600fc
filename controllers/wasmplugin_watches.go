// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

const (
	firstRetry = 5 * time.Millisecond
	// lastRetry bounds the backoff, so that a plugin recovers within a minute of what stood in its way.
	lastRetry = time.Minute
	// reconcileTimeout ends a reconcile whose API server doesn't answer.
	reconcileTimeout = 2 * time.Minute
)

// SetupWithManager starts the watches.
func (r *WasmPluginReconciler) SetupWithManager(ctx context.Context, manager ctrl.Manager, concurrency int) error {
	if err := manager.GetFieldIndexer().IndexField(ctx, partial(translate.PluginKind), identityIndex, identityOf); err != nil {
		return fmt.Errorf("index the plugins: %w", err)
	}
	r.sources = newSources(r.Live, newConfigMapWatches(configMapsOf(r.Metadata)), r.SecretRefresh)
	controller := r.build(manager, concurrency)
	if r.Modules != nil {
		r.Modules.setUp()
		controller = controller.WatchesRawSource(source.Func(r.Modules.jobs.start))
	}
	if r.Rollouts != nil {
		controller = controller.WatchesRawSource(source.Func(r.Rollouts.start))
	}
	return controller.Complete(r)
}

func (r *WasmPluginReconciler) build(manager ctrl.Manager, concurrency int) *builder.Builder {
	return ctrl.NewControllerManagedBy(manager).
		For(&wasmv1alpha1.WasmPlugin{}, builder.OnlyMetadata).
		WatchesMetadata(partial(translate.EnvoyFilterKind), handler.EnqueueRequestsFromMapFunc(pluginsOf)).
		WatchesRawSource(source.Func(r.sources.watches.start)).
		WithOptions(controller.Options{
			// A replica that waits for the lease has read all metadata when it gets it.
			EnableWarmup:            new(true),
			MaxConcurrentReconciles: concurrency,
			ReconciliationTimeout:   reconcileTimeout,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstRetry, lastRetry),
		})
}

// pluginsOf maps an EnvoyFilter to the plugins that it matters to: its controller, and the one that needs its name,
// which heals when an object of somebody else goes out of its way.
func pluginsOf(_ context.Context, envoyFilter client.Object) []reconcile.Request {
	var requests []reconcile.Request
	controllerRef := metav1.GetControllerOf(envoyFilter)
	if controllerRef != nil && controllerRef.Kind == translate.PluginKind.Kind &&
		controllerRef.APIVersion == translate.PluginKind.GroupVersion().String() {
		requests = append(requests, requestFor(envoyFilter, controllerRef.Name))
	}
	if plugin, ok := translate.PluginName(envoyFilter.GetName()); ok && (controllerRef == nil || controllerRef.Name != plugin) {
		requests = append(requests, requestFor(envoyFilter, plugin))
	}
	return requests
}

func requestFor(envoyFilter client.Object, plugin string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: envoyFilter.GetNamespace(), Name: plugin}}
}
