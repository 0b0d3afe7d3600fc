// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// Document is one object of the input.
type Document struct {
	// Place says where it stands: file.yaml:12, and items[3] if it is in a list.
	Place string
	// JSON is the object; nil where it can't be read.
	JSON []byte
	Head
	// Unreadable says why it can't be read.
	Unreadable string
}

// Head is what tells one object from another.
type Head struct {
	metav1.TypeMeta `json:",inline"`

	Metadata struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
}

// String names an object as people do: WasmPlugin shop/auth.
func (h Head) String() string {
	switch {
	case h.Metadata.Name == "":
		return h.Kind
	case h.Metadata.Namespace == "":
		return h.Kind + " " + h.Metadata.Name
	}
	return h.Kind + " " + h.Metadata.Namespace + "/" + h.Metadata.Name
}

// Parse makes objects of a text: one, those of a list, or none where it holds comments only.
func Parse(source Text, namespace string) []Document {
	found := Document{Place: fmt.Sprintf("%s:%d", source.File, firstLine(source))}
	raw, err := yaml.YAMLToJSONStrict(source.Content)
	if err != nil {
		found.Unreadable = "isn't YAML: " + inFile(err.Error(), source.Line)
		return []Document{found}
	}
	if string(raw) == "null" {
		return nil
	}
	// JSON stays as it is, as with kubectl: as YAML, a number that is too large becomes a text.
	if json.Valid(source.Content) {
		raw = source.Content
	}
	return objects(found.Place, raw, namespace)
}

// objects unfolds lists, as kubectl get writes them.
func objects(place string, raw []byte, namespace string) []Document {
	found := Document{Place: place, JSON: raw}
	if err := json.Unmarshal(raw, &found.Head); err != nil || found.Kind == "" || found.APIVersion == "" {
		found.JSON, found.Unreadable = nil, "is no object of Kubernetes; give it apiVersion, kind and metadata"
		return []Document{found}
	}
	var list struct {
		Items []json.RawMessage `json:"items"`
	}
	if !strings.HasSuffix(found.Kind, "List") || json.Unmarshal(raw, &list) != nil || list.Items == nil {
		if found.Metadata.Namespace == "" {
			found.Metadata.Namespace = namespace
		}
		return []Document{found}
	}
	var all []Document
	for i, item := range list.Items {
		all = append(all, objects(fmt.Sprintf("%s items[%d]", place, i), item, namespace)...)
	}
	return all
}

// firstLine is where a document's first word is.
func firstLine(source Text) int {
	line := source.Line
	for row := range strings.Lines(string(source.Content)) {
		if trimmed := strings.TrimSpace(row); trimmed != "" && trimmed[0] != '#' {
			break
		}
		line++
	}
	return line
}

var lineNumber = regexp.MustCompile(`\bline (\d+)\b`)

// inFile makes a parser's line numbers, which count from the document's first line, those of the file.
func inFile(message string, start int) string {
	message = strings.TrimPrefix(strings.TrimPrefix(message, "error converting YAML to JSON: "), "yaml: ")
	message = strings.TrimPrefix(message, "unmarshal errors:\n")
	return lineNumber.ReplaceAllStringFunc(message, func(found string) string {
		number, err := strconv.Atoi(strings.TrimPrefix(found, "line "))
		if err != nil {
			return found
		}
		return fmt.Sprintf("line %d", number+start-1)
	})
}

// ReadDocuments reads the files in order, and makes objects of what is in them.
func ReadDocuments(ctx context.Context, in io.Reader, names []string, namespace string) ([]Document, error) {
	texts, err := ReadTexts(ctx, in, names)
	if err != nil {
		return nil, err
	}
	var all []Document
	for _, text := range texts {
		all = append(all, Parse(text, namespace)...)
	}
	return all, ctx.Err()
}
