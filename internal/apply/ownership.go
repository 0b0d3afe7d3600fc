// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"maps"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// Owner is a plugin, and the way of rendering that its EnvoyFilters must come from.
type Owner struct {
	*metav1.PartialObjectMetadata
	// Renderer is translate.Fingerprint's.
	Renderer string
}

// owned says whether an EnvoyFilter is this plugin's. It is if the plugin controls it. It also is if nobody but a
// WasmPlugin of that name ever did and it bears our marks: then its owner reference was edited away, or it is left from
// a plugin that was deleted and made again, and taking it over keeps the proxies' configuration without a gap.
func owned(child *metav1.PartialObjectMetadata, plugin Owner) bool {
	controller := metav1.GetControllerOf(child)
	if controller != nil && controller.UID == plugin.UID {
		return true
	}
	if controller != nil && (controller.Kind != translate.PluginKind.Kind || controller.Name != plugin.Name ||
		controller.APIVersion != translate.PluginKind.GroupVersion().String()) {
		return false
	}
	return child.Labels[wasmv1alpha1.LabelManagedBy] == wasmv1alpha1.FieldManager &&
		child.Labels[wasmv1alpha1.LabelPlugin] == plugin.Name &&
		child.Annotations[wasmv1alpha1.AnnotationPluginUID] != ""
}

// intact says whether nobody has changed what we wrote, and we would write it so today, by metadata alone: any change of the spec moves the generation.
func intact(child *metav1.PartialObjectMetadata, plugin Owner, role wasmv1alpha1.EnvoyFilterRole) bool {
	for key, value := range translate.Labels(plugin.Name, role) {
		if child.Labels[key] != value {
			return false
		}
	}
	return child.DeletionTimestamp == nil &&
		child.Annotations[wasmv1alpha1.AnnotationPluginUID] == string(plugin.UID) &&
		child.Annotations[wasmv1alpha1.AnnotationRenderer] == plugin.Renderer &&
		child.Annotations[wasmv1alpha1.AnnotationHash] != "" &&
		child.Annotations[wasmv1alpha1.AnnotationGeneration] == strconv.FormatInt(child.Generation, 10) &&
		slices.ContainsFunc(child.OwnerReferences, func(reference metav1.OwnerReference) bool {
			return isOwnerReference(reference, plugin)
		})
}

func isOwnerReference(reference metav1.OwnerReference, plugin Owner) bool {
	return reference.UID == plugin.UID && reference.Name == plugin.Name && reference.Kind == translate.PluginKind.Kind &&
		reference.APIVersion == translate.PluginKind.GroupVersion().String() &&
		reference.Controller != nil && *reference.Controller &&
		reference.BlockOwnerDeletion != nil && *reference.BlockOwnerDeletion
}

// Children are the EnvoyFilters that exist under a plugin's names, by role; absent ones are left out.
type Children map[wasmv1alpha1.EnvoyFilterRole]*metav1.PartialObjectMetadata

// Standing returns those that are the plugin's, for its status.
func (c Children) Standing(plugin Owner) []wasmv1alpha1.EnvoyFilterStatus {
	var standing []wasmv1alpha1.EnvoyFilterStatus
	for _, role := range slices.Sorted(maps.Keys(c)) {
		if child := c[role]; owned(child, plugin) && child.DeletionTimestamp == nil {
			standing = append(standing, wasmv1alpha1.EnvoyFilterStatus{Name: child.Name, Role: role, Hash: appliedHash(child)})
		}
	}
	return standing
}

// appliedHash tells one state of an EnvoyFilter, as we left it, from any other.
func appliedHash(child *metav1.PartialObjectMetadata) string {
	hash := child.Annotations[wasmv1alpha1.AnnotationHash]
	if hash == "" {
		hash = "none"
	}
	if generation := child.Annotations[wasmv1alpha1.AnnotationPluginGeneration]; generation != "" {
		hash += "-" + generation
	}
	return hash
}

// Complete says whether both halves stand, intact, as rendered from the plugin's present generation.
func (c Children) Complete(plugin Owner) bool {
	rendered := int64(0)
	for _, role := range translate.Roles {
		child := c[role]
		if child == nil || !intact(child, plugin, role) {
			return false
		}
		generation, err := strconv.ParseInt(child.Annotations[wasmv1alpha1.AnnotationPluginGeneration], 10, 64)
		if err == nil {
			rendered = max(rendered, generation)
		}
	}
	return rendered == plugin.Generation
}
