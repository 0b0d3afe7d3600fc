// SPDX-License-Identifier: Apache-2.0

package rules

import "maps"

// DocumentError says which of the documents given to Merge can't be used.
type DocumentError struct {
	// Index counts from 0.
	Index int
	Err   error
}

func (e *DocumentError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *DocumentError) Unwrap() error { return e.Err }

// Merge applies the second and every further document to the first as a JSON merge patch (RFC 7386), in order: a member
// that is null takes away the one of that name, an object is merged, anything else replaces. Each must be a JSON object.
// The result is as Canonical's, and within its bounds. A document that can't be used is a *DocumentError.
func Merge(documents ...[]byte) (string, error) {
	merged := map[string]any{}
	for i, document := range documents {
		object, err := parse(document)
		if err != nil {
			return "", &DocumentError{Index: i, Err: err}
		}
		if i == 0 {
			merged = object // not a patch: a null in it is a value
			continue
		}
		merged = mergePatch(merged, object)
	}
	return write(merged)
}

// mergePatch is RFC 7386's MergePatch for a patch that is an object. Neither argument is changed.
func mergePatch(target any, patch map[string]any) map[string]any {
	object, _ := target.(map[string]any)
	merged := make(map[string]any, len(object)+len(patch))
	maps.Copy(merged, object)
	for name, value := range patch {
		switch value := value.(type) {
		case nil:
			delete(merged, name)
		case map[string]any:
			merged[name] = mergePatch(merged[name], value)
		default:
			merged[name] = value
		}
	}
	return merged
}
