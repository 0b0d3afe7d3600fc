// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// configMapWatch is what is known of one ConfigMap. It is the store that a reflector fills. The mutex of configMapWatches
// guards it.
type configMapWatch struct {
	all *configMapWatches
	key types.NamespacedName
	end context.CancelFunc
	// plugins are those that name it.
	plugins map[types.NamespacedName]bool

	// synced is set by the first answer.
	synced bool
	// failing says that the watch can't be had.
	failing bool
	// version is the ConfigMap's, empty where it doesn't exist.
	version string
	// asOf is the version of the last news, also of a deletion.
	asOf string
}

var _ toolscache.ReflectorStore = &configMapWatch{}

// Where a watch can't be had, the delay before the next attempt: client-go's for its reflectors.
const (
	firstRewatch   = 800 * time.Millisecond
	lastRewatch    = 30 * time.Second
	rewatchHealthy = 2 * time.Minute
	rewatchSteps   = 6 // doubles the first up to the last
)

// run watches until the context ends.
func (w *configMapWatch) run(ctx context.Context, reach toolscache.ListerWatcher) {
	ctx = ctrl.LoggerInto(ctx, ctrl.Log.WithValues("ConfigMap", w.key))
	reflector := toolscache.NewReflectorWithOptions(reach, &metav1.PartialObjectMetadata{}, w,
		toolscache.ReflectorOptions{Name: "ConfigMap " + w.key.String(), TypeDescription: "ConfigMap"})
	backoff := wait.Backoff{Duration: firstRewatch, Cap: lastRewatch, Steps: rewatchSteps, Factor: 2, Jitter: 1}
	// It ends with the context only.
	_ = backoff.DelayWithReset(clock.RealClock{}, rewatchHealthy).Until(ctx, true, true, func(ctx context.Context) (bool, error) {
		if err := reflector.ListAndWatchWithContext(ctx); err != nil && ctx.Err() == nil {
			w.fail(ctx, err)
		}
		return false, nil
	})
}

// Replace takes the answer to a list.
func (w *configMapWatch) Replace(items []any, version string) error {
	if len(items) > 0 {
		return w.Add(items[0])
	}
	w.learn("", version)
	return nil
}

// Add takes a ConfigMap that appeared.
func (w *configMapWatch) Add(object any) error {
	meta, err := apimeta.Accessor(object)
	if err == nil {
		w.learn(meta.GetResourceVersion(), meta.GetResourceVersion())
	}
	return err
}

// Update takes a ConfigMap that changed.
func (w *configMapWatch) Update(object any) error { return w.Add(object) }

// Delete takes the last state of a ConfigMap that went. Its version is that of the deletion.
func (w *configMapWatch) Delete(object any) error {
	meta, err := apimeta.Accessor(object)
	if err == nil {
		w.learn("", meta.GetResourceVersion())
	}
	return err
}

// Resync has nothing to do: nothing is kept that could go out of step.
func (w *configMapWatch) Resync() error { return nil }

// learn wakes the plugins if it is news, and also with the first answer, and the first after a failure.
func (w *configMapWatch) learn(version, asOf string) {
	w.all.mutex.Lock()
	defer w.all.mutex.Unlock()
	news := !w.synced || w.failing || version != w.version
	w.synced, w.failing, w.version, w.asOf = true, false, version, asOf
	if news {
		w.wake()
	}
}

// fail wakes the plugins, which then look by themselves from time to time.
func (w *configMapWatch) fail(ctx context.Context, err error) {
	w.all.mutex.Lock()
	defer w.all.mutex.Unlock()
	if w.failing {
		return
	}
	w.failing = true
	w.wake()
	log := ctrl.LoggerFrom(ctx)
	if apierrors.IsForbidden(err) {
		log.Error(err, "Can't watch a ConfigMap that a WasmPlugin names, so it is looked at from time to time; grant get, list and watch on configmaps")
		return
	}
	log.V(1).Info("Lost the watch of a ConfigMap, trying again", "cause", err.Error())
}

func (w *configMapWatch) wake() {
	for plugin := range w.plugins {
		w.all.queue.Add(reconcile.Request{NamespacedName: plugin})
	}
}
