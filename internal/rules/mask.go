// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"encoding/json"
	"slices"
	"strings"
)

// secretKeys are parts of keys under which people keep what nobody else should read.
var secretKeys = []string{"credential", "password", "token", "secret", "key"}

// Mask returns text with every string replaced that stands in the rules, however deep, under a key that names something
// secret. It is for words of others that may repeat rules: an API server's, a plugin's, Envoy's.
func Mask(text string, raw []byte) string {
	var object map[string]any
	if checkBounds(raw) != nil || json.Unmarshal(raw, &object) != nil {
		return text
	}
	secrets := secretStrings(object, false)
	// The longest first: one may be a part of another.
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	for _, secret := range secrets {
		text = strings.ReplaceAll(text, secret, "***")
	}
	return text
}

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
