// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// mark is what annotations of a half tell beside what it is made of: by what one knows, after a restart too, what proxies
// were asked to run and what they said.
type mark map[string]string

// on says whether a half bears the mark, and nothing that only another one would.
func (m mark) on(child *metav1.PartialObjectMetadata) bool {
	for _, key := range []string{
		wasmv1alpha1.AnnotationContent, wasmv1alpha1.AnnotationExpectation, wasmv1alpha1.AnnotationTrial, wasmv1alpha1.AnnotationCanary,
		wasmv1alpha1.AnnotationRejected, wasmv1alpha1.AnnotationNudge,
	} {
		if child.Annotations[key] != m[key] {
			return false
		}
	}
	return true
}

// marksOf are those of a pair's halves. The content stands on both, since either may be lost.
func marksOf(pair translate.Pair, plugin Owner) (map[wasmv1alpha1.EnvoyFilterRole]mark, error) {
	if !plugin.Observed {
		return nil, nil
	}
	expectation, err := json.Marshal(pair.Expectation)
	if err != nil {
		return nil, fmt.Errorf("tell what proxies are to run: %w", err)
	}
	config := mark{
		wasmv1alpha1.AnnotationContent:     pair.Content,
		wasmv1alpha1.AnnotationExpectation: shortHash(string(expectation)) + " " + string(expectation),
	}
	key, memory := memoryOf(pair.Config.Role, plugin)
	if memory != "" {
		config[key] = memory
	}
	if translate.InForce(pair.Config.Role) && plugin.Nudge > 0 {
		config[wasmv1alpha1.AnnotationNudge] = strconv.Itoa(plugin.Nudge)
	}
	return map[wasmv1alpha1.EnvoyFilterRole]mark{
		pair.Config.Role: config,
		pair.Filter.Role: {wasmv1alpha1.AnnotationContent: pair.Content},
	}, nil
}

// memoryOf is what a half with the configuration tells of how it went, and the annotation that tells it.
func memoryOf(role wasmv1alpha1.EnvoyFilterRole, plugin Owner) (key, value string) {
	switch role {
	case wasmv1alpha1.EnvoyFilterTrialConfig:
		return wasmv1alpha1.AnnotationTrial, plugin.Trial
	case wasmv1alpha1.EnvoyFilterCanaryConfig:
		return wasmv1alpha1.AnnotationCanary, plugin.Canary
	default:
		return wasmv1alpha1.AnnotationRejected, plugin.Rejected
	}
}

// Expectation returns what a half with a configuration tells of the proxies that are to run it, and whether it is what was
// written.
func (c Children) Expectation(role wasmv1alpha1.EnvoyFilterRole) (translate.Expectation, bool) {
	var expectation translate.Expectation
	child := c[role]
	if child == nil {
		return expectation, false
	}
	checksum, text, _ := strings.Cut(child.Annotations[wasmv1alpha1.AnnotationExpectation], " ")
	names, known := parseInstances(child.Annotations[wasmv1alpha1.AnnotationInstances])
	if !known || checksum != shortHash(text) || json.Unmarshal([]byte(text), &expectation) != nil {
		return translate.Expectation{}, false
	}
	expectation.Names = names
	return expectation, true
}

// Content is that of the pair that stands; empty where it isn't known.
func (c Children) Content() string {
	for _, role := range translate.Roles {
		if child := c[role]; child != nil && child.Annotations[wasmv1alpha1.AnnotationContent] != "" {
			return child.Annotations[wasmv1alpha1.AnnotationContent]
		}
	}
	return ""
}

// Nudge is how often proxies were asked again with the content that stands.
func (c Children) Nudge() int {
	config := c[wasmv1alpha1.EnvoyFilterConfig]
	if config == nil {
		return 0
	}
	nudge, err := strconv.Atoi(config.Annotations[wasmv1alpha1.AnnotationNudge])
	if err != nil || nudge < 0 || nudge > maxNudges {
		return 0
	}
	return nudge
}

// maxNudges keeps an edited annotation from reaching the timeout that it is added to.
const maxNudges = 1000

// Of returns those of some roles that exist.
func (c Children) Of(roles []wasmv1alpha1.EnvoyFilterRole) []*metav1.PartialObjectMetadata {
	var children []*metav1.PartialObjectMetadata
	for _, role := range roles {
		if c[role] != nil {
			children = append(children, c[role])
		}
	}
	return children
}

// Is says whether a pair stands as it was rendered.
func (c Children) Is(pair translate.Pair) bool {
	for _, half := range pair.EnvoyFilters() {
		if child := c[half.Role]; child == nil || !sameSpec(child, half) {
			return false
		}
	}
	return true
}

// Silenced says whether a pair was taken out of the filter chains.
func (c Children) Silenced(pair translate.Pair) bool {
	child := c[wasmv1alpha1.EnvoyFilterFilter]
	return child != nil && sameSpec(child, translate.Silenced(pair))
}

// Replaceable returns the names of the instances that stand, the base one first, where both halves do so as they were
// written, and no change of the chains is under way: then a canary can stand in their place.
func (c Children) Replaceable(plugin Owner) ([]string, bool) {
	for _, role := range translate.Roles {
		if child := c[role]; child == nil || !owned(child, plugin) || child.DeletionTimestamp != nil || !specUntouched(child) {
			return nil, false
		}
	}
	names, known := parseInstances(c[wasmv1alpha1.EnvoyFilterConfig].Annotations[wasmv1alpha1.AnnotationInstances])
	for i, name := range names {
		known = known && (i == 0 || strings.HasPrefix(name, names[0]+"."))
	}
	return names, known
}
