// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/solarmesh/wasmplugin-operator/internal/mask"
)

// secretKeys are parts of keys under which people keep what nobody else should read.
var secretKeys = []string{"credential", "password", "token", "secret", "key"}

// shortestSecret is in bytes. Of a document from a Secret, what is shorter is left where it stands: a "/" or "GET" tells
// nobody anything, and with it most of a message would go.
const shortestSecret = 4

// Mask returns text with every string replaced that stands in one of the documents that came from a Secret, names too, and
// with every string replaced that stands in one of the open documents, however deep, under a key that names something
// secret. It is for words of others that may repeat rules: an API server's, a plugin's, Envoy's.
func Mask(text string, fromSecrets [][]byte, open ...[]byte) string {
	forms := map[string]bool{}
	for _, document := range fromSecrets {
		for _, secret := range longStrings(document) {
			addForms(forms, secret)
		}
	}
	for _, document := range open {
		if object, err := parse(document); err == nil {
			for _, secret := range secretStrings(object, false) {
				addForms(forms, secret)
			}
		}
	}
	return mask.Hide(text, maps.Keys(forms))
}

// secretStrings returns the strings under a key that names something secret.
func secretStrings(value any, secret bool) []string {
	var found []string
	switch value := value.(type) {
	case map[string]any:
		for key, member := range value {
			found = append(found, secretStrings(member, secret || isSecretKey(key))...)
		}
	case []any:
		for _, member := range value {
			found = append(found, secretStrings(member, secret)...)
		}
	case string:
		if secret && value != "" {
			found = append(found, value)
		}
	}
	return found
}

func isSecretKey(key string) bool {
	key = strings.ToLower(key)
	return slices.ContainsFunc(secretKeys, func(part string) bool { return strings.Contains(key, part) })
}

// longStrings returns the names and strings of a document; one that is no rules is a string itself.
func longStrings(document []byte) []string {
	found := []string{string(bytes.TrimSpace(document))}
	if object, err := parse(document); err == nil {
		found = append(secretStrings(object, true), names(object)...)
	}
	return slices.DeleteFunc(found, func(text string) bool { return len(text) < shortestSecret })
}

func names(value any) []string {
	var found []string
	switch value := value.(type) {
	case map[string]any:
		for name, member := range value {
			found = append(append(found, name), names(member)...)
		}
	case []any:
		for _, member := range value {
			found = append(found, names(member)...)
		}
	}
	return found
}

// addForms adds a string as it is, as it stands in the rules' text, and as that stands in an EnvoyFilter.
func addForms(forms map[string]bool, text string) {
	inRules := quoted(text, false)
	for _, form := range []string{text, inRules, quoted(text, true), quoted(inRules, false), quoted(inRules, true)} {
		forms[form] = true
	}
}

// quoted escapes a string as JSON does, and <, > and & too, as Go's encoder does unless told otherwise.
func quoted(text string, escapeHTML bool) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(escapeHTML)
	_ = encoder.Encode(text) // a string can always be written
	return out.String()[1 : out.Len()-2]
}
