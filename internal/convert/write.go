// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"

	"sigs.k8s.io/yaml"
)

// YAML writes the plugins as documents, each below what there is to say about it.
func YAML(plugins []Plugin) ([]byte, error) {
	documents := make([]Document, 0, len(plugins))
	for _, p := range plugins {
		documents = append(documents, Document{p.From, p.Notes, p.Plugin})
	}
	return Documents(documents)
}

// Document is an object with comments.
type Document struct {
	From, Notes []string
	Object      any
}

// Documents writes objects, each below its comments.
func Documents(documents []Document) ([]byte, error) {
	var out bytes.Buffer
	for i, d := range documents {
		if i > 0 {
			out.WriteString("---\n")
		}
		if len(d.From) > 0 {
			comment(&out, "From "+strings.Join(d.From, " and ")+".")
		}
		for _, note := range d.Notes {
			comment(&out, "- "+note+".")
		}
		content, err := yaml.Marshal(d.Object)
		if err != nil {
			return nil, fmt.Errorf("write the output as YAML: %w", err)
		}
		out.Write(content)
	}
	return out.Bytes(), nil
}

// comment writes a line that stays one, whatever words of a file are in it.
func comment(out *bytes.Buffer, text string) {
	printable := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || unicode.IsSpace(r) || !unicode.IsPrint(r) })
	fmt.Fprintf(out, "# %s\n", strings.Join(printable, " "))
}
