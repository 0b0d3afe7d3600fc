// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/apply"
)

// writtenVersions remembers the last write of each plugin until the cache shows it. A reconcile that came before would
// find its own writes missing and write again.
type writtenVersions struct {
	mutex    sync.Mutex
	byPlugin map[types.NamespacedName]writtenVersion
}

type writtenVersion struct {
	at       time.Time
	plugin   string
	children map[wasmv1alpha1.EnvoyFilterRole]writtenChild
}

type writtenChild struct {
	version string
	// created says that the cache hadn't shown it before. Otherwise its absence means that it was deleted since.
	created bool
	// deleted says that it was deleted, in that version.
	deleted bool
}

const (
	// cacheDelay is when to look again; mostly an event comes first.
	cacheDelay = 20 * time.Millisecond
	// cachePatience ends the waiting for an EnvoyFilter that was created and is absent: it was deleted before the cache
	// showed it.
	cachePatience = 5 * time.Second
)

// remember takes what was observed, before the write, and what stands since.
func (w *writtenVersions) remember(plugin *wasmv1alpha1.WasmPlugin, observed, children apply.Children) {
	version := writtenVersion{at: time.Now(), plugin: plugin.ResourceVersion, children: map[wasmv1alpha1.EnvoyFilterRole]writtenChild{}}
	for role, child := range children {
		version.children[role] = writtenChild{version: child.ResourceVersion, created: observed[role] == nil}
	}
	for role, child := range observed {
		if children[role] == nil {
			version.children[role] = writtenChild{version: child.ResourceVersion, deleted: true}
		}
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.byPlugin == nil {
		w.byPlugin = map[types.NamespacedName]writtenVersion{}
	}
	w.byPlugin[types.NamespacedName{Namespace: plugin.Namespace, Name: plugin.Name}] = version
}

// forget ends the waiting for the last write of a plugin that is gone.
func (w *writtenVersions) forget(plugin types.NamespacedName) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	delete(w.byPlugin, plugin)
}

// behind returns how long to wait for the cache, 0 where it shows the last write.
func (w *writtenVersions) behind(plugin *metav1.PartialObjectMetadata, children apply.Children) time.Duration {
	key := types.NamespacedName{Namespace: plugin.Namespace, Name: plugin.Name}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	version, waiting := w.byPlugin[key]
	if !waiting {
		return 0
	}
	if time.Since(version.at) < cachePatience && !version.shown(plugin, children) {
		return cacheDelay
	}
	delete(w.byPlugin, key)
	return 0
}

func (v writtenVersion) shown(plugin *metav1.PartialObjectMetadata, children apply.Children) bool {
	if older(plugin.ResourceVersion, v.plugin) {
		return false
	}
	for role, written := range v.children {
		switch child := children[role]; {
		case written.deleted:
			if child != nil && !older(written.version, child.ResourceVersion) {
				return false
			}
		case child == nil && written.created, child != nil && older(child.ResourceVersion, written.version):
			return false
		}
	}
	return true
}

func older(version, than string) bool {
	order, err := resourceversion.CompareResourceVersion(version, than)
	return err == nil && order < 0
}

// goneFor is when to look again at a plugin that the API server says is gone, 0 where it doesn't say so. Mostly the cache hears
// of that by then; but what stands before an API server answers 404, too, and then nothing else would bring the plugin back.
func goneFor(err error) time.Duration {
	if apierrors.IsNotFound(err) {
		return cachePatience
	}
	return 0
}
