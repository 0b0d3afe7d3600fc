// SPDX-License-Identifier: Apache-2.0

package rules

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
