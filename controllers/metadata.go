// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"
	"unique"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
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

// trim drops what kubectl apply leaves in the metadata, the whole object, once more, and keeps one copy of the texts that
// many objects have: a decoder makes new ones for each, which are a quarter of what stays in memory.
func trim(object *metav1.PartialObjectMetadata) {
	delete(object.Annotations, corev1.LastAppliedConfigAnnotation)
	object.APIVersion, object.Kind = shared(object.APIVersion), shared(object.Kind)
	object.Namespace = shared(object.Namespace)
	object.Labels, object.Annotations = sharedKeys(object.Labels), sharedKeys(object.Annotations)
	uid, hasUID := object.Annotations[wasmv1alpha1.AnnotationPluginUID]
	for i := range object.OwnerReferences {
		owner := &object.OwnerReferences[i]
		owner.APIVersion, owner.Kind = shared(owner.APIVersion), shared(owner.Kind)
		if strings.HasPrefix(object.Name, owner.Name) {
			owner.Name = object.Name[:len(owner.Name)]
		}
		if hasUID && uid == string(owner.UID) {
			owner.UID = types.UID(uid)
		}
	}
}

func shared(text string) string { return unique.Make(text).Value() }

// sharedKeys shares the keys, and the values of those that say the same of many.
func sharedKeys(texts map[string]string) map[string]string {
	if texts == nil {
		return nil
	}
	kept := make(map[string]string, len(texts))
	for key, value := range texts {
		switch key {
		case wasmv1alpha1.LabelManagedBy, wasmv1alpha1.LabelRole, wasmv1alpha1.LabelRevision,
			wasmv1alpha1.AnnotationRenderer, wasmv1alpha1.AnnotationGeneration:
			value = shared(value)
		}
		kept[shared(key)] = value
	}
	return kept
}
