// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"maps"
	"slices"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/rules"
)

// sourceVersions are the versions of the objects that rules were made of; an object that doesn't exist has the empty one.
// They stand in an annotation, so that a restart needs to read nothing.
type sourceVersions struct {
	ConfigMaps map[string]string `json:"configMaps,omitempty"`
	Secrets    map[string]string `json:"secrets,omitempty"`
	// Refresh is the plugin's AnnotationRefresh, where it names Secrets.
	Refresh string `json:"refresh,omitempty"`
}

// parseSourceVersions reads the annotation. What can't be read gives none, which is never equal to what is written.
func parseSourceVersions(annotation string) sourceVersions {
	var versions sourceVersions
	if json.Unmarshal([]byte(annotation), &versions) != nil {
		return sourceVersions{}
	}
	return versions
}

// String is the annotation's value, empty for no objects.
func (v sourceVersions) String() string {
	if len(v.ConfigMaps)+len(v.Secrets) == 0 {
		return ""
	}
	text, _ := json.Marshal(v) // strings can always be written, and keys are sorted
	return string(text)
}

func (v *sourceVersions) set(object rules.Object, version string) {
	into := &v.ConfigMaps
	if object.Kind == rules.Secret {
		into = &v.Secrets
	}
	if *into == nil {
		*into = map[string]string{}
	}
	(*into)[object.Name] = version
}

func (v sourceVersions) configMapNames() []string {
	return slices.Sorted(maps.Keys(v.ConfigMaps))
}

// setRefresh takes the plugin's wish to have its Secrets read now.
func (v *sourceVersions) setRefresh(annotations map[string]string) {
	if len(v.Secrets) > 0 {
		v.Refresh = annotations[wasmv1alpha1.AnnotationRefresh]
	}
}
