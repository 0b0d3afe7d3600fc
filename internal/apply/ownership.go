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
	// Sources is the value of AnnotationSources that the half with the configuration must carry.
	Sources string
	// Module is the value of AnnotationModule that it must carry.
	Module string
	// Observed says that it is looked at what proxies do, and so told by what one knows that.
	Observed bool
	// Trial, Canary and Rejected are the values of the annotations of these names.
	Trial, Canary, Rejected string
	// Nudge is the value of AnnotationNudge.
	Nudge int
	// Proxies is what the status says of the proxies, in short; empty where it says nothing.
	Proxies string
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

// intact says whether a half stands as we left it, and we would write it so today.
func intact(child *metav1.PartialObjectMetadata, plugin Owner, role wasmv1alpha1.EnvoyFilterRole) bool {
	return child.DeletionTimestamp == nil && unchanged(child, plugin, role)
}

// unchanged says whether nobody has changed what we wrote, and we would write it so today, by metadata alone.
func unchanged(child *metav1.PartialObjectMetadata, plugin Owner, role wasmv1alpha1.EnvoyFilterRole) bool {
	return labeled(child, plugin, role) && specUntouched(child) &&
		child.Annotations[wasmv1alpha1.AnnotationPluginUID] == string(plugin.UID) &&
		child.Annotations[wasmv1alpha1.AnnotationRenderer] == plugin.Renderer &&
		child.Annotations[wasmv1alpha1.AnnotationHash] != "" &&
		stampedGeneration(child) <= plugin.Generation &&
		tellsOrigin(child, plugin, role) &&
		slices.ContainsFunc(child.OwnerReferences, func(reference metav1.OwnerReference) bool {
			return isOwnerReference(reference, plugin)
		})
}

// labeled says whether our labels are there. The revision must also be absent where the plugin has none: with another
// one, istiod would leave the EnvoyFilter out without a word.
func labeled(child *metav1.PartialObjectMetadata, plugin Owner, role wasmv1alpha1.EnvoyFilterRole) bool {
	labels := translate.Labels(plugin, role)
	for key, value := range labels {
		if found, ok := child.Labels[key]; !ok || found != value {
			return false
		}
	}
	return !hasForeignRevision(child.Labels, labels)
}

func hasForeignRevision(labels, ours map[string]string) bool {
	_, has := labels[wasmv1alpha1.LabelRevision]
	_, wanted := ours[wasmv1alpha1.LabelRevision]
	return has && !wanted
}

// specUntouched: any change of a spec moves the generation, and a deletion that has to wait does, once.
func specUntouched(child *metav1.PartialObjectMetadata) bool {
	written := child.Annotations[wasmv1alpha1.AnnotationGeneration]
	return written == strconv.FormatInt(child.Generation, 10) ||
		(child.DeletionTimestamp != nil && written == strconv.FormatInt(child.Generation-1, 10))
}

// tellsOrigin says whether a half with a configuration tells what it is made of, and under which names it delivers.
func tellsOrigin(child *metav1.PartialObjectMetadata, plugin Owner, role wasmv1alpha1.EnvoyFilterRole) bool {
	if role != wasmv1alpha1.EnvoyFilterConfig {
		return true
	}
	_, known := parseInstances(child.Annotations[wasmv1alpha1.AnnotationInstances])
	return known && child.Annotations[wasmv1alpha1.AnnotationSources] == plugin.Sources &&
		child.Annotations[wasmv1alpha1.AnnotationModule] == plugin.Module
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
			standing = append(standing, wasmv1alpha1.EnvoyFilterStatus{Name: child.Name, Role: role, Hash: c.appliedHash(role, plugin.Proxies)})
		}
	}
	return standing
}

// appliedHash tells one rendered EnvoyFilter from any other. That of the filter also tells the generation that the pair
// was last rendered from, whichever half is stamped with it, and what proxies do with it. Sources that changed without changing the rules aren't told:
// there is nothing to report.
func (c Children) appliedHash(role wasmv1alpha1.EnvoyFilterRole, proxies string) string {
	hash := c[role].Annotations[wasmv1alpha1.AnnotationHash]
	if hash == "" {
		hash = "none"
	}
	generation := int64(0)
	for _, child := range c {
		generation = max(generation, stampedGeneration(child))
	}
	if role == wasmv1alpha1.EnvoyFilterFilter && generation > 0 {
		hash += "-" + strconv.FormatInt(generation, 10)
	}
	if role == wasmv1alpha1.EnvoyFilterFilter && proxies != "" {
		hash += "+" + proxies
	}
	return hash
}

// Complete says whether both halves stand, intact, as rendered from the plugin's present generation and sources.
func (c Children) Complete(plugin Owner) bool {
	for _, role := range translate.Roles {
		if child := c[role]; child == nil || !intact(child, plugin, role) {
			return false
		}
	}
	return c.stamped(plugin)
}

// Drifted says that somebody deleted a half of the pair, or changed its spec since it was written.
func (c Children) Drifted() bool {
	for _, role := range translate.Roles {
		if child := c[role]; child == nil || !specUntouched(child) {
			return true
		}
	}
	return false
}

// OfGeneration says whether the pair was rendered from the plugin's present generation.
func (c Children) OfGeneration(plugin Owner) bool {
	for _, role := range translate.Roles {
		if child := c[role]; child != nil && stampedGeneration(child) == plugin.Generation {
			return true
		}
	}
	return false
}

// stamped says whether the last write of the plugin's present generation and sources was made.
func (c Children) stamped(plugin Owner) bool {
	stamp := plugin.stamp()
	for _, role := range translate.Roles {
		if child := c[role]; child != nil && child.Annotations[wasmv1alpha1.AnnotationPluginGeneration] == stamp {
			return true
		}
	}
	return false
}
