// SPDX-License-Identifier: Apache-2.0

// Package cli is what all commands of wasmctl share: how they fail, and how they write.
package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"

	"sigs.k8s.io/yaml"
)

// Write writes all at once: a reader sees all or nothing of what was not computed to the end.
func Write(out io.Writer, content []byte) error {
	if _, err := out.Write(content); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}

// JSON leaves <, > and & as they are.
func JSON(value any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("write the output as JSON: %w", err)
	}
	return out.Bytes(), nil
}

// Encode writes a value in a form for programs.
func Encode(value any, format string) ([]byte, error) {
	if format == FormJSON {
		return JSON(value)
	}
	out, err := yaml.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("write the output as YAML: %w", err)
	}
	return out, nil
}

// Comment writes a line that is a comment, wherever it ends up.
func Comment(out io.Writer, about, text string) {
	fmt.Fprintln(out, "# "+Printable(about+": "+text))
}

// Printable makes one line of a text, without what steers a terminal: words of a file may stand in it.
func Printable(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return r == ' ' || unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
}
