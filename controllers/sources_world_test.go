// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// sourceWorld holds a namespace's ConfigMaps and Secrets. It answers GETs and watches from several goroutines.
type sourceWorld struct {
	t       *testing.T
	next    func() string
	mutex   sync.Mutex
	objects map[string]client.Object
	// errs are answers to GETs, by what is read; watchErr is one to lists and watches.
	errs     map[string]error
	watchErr error
	reads    []string
	// padding stands beside rules.
	padding []byte
	// afterRead is called with what was read.
	afterRead func(string)
	history   []watch.Event // of ConfigMaps
	watchers  []*watch.RaceFreeFakeWatcher
	queue     workqueue.TypedRateLimitingInterface[reconcile.Request]
	stop      func()
	// lists are the lists of ConfigMaps that were asked for.
	lists int
}

func newSourceWorld(t *testing.T, next func() string) *sourceWorld {
	t.Helper()
	w := &sourceWorld{
		t: t, next: next, objects: map[string]client.Object{}, errs: map[string]error{}, stop: func() {},
	}
	t.Cleanup(func() { w.stop() })
	return w
}

// newWatches are those of an operator that starts. Those of an earlier one end.
func (w *sourceWorld) newWatches() *configMapWatches {
	w.t.Helper()
	w.stop()
	ctx, cancel := context.WithCancel(w.t.Context())
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
	w.queue, w.stop = queue, func() { cancel(); queue.ShutDown() }
	watches := newConfigMapWatches(w.reach)
	if err := watches.start(ctx, queue); err != nil {
		w.t.Fatal(err)
	}
	return watches
}

func (w *sourceWorld) setConfigMap(name, rules string) {
	w.set(&corev1.ConfigMap{
		ObjectMeta: w.meta(name), Data: map[string]string{"rules.json": rules}, BinaryData: map[string][]byte{"padding": w.padding},
	})
}

func (w *sourceWorld) setSecret(rules string, consent bool) {
	secret := &corev1.Secret{ObjectMeta: w.meta("creds"), Data: map[string][]byte{"rules.json": []byte(rules)}}
	if consent {
		secret.Labels = map[string]string{wasmv1alpha1.LabelRules: wasmv1alpha1.RulesAllowed}
	}
	w.set(secret)
}

func (w *sourceWorld) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "shop", Name: name, ResourceVersion: w.next()}
}

func (w *sourceWorld) set(object client.Object) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	key := keyOf(object)
	kind := watch.Modified
	if w.objects[key] == nil {
		kind = watch.Added
	}
	w.objects[key] = object
	w.tell(key, watch.Event{Type: kind, Object: metaOf(object)})
}

func (w *sourceWorld) remove(key string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	last := metaOf(w.objects[key])
	last.ResourceVersion = w.next()
	delete(w.objects, key)
	w.tell(key, watch.Event{Type: watch.Deleted, Object: last})
}

func (w *sourceWorld) tell(key string, event watch.Event) {
	if !isConfigMap(key) {
		return
	}
	w.history = append(w.history, event)
	for _, watcher := range w.watchers {
		watcher.Action(event.Type, event.Object)
	}
}

func (w *sourceWorld) get(key types.NamespacedName, into client.Object) error {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	kind, partially := into.(*metav1.PartialObjectMetadata)
	what := keyOf(into) + key.Name
	if partially {
		what = kind.Kind + " " + key.Name
		w.reads = append(w.reads, what+" (metadata)")
	} else {
		w.reads = append(w.reads, what)
	}
	read := w.reads[len(w.reads)-1]
	if w.afterRead != nil {
		defer w.afterRead(read)
	}
	if err := w.errs[read]; err != nil {
		return err
	}
	switch object := w.objects[what].(type) {
	case nil:
		return apierrors.NewNotFound(schema.GroupResource{Resource: what}, key.Name)
	case *corev1.ConfigMap:
		if !partially {
			object.DeepCopyInto(into.(*corev1.ConfigMap))
			return nil
		}
	case *corev1.Secret:
		if !partially {
			object.DeepCopyInto(into.(*corev1.Secret))
			return nil
		}
	}
	kind.ObjectMeta = metaOf(w.objects[what]).ObjectMeta
	return nil
}

// read returns what was read since the last time.
func (w *sourceWorld) read() []string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	reads := w.reads
	w.reads = nil
	return reads
}

// reach is the way to the ConfigMaps.
func (w *sourceWorld) reach(string) toolscache.ListerWatcher {
	return toolscache.ToListWatcherWithWatchListSemantics(&toolscache.ListWatch{
		ListWithContextFunc: func(context.Context, metav1.ListOptions) (runtime.Object, error) {
			w.mutex.Lock()
			defer w.mutex.Unlock()
			w.lists++
			list := &metav1.PartialObjectMetadataList{ListMeta: metav1.ListMeta{ResourceVersion: w.next()}}
			for key, object := range w.objects {
				if isConfigMap(key) {
					list.Items = append(list.Items, *metaOf(object))
				}
			}
			return list, w.watchErr
		},
		WatchFuncWithContext: func(_ context.Context, options metav1.ListOptions) (watch.Interface, error) {
			w.mutex.Lock()
			defer w.mutex.Unlock()
			watcher := watch.NewRaceFreeFake()
			for _, event := range w.history {
				if older(options.ResourceVersion, event.Object.(*metav1.PartialObjectMetadata).ResourceVersion) {
					watcher.Action(event.Type, event.Object)
				}
			}
			w.watchers = append(w.watchers, watcher)
			return watcher, w.watchErr
		},
	}, listsFirst{})
}

// listsFirst tells a reflector that it can't have the initial state by a watch.
type listsFirst struct{}

func (listsFirst) IsWatchListSemanticsUnSupported() bool { return true }

// woken waits for a plugin to be put into the queue.
func (w *sourceWorld) woken() string {
	w.t.Helper()
	plugin, queue := make(chan string, 1), w.queue
	go func() {
		request, shutDown := queue.Get()
		if !shutDown {
			queue.Done(request)
			plugin <- request.Name
		}
	}()
	select {
	case name := <-plugin:
		return name
	case <-time.After(10 * time.Second):
		w.t.Fatal("no plugin is woken")
		return ""
	}
}

func keyOf(object client.Object) string {
	switch object.(type) {
	case *corev1.ConfigMap:
		return "ConfigMap " + object.GetName()
	case *corev1.Secret:
		return "Secret " + object.GetName()
	default:
		return ""
	}
}

func isConfigMap(key string) bool { return strings.HasPrefix(key, "ConfigMap ") }

func metaOf(object client.Object) *metav1.PartialObjectMetadata {
	meta := partial(corev1.SchemeGroupVersion.WithKind("ConfigMap"))
	meta.Namespace, meta.Name, meta.ResourceVersion = object.GetNamespace(), object.GetName(), object.GetResourceVersion()
	meta.Labels = maps.Clone(object.GetLabels())
	return meta
}
