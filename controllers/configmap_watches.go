// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// configMapWatches follows the ConfigMaps that plugins name, by one watch of metadata for each namespace with such plugins.
// It begins with the first of them and ends with the last.
type configMapWatches struct {
	// reach is the way to the ConfigMaps of a namespace.
	reach func(namespace string) toolscache.ListerWatcher

	mutex       sync.Mutex
	queue       workqueue.TypedRateLimitingInterface[reconcile.Request]
	begin       func(*configMapWatch)
	byNamespace map[string]*configMapWatch
}

// configMapWatch is what is known of the ConfigMaps of one namespace. It is the store that a reflector fills. The mutex of
// configMapWatches guards it.
type configMapWatch struct {
	all       *configMapWatches
	namespace string
	end       context.CancelFunc
	// plugins are the names of ConfigMaps by the plugin that names them.
	plugins map[string][]string

	// synced says that the versions are those of asOf, and that news will come.
	synced bool
	// failing says that the watch can't be had.
	failing bool
	// versions are those of all ConfigMaps of the namespace by name, and nothing else of them. Were it only those that
	// are followed, one that changed while the operator was down would stay unnoticed where its plugin comes to follow
	// it after the one list: the version in the plugin's annotation would count, and no news would come.
	versions map[string]string
	// asOf is the version of the last news, of whichever ConfigMap.
	asOf string
}

var _ toolscache.TransformingStore = &configMapWatch{}

func newConfigMapWatches(reach func(namespace string) toolscache.ListerWatcher) *configMapWatches {
	return &configMapWatches{reach: reach, byNamespace: map[string]*configMapWatch{}}
}

// configMapsOf lists and watches the metadata of the ConfigMaps of a namespace.
func configMapsOf(client metadata.Interface) func(namespace string) toolscache.ListerWatcher {
	return func(namespace string) toolscache.ListerWatcher {
		resource := client.Resource(corev1.SchemeGroupVersion.WithResource("configmaps")).Namespace(namespace)
		return toolscache.ToListWatcherWithWatchListSemantics(&toolscache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
				return resource.List(ctx, options)
			},
			WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
				return resource.Watch(ctx, options)
			},
		}, client)
	}
}

// start makes configMapWatches a source of the controller: what changes is put into its queue.
func (w *configMapWatches) start(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.queue = queue
	w.begin = func(watch *configMapWatch) {
		var watching context.Context
		watching, watch.end = context.WithCancel(ctx)
		go watch.run(watching, w.reach(watch.namespace))
	}
	return nil
}

// follow wakes a plugin, from now on, when one of these ConfigMaps of its namespace changes, and for no others any more. It
// also wakes it once, as soon as their versions are known: what it knew of them before may be old, and what changes after
// is news, so that nothing is lost between them.
func (w *configMapWatches) follow(plugin types.NamespacedName, names []string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	watch := w.byNamespace[plugin.Namespace]
	switch {
	case len(names) == 0:
		w.leave(watch, plugin.Name)
		return
	case watch == nil:
		watch = &configMapWatch{all: w, namespace: plugin.Namespace, plugins: map[string][]string{}}
		w.byNamespace[plugin.Namespace] = watch
		w.begin(watch)
	case slices.Equal(names, watch.plugins[plugin.Name]):
		return
	}
	watch.plugins[plugin.Name] = names
	if watch.synced {
		watch.wake(plugin.Name)
	}
}

func (w *configMapWatches) leave(watch *configMapWatch, plugin string) {
	if watch == nil {
		return
	}
	delete(watch.plugins, plugin)
	if len(watch.plugins) == 0 {
		watch.end()
		delete(w.byNamespace, watch.namespace)
	}
}

// version returns the version that a ConfigMap has now, empty where there is none. It is the known one where the watch
// knows no better: before its first answer, which wakes the plugins, and while it shows what was before.
func (w *configMapWatches) version(key types.NamespacedName, known string) string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	watch := w.byNamespace[key.Namespace]
	if watch == nil || !watch.synced || older(watch.asOf, known) {
		return known
	}
	return watch.versions[key.Name]
}

// fails says whether the watch of a ConfigMap brings no news.
func (w *configMapWatches) fails(key types.NamespacedName) bool {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	watch := w.byNamespace[key.Namespace]
	return watch != nil && watch.failing
}

// Where a watch can't be had, the delay before the next attempt: client-go's for its reflectors.
const (
	firstRewatch   = 800 * time.Millisecond
	lastRewatch    = 30 * time.Second
	rewatchHealthy = 2 * time.Minute
	rewatchSteps   = 6 // doubles the first up to the last
)

// run watches until the context ends.
func (w *configMapWatch) run(ctx context.Context, reach toolscache.ListerWatcher) {
	ctx = ctrl.LoggerInto(ctx, ctrl.Log.WithValues("namespace", w.namespace))
	reflector := toolscache.NewReflectorWithOptions(reach, &metav1.PartialObjectMetadata{}, w,
		toolscache.ReflectorOptions{Name: "ConfigMaps of " + w.namespace, TypeDescription: "ConfigMap"})
	backoff := wait.Backoff{Duration: firstRewatch, Cap: lastRewatch, Steps: rewatchSteps, Factor: 2, Jitter: 1}
	// It ends with the context only.
	_ = backoff.DelayWithReset(clock.RealClock{}, rewatchHealthy).Until(ctx, true, true, func(ctx context.Context) (bool, error) {
		if err := reflector.ListAndWatchWithContext(ctx); err != nil && ctx.Err() == nil {
			w.fail(ctx, err)
		}
		return false, nil
	})
}

// Transformer drops at arrival what isn't kept, so that a large namespace isn't held until its last ConfigMap has come.
func (*configMapWatch) Transformer() toolscache.TransformFunc {
	return func(object any) (any, error) {
		meta, err := apimeta.Accessor(object)
		if err != nil {
			return nil, err
		}
		return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
			Namespace: meta.GetNamespace(), Name: meta.GetName(), ResourceVersion: meta.GetResourceVersion(),
		}}, nil
	}
}

// Replace takes all that there is. It wakes every plugin with the first answer, and with the first after a failure.
func (w *configMapWatch) Replace(items []any, version string) error {
	versions := make(map[string]string, len(items))
	for _, item := range items {
		meta, err := apimeta.Accessor(item)
		if err != nil {
			return err
		}
		versions[meta.GetName()] = meta.GetResourceVersion()
	}
	w.all.mutex.Lock()
	defer w.all.mutex.Unlock()
	known, before := w.synced, w.versions
	w.synced, w.failing, w.versions, w.asOf = true, false, versions, version
	w.wakeWhere(func(name string) bool { return !known || versions[name] != before[name] })
	return nil
}

// Add takes a ConfigMap that appeared.
func (w *configMapWatch) Add(object any) error {
	return w.learn(object, func(name, version string) { w.versions[name] = version })
}

// Update takes a ConfigMap that changed.
func (w *configMapWatch) Update(object any) error { return w.Add(object) }

// Delete takes the last state of a ConfigMap that went. Its version is that of the deletion.
func (w *configMapWatch) Delete(object any) error {
	return w.learn(object, func(name, _ string) { delete(w.versions, name) })
}

// Resync has nothing to do: nothing is kept that could go out of step.
func (w *configMapWatch) Resync() error { return nil }

// learn takes news of one ConfigMap, and wakes the plugins that name it.
func (w *configMapWatch) learn(object any, take func(name, version string)) error {
	meta, err := apimeta.Accessor(object)
	if err != nil {
		return err
	}
	w.all.mutex.Lock()
	defer w.all.mutex.Unlock()
	take(meta.GetName(), meta.GetResourceVersion())
	w.asOf = meta.GetResourceVersion()
	w.wakeWhere(func(name string) bool { return name == meta.GetName() })
	return nil
}

// fail wakes the plugins, which then look by themselves from time to time.
func (w *configMapWatch) fail(ctx context.Context, err error) {
	w.all.mutex.Lock()
	defer w.all.mutex.Unlock()
	if w.failing {
		return
	}
	w.synced, w.failing = false, true
	w.wakeWhere(func(string) bool { return true })
	log := ctrl.LoggerFrom(ctx)
	if apierrors.IsForbidden(err) {
		log.Error(err, "Can't watch the ConfigMaps that WasmPlugins of a namespace name, so they are looked at from time to time; "+
			"grant get, list and watch on configmaps")
		return
	}
	log.V(1).Info("Lost the watch of a namespace's ConfigMaps, trying again", "cause", err.Error())
}

// wakeWhere wakes the plugins that name such a ConfigMap.
func (w *configMapWatch) wakeWhere(concerns func(name string) bool) {
	for plugin, names := range w.plugins {
		if slices.ContainsFunc(names, concerns) {
			w.wake(plugin)
		}
	}
}

func (w *configMapWatch) wake(plugin string) {
	w.all.queue.Add(reconcile.Request{NamespacedName: types.NamespacedName{Namespace: w.namespace, Name: plugin}})
}
