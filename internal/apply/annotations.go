// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// annotations are those of a half that has, once written, a generation. The write that completes a pair is stamped.
func annotations(plugin Owner, half translate.EnvoyFilter, told mark, generation int64, stamped bool) map[string]string {
	annotations := map[string]string{
		wasmv1alpha1.AnnotationPluginUID:  string(plugin.UID),
		wasmv1alpha1.AnnotationRenderer:   plugin.Renderer,
		wasmv1alpha1.AnnotationHash:       half.Hash,
		wasmv1alpha1.AnnotationGeneration: strconv.FormatInt(generation, 10),
	}
	if len(half.Instances) > 0 {
		annotations[wasmv1alpha1.AnnotationInstances] = formatInstances(half.Instances)
		if plugin.Module != "" {
			annotations[wasmv1alpha1.AnnotationModule] = plugin.Module
		}
	}
	if half.Role == wasmv1alpha1.EnvoyFilterConfig && plugin.Sources != "" {
		annotations[wasmv1alpha1.AnnotationSources] = plugin.Sources
	}
	maps.Copy(annotations, told)
	if stamped {
		annotations[wasmv1alpha1.AnnotationPluginGeneration] = plugin.stamp()
	}
	return annotations
}

// stamp tells what a pair was made of: a generation, and sources and a module, which change without it. Were it the generation alone, a
// half that is stamped already would complete a pair that a crash left half-way through a change of the sources.
func (o Owner) stamp() string {
	stamp := strconv.FormatInt(o.Generation, 10)
	if o.Sources != "" || o.Module != "" {
		stamp += "-" + shortHash(o.Sources+o.Module)
	}
	return stamp
}

// stampedGeneration is the one in a half's stamp, 0 without.
func stampedGeneration(child *metav1.PartialObjectMetadata) int64 {
	text, _, _ := strings.Cut(child.Annotations[wasmv1alpha1.AnnotationPluginGeneration], "-")
	generation, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return generation
}

// formatInstances writes names, and first a checksum of them, so that an edit is noticed. Names that are made of the first
// one and a suffix are written as that suffix: the list is kept in memory.
func formatInstances(names []string) string {
	words := []string{shortHash(strings.Join(names, " "))}
	for i, name := range names {
		if suffix, ok := strings.CutPrefix(name, names[0]); ok && i > 0 && isSuffix(suffix) {
			name = suffix
		}
		words = append(words, name)
	}
	return strings.Join(words, " ")
}

// parseInstances returns the names, and whether they are what was written.
func parseInstances(value string) ([]string, bool) {
	words := strings.Fields(value)
	if len(words) < 2 {
		return nil, false
	}
	names := words[1:]
	for i, name := range names {
		if isSuffix(name) {
			names[i] = names[0] + name
		}
	}
	return names, shortHash(strings.Join(names, " ")) == words[0]
}

// isSuffix tells what translate adds to a plugin's name from a name, which begins with neither.
func isSuffix(text string) bool {
	return strings.HasPrefix(text, "~") || strings.HasPrefix(text, ".")
}

func shortHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:4])
}
