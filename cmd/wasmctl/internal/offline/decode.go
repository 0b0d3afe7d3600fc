// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	kjson "sigs.k8s.io/json"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

func isPlugin(h cli.Head) bool {
	return h.Kind == translate.PluginKind.Kind && h.APIVersion == translate.PluginKind.GroupVersion().String()
}

// resembles says whether an object was meant to be a WasmPlugin of ours, or is what others have in its place.
func resembles(h cli.Head) bool {
	group, _, _ := strings.Cut(h.APIVersion, "/")
	return h.Kind == translate.PluginKind.Kind || group == translate.PluginKind.Group || (group == istioGroup && h.Kind == "TrafficExtension")
}

// decodePlugin reads a WasmPlugin and finds what has no meaning there.
func decodePlugin(d cli.Document) judged {
	result := judged{Document: d}
	foreign := !isPlugin(d.Head)
	if foreign {
		result.problems = append(result.problems, foreignKind(d.Head))
		if d.Kind != translate.PluginKind.Kind {
			return result // its fields are others
		}
	}
	plugin := &wasmv1alpha1.WasmPlugin{}
	strict, err := kjson.UnmarshalStrict(d.JSON, plugin)
	if err != nil {
		result.problems = append(result.problems, wrongType(err))
		return result
	}
	for _, err := range strict {
		result.problems = append(result.problems, unknownField(err))
	}
	if foreign {
		result.problems = append(result.problems, foreignDefaults(plugin.Spec)...)
	}
	if len(result.problems) > 0 {
		return result
	}
	plugin.Namespace = d.Metadata.Namespace
	// A new object's, as the API server counts; one that was read from a cluster has its own.
	plugin.Generation = max(plugin.Generation, 1)
	result.plugin = plugin
	return result
}

var duplicate = regexp.MustCompile(`^duplicate field "(.*)"$`)

// unknownField says what a user may have meant.
func unknownField(err error) problem {
	field := ""
	if named, ok := errors.AsType[kjson.FieldError](err); ok {
		field = named.FieldPath()
	}
	if duplicate.MatchString(err.Error()) {
		return problem{field, "stands there twice; keep one"}
	}
	if hint, known := hintFor(field); known {
		return problem{field, hint}
	}
	return problem{field, "is no field of a WasmPlugin; check its spelling, also of capitals, or take it out"}
}

// wrongType is the sentence for a value of another type than its field. The value isn't quoted.
func wrongType(err error) problem {
	mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return problem{Message: "can't be read as a WasmPlugin: " + err.Error()}
	}
	found, _, _ := strings.Cut(mismatch.Value, " ")
	return problem{mismatch.Field, fmt.Sprintf("is %s, but takes %s", withArticle(found), typeName(mismatch))}
}

// unreadable is the sentence for what our types keep as it is written, and an API server can't read: a number that is too large.
func unreadable(err error) problem {
	mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return problem{Message: "can't be read by an API server: " + err.Error()}
	}
	return problem{mismatch.Field, "holds a number that is too large; an API server reads up to 1.8e308, so write it as a text"}
}

var typeNames = map[string]string{
	"string": "a text", "bool": "true or false", "slice": "a list", "array": "a list", "map": "fields and their values", "struct": "fields and their values",
	"number": "a number", "object": "an object of fields",
}

func typeName(mismatch *json.UnmarshalTypeError) string {
	kind := mismatch.Type.Kind().String()
	if name, known := typeNames[kind]; known {
		return name
	}
	if strings.Contains(kind, "int") {
		return "a whole number"
	}
	return "a " + kind
}

func withArticle(found string) string {
	if name, known := typeNames[found]; known {
		return name
	}
	return "a " + found
}
