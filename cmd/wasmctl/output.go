// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"

	"sigs.k8s.io/yaml"
)

// write writes all at once: a reader sees all or nothing of what was not computed to the end.
func write(out io.Writer, content []byte) error {
	if _, err := out.Write(content); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}

// asJSON leaves <, > and & as they are.
func asJSON(value any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("write the output as JSON: %w", err)
	}
	return out.Bytes(), nil
}

// encode writes a value in a form for programs.
func encode(value any, format string) ([]byte, error) {
	if format == outputJSON {
		return asJSON(value)
	}
	out, err := yaml.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("write the output as YAML: %w", err)
	}
	return out, nil
}

// comment writes a line that is a comment, wherever it ends up.
func comment(out io.Writer, about, text string) {
	fmt.Fprintln(out, "# "+printable(about+": "+text))
}

// printable makes one line of a text, without what steers a terminal: words of a file may stand in it.
func printable(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return r == ' ' || unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
}
