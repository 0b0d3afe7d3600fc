// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	"github.com/solarmesh/wasmplugin-operator/internal/translate"
	"github.com/solarmesh/wasmplugin-operator/test/faults/inject"
	"github.com/solarmesh/wasmplugin-operator/test/faults/oracle"
)

// mark is an EnvoyFilter of nobody's plugin: by its changes one knows how far a watch is.
const mark = "mark"

// recorder watches all that happens to the objects of a namespace, straight at the API server.
type recorder struct {
	namespace string
	mu        sync.Mutex
	events    oracle.History
	marks     int
	stop      func()
}

func resource(name string) schema.GroupVersionResource {
	if name == inject.EnvoyFilters {
		return translate.EnvoyFilterKind.GroupVersion().WithResource(name)
	}
	return translate.PluginKind.GroupVersion().WithResource(name)
}

// record starts a recorder in a namespace that is empty, until the spec ends.
func record(ctx context.Context, namespace string) *recorder {
	GinkgoHelper()
	r := &recorder{namespace: namespace}
	watching, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var group sync.WaitGroup
	r.stop = func() { cancel(); group.Wait() }
	for _, kind := range []string{inject.EnvoyFilters, inject.WasmPlugins} {
		objects := dynamics.Resource(resource(kind)).Namespace(namespace)
		list, err := objects.List(ctx, metav1.ListOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(list.Items).To(BeEmpty())
		group.Go(func() { r.follow(watching, objects, list.GetResourceVersion()) })
	}
	return r
}

// follow watches from a version on. An API server that was started anew knows nothing of before: then what stands is
// compared with what stood.
func (r *recorder) follow(ctx context.Context, objects dynamic.ResourceInterface, version string) {
	for ctx.Err() == nil {
		watcher, err := objects.Watch(ctx, metav1.ListOptions{ResourceVersion: version})
		if err == nil {
			version, err = r.drain(watcher, version)
		}
		if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
			if list, err := objects.List(ctx, metav1.ListOptions{}); err == nil {
				r.catchUp(list, version)
				version = list.GetResourceVersion()
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (r *recorder) drain(watcher watch.Interface, version string) (string, error) {
	defer watcher.Stop()
	for event := range watcher.ResultChan() {
		if event.Type == watch.Error {
			return version, apierrors.FromObject(event.Object)
		}
		r.add(oracle.Event{Type: event.Type}, event.Object)
		if object, ok := event.Object.(*unstructured.Unstructured); ok {
			version = object.GetResourceVersion()
		}
	}
	return version, nil
}

// catchUp makes events of what has changed since a version.
func (r *recorder) catchUp(list *unstructured.UnstructuredList, version string) {
	since, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		since = 0 // then all of it was not seen
	}
	listed := func(kind watch.EventType, object *unstructured.Unstructured) {
		r.add(oracle.Event{Type: kind, Listed: true, Since: since}, object)
	}
	kind := strings.TrimSuffix(list.GetKind(), "List")
	last := map[string]*unstructured.Unstructured{}
	r.mu.Lock()
	for _, event := range r.events.Ordered() {
		if event.Object.GetKind() != kind {
			continue
		}
		if last[event.Object.GetName()] = event.Object; event.Type == watch.Deleted {
			delete(last, event.Object.GetName())
		}
	}
	r.mu.Unlock()
	for i := range list.Items {
		now := &list.Items[i]
		before := last[now.GetName()]
		delete(last, now.GetName())
		same := before != nil && before.GetUID() == now.GetUID()
		switch {
		case same && before.GetResourceVersion() == now.GetResourceVersion():
		case same:
			listed(watch.Modified, now)
		default:
			if before != nil {
				listed(watch.Deleted, lost(before, now.GetResourceVersion()))
			}
			listed(watch.Added, now)
		}
	}
	for _, gone := range last {
		listed(watch.Deleted, lost(gone, list.GetResourceVersion()))
	}
}

// lost is an object whose deletion nobody saw. Of a plugin it is taken to have been right after its last change, of an EnvoyFilter
// right before it was missed: it goes after its plugin, by the operator or the garbage collector.
func lost(object *unstructured.Unstructured, missed string) *unstructured.Unstructured {
	if object.GetKind() == translate.PluginKind.Kind {
		return object
	}
	object = object.DeepCopy()
	object.SetResourceVersion(missed)
	return object
}

func (r *recorder) add(event oracle.Event, of runtime.Object) {
	object, ok := of.(*unstructured.Unstructured)
	if !ok || event.Type == watch.Bookmark || event.Type == watch.Error {
		return
	}
	event.Object = object
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, event)
}

func (r *recorder) has(version string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.events, func(event oracle.Event) bool { return event.Object.GetResourceVersion() == version })
}

// plugins are the versions of those that stand, as far as it is known.
func (r *recorder) plugins() map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	stand := map[string]string{}
	for _, event := range r.events {
		switch {
		case event.Object.GetKind() != translate.PluginKind.Kind:
		case event.Type == watch.Deleted:
			delete(stand, event.Object.GetName())
		default:
			stand[event.Object.GetName()] = event.Object.GetResourceVersion()
		}
	}
	return stand
}

// soFar is the history up to now. It waits until nothing is under way any more: a mark that is set now, and the plugins as
// they stand, have come.
func (r *recorder) soFar(ctx context.Context) oracle.History {
	GinkgoHelper()
	r.marks++
	set, err := dynamics.Resource(resource(inject.EnvoyFilters)).Namespace(r.namespace).Patch(ctx, mark, types.ApplyPatchType,
		fmt.Appendf(nil, `{"apiVersion":"networking.istio.io/v1alpha3","kind":"EnvoyFilter","metadata":{"name":%q,"annotations":{"count":"%d"}},
			"spec":{"workloadSelector":{"labels":{"nobody":"here"}},"configPatches":[]}}`, mark, r.marks),
		metav1.PatchOptions{FieldManager: "somebody"})
	Expect(err).NotTo(HaveOccurred())
	Eventually(ctx, r.has).WithArguments(set.GetResourceVersion()).Should(BeTrue())
	Eventually(ctx, func(g Gomega, ctx context.Context) {
		plugins, err := dynamics.Resource(resource(inject.WasmPlugins)).Namespace(r.namespace).List(ctx, metav1.ListOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		stand := map[string]string{}
		for _, plugin := range plugins.Items {
			stand[plugin.GetName()] = plugin.GetResourceVersion()
		}
		g.Expect(r.plugins()).To(Equal(stand))
	}).Should(Succeed())
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.events.Ordered()
}
