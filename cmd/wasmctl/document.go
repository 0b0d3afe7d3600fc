// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// document is one object of the input.
type document struct {
	// place says where it stands: file.yaml:12, and items[3] if it is in a list.
	place string
	// json is the object; nil where it can't be read.
	json []byte
	head
	// unreadable says why it can't be read.
	unreadable string
}

// head is what tells one object from another.
type head struct {
	metav1.TypeMeta `json:",inline"`

	Metadata struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
}

// String names an object as people do: WasmPlugin shop/auth.
func (h head) String() string {
	switch {
	case h.Metadata.Name == "":
		return h.Kind
	case h.Metadata.Namespace == "":
		return h.Kind + " " + h.Metadata.Name
	}
	return h.Kind + " " + h.Metadata.Namespace + "/" + h.Metadata.Name
}

// parse makes objects of a text: one, those of a list, or none where it holds comments only.
func parse(source text, namespace string) []document {
	found := document{place: fmt.Sprintf("%s:%d", source.file, firstLine(source))}
	raw, err := yaml.YAMLToJSONStrict(source.content)
	if err != nil {
		found.unreadable = "isn't YAML: " + inFile(err.Error(), source.line)
		return []document{found}
	}
	if string(raw) == "null" {
		return nil
	}
	return objects(found.place, raw, namespace)
}

// objects unfolds lists, as kubectl get writes them.
func objects(place string, raw []byte, namespace string) []document {
	found := document{place: place, json: raw}
	if err := json.Unmarshal(raw, &found.head); err != nil || found.Kind == "" || found.APIVersion == "" {
		found.json, found.unreadable = nil, "is no object of Kubernetes; give it apiVersion, kind and metadata"
		return []document{found}
	}
	var list struct {
		Items []json.RawMessage `json:"items"`
	}
	if !strings.HasSuffix(found.Kind, "List") || json.Unmarshal(raw, &list) != nil || list.Items == nil {
		if found.Metadata.Namespace == "" {
			found.Metadata.Namespace = namespace
		}
		return []document{found}
	}
	var all []document
	for i, item := range list.Items {
		all = append(all, objects(fmt.Sprintf("%s items[%d]", place, i), item, namespace)...)
	}
	return all
}

// firstLine is where a document's first word is.
func firstLine(source text) int {
	line := source.line
	for row := range strings.Lines(string(source.content)) {
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
