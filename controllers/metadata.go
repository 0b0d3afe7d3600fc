// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

func partial(kind schema.GroupVersionKind) *metav1.PartialObjectMetadata {
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(kind)
	return object
}

func metadataOf(plugin *wasmv1alpha1.WasmPlugin) *metav1.PartialObjectMetadata {
	object := partial(translate.PluginKind)
	object.ObjectMeta = plugin.ObjectMeta
	return object
}

// CacheByObject keeps in memory only what a decision is made of: about 1 KB an object, whatever the size of its spec.
func CacheByObject() map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{
		partial(translate.PluginKind):      {Transform: trimPlugin},
		partial(translate.EnvoyFilterKind): {Transform: trimEnvoyFilter},
	}
}

// trimPlugin keeps of managedFields what they tell of the status.
func trimPlugin(object any) (any, error) {
	if plugin, ok := object.(*metav1.PartialObjectMetadata); ok {
		trim(plugin)
		keepTold(plugin)
	}
	return object, nil
}

func trimEnvoyFilter(object any) (any, error) {
	if filter, ok := object.(*metav1.PartialObjectMetadata); ok {
		trim(filter)
		filter.ManagedFields = nil
	}
	return object, nil
}

// trim drops what kubectl apply leaves in the metadata: the whole object, once more.
func trim(object *metav1.PartialObjectMetadata) {
	delete(object.Annotations, corev1.LastAppliedConfigAnnotation)
}
