// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"maps"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// Kind is the kind of an object that holds rules.
type Kind string

// Values of Kind.
const (
	ConfigMap Kind = "ConfigMap"
	Secret    Kind = "Secret"
)

// Object is a ConfigMap or a Secret of the plugin's namespace.
type Object struct {
	Kind Kind
	Name string
}

// Content is what was found in an Object.
type Content struct {
	Data map[string][]byte
	// Denied says why the data may not be read, as the end of a sentence for the user. Then Data is empty.
	Denied string
}

// Sources are the objects that a plugin names. One that is absent here doesn't exist.
type Sources map[Object]Content

// MaxSourceBytes bounds what the objects of one plugin may hold together: each may have 1 MiB, and many are worked on at a
// time.
const MaxSourceBytes = 8 << 20

// Size counts what the objects of one plugin hold.
type Size int

// Bounded counts an object's content, and denies it where that is too much together with those before it.
func (s *Size) Bounded(content Content) Content {
	for _, value := range content.Data {
		*s += Size(len(value))
	}
	if *s > MaxSourceBytes {
		return Content{Denied: fmt.Sprintf("with those before it, it holds more than %d MiB; put less into them", MaxSourceBytes>>20)}
	}
	return content
}

// NoConsent says, by a Secret's labels, why its data may not be read, as the end of a sentence; "" where they may.
func NoConsent(labels map[string]string) string {
	if labels[wasmv1alpha1.LabelRules] == wasmv1alpha1.RulesAllowed {
		return ""
	}
	return "its owner hasn't labelled it " + wasmv1alpha1.LabelRules + "=" + wasmv1alpha1.RulesAllowed +
		", which says that its values may stand in an EnvoyFilter"
}

// Texts are the values of a ConfigMap: those that are text, beside those that are bytes.
func Texts(data map[string]string, binary map[string][]byte) map[string][]byte {
	values := make(map[string][]byte, len(data)+len(binary))
	maps.Copy(values, binary)
	for name, value := range data {
		values[name] = []byte(value)
	}
	return values
}

// Secrets returns every value that came from a Secret, for Mask.
func (s Sources) Secrets() [][]byte {
	var secrets [][]byte
	for object, content := range s {
		if object.Kind != Secret {
			continue
		}
		for _, value := range content.Data {
			secrets = append(secrets, value)
		}
	}
	return secrets
}
