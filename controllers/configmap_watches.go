// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// configMapWatches follows the ConfigMaps that plugins name, each by a watch of its own, of its metadata alone, as the
// kubelet follows those that pods mount. A watch begins with the first plugin that names the ConfigMap and ends with the
// last. It keeps versions, nothing else.
type configMapWatches struct {
	// reach is the way to one ConfigMap.
	reach func(types.NamespacedName) toolscache.ListerWatcher

	mutex    sync.Mutex
	queue    workqueue.TypedRateLimitingInterface[reconcile.Request]
	begin    func(*configMapWatch)
	watches  map[types.NamespacedName]*configMapWatch
	byPlugin map[types.NamespacedName][]string
}

func newConfigMapWatches(reach func(types.NamespacedName) toolscache.ListerWatcher) *configMapWatches {
	return &configMapWatches{
		reach:    reach,
		watches:  map[types.NamespacedName]*configMapWatch{},
		byPlugin: map[types.NamespacedName][]string{},
	}
}

// oneConfigMap lists and watches the metadata of one ConfigMap.
func oneConfigMap(client metadata.Interface) func(types.NamespacedName) toolscache.ListerWatcher {
	return func(key types.NamespacedName) toolscache.ListerWatcher {
		resource := client.Resource(corev1.SchemeGroupVersion.WithResource("configmaps")).Namespace(key.Namespace)
		name := fields.OneTermEqualSelector(metav1.ObjectNameField, key.Name).String()
		return toolscache.ToListWatcherWithWatchListSemantics(&toolscache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
				options.FieldSelector = name
				return resource.List(ctx, options)
			},
			WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
				options.FieldSelector = name
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
		go watch.run(watching, w.reach(watch.key))
	}
	return nil
}

// follow watches, for a plugin, the ConfigMaps of these names in its namespace, and no others any more.
func (w *configMapWatches) follow(plugin types.NamespacedName, names []string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	for _, name := range names {
		w.watchFor(types.NamespacedName{Namespace: plugin.Namespace, Name: name}, plugin)
	}
	for _, name := range w.byPlugin[plugin] {
		if !slices.Contains(names, name) {
			w.leave(types.NamespacedName{Namespace: plugin.Namespace, Name: name}, plugin)
		}
	}
	if len(names) == 0 {
		delete(w.byPlugin, plugin)
		return
	}
	w.byPlugin[plugin] = names
}

func (w *configMapWatches) watchFor(key, plugin types.NamespacedName) {
	watch := w.watches[key]
	if watch == nil {
		watch = &configMapWatch{all: w, key: key, plugins: map[types.NamespacedName]bool{}}
		w.watches[key] = watch
		w.begin(watch)
	}
	watch.plugins[plugin] = true
}

func (w *configMapWatches) leave(key, plugin types.NamespacedName) {
	watch := w.watches[key]
	delete(watch.plugins, plugin)
	if len(watch.plugins) == 0 {
		watch.end()
		delete(w.watches, key)
	}
}

// version returns the version that a ConfigMap has now, empty where there is none. It is the known one where the watch
// knows no better: before its first answer, which wakes the plugins, and while it shows what was before.
func (w *configMapWatches) version(key types.NamespacedName, known string) string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	watch := w.watches[key]
	if watch == nil || !watch.synced || watch.failing || older(watch.asOf, known) {
		return known
	}
	return watch.version
}

// fails says whether the watch of a ConfigMap brings no news.
func (w *configMapWatches) fails(key types.NamespacedName) bool {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	watch := w.watches[key]
	return watch != nil && watch.failing
}
