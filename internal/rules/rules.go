// SPDX-License-Identifier: Apache-2.0

// Package rules turns a plugin's rules into the one text that the plugin receives. It is pure.
package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"unicode/utf8"
)

const (
	// MaxBytes bounds the text that a plugin receives: etcd takes objects up to 1.5 MiB, and the text stands in the
	// EnvoyFilter with its quotes escaped.
	MaxBytes = 256 << 10
	// MaxDepth bounds the nesting. Parsers of plugins recurse, and those of the control plane are quadratic in it.
	MaxDepth = 64
)

// Canonical returns the JSON object in raw with keys sorted and without spaces. Numbers stay as they are written, so a
// 64-bit integer keeps all its digits. Its errors are sentences that quote nothing of the rules.
func Canonical(raw []byte) (string, error) {
	object, err := parse(raw)
	if err != nil {
		return "", err
	}
	return write(object)
}

// parse reads one JSON object, without loss. Where a name stands twice in an object, the last one counts.
func parse(raw []byte) (map[string]any, error) {
	if err := checkBounds(raw); err != nil {
		return nil, err
	}
	// The decoder would put U+FFFD in the place of either, and so change a password without a word.
	if !utf8.Valid(raw) {
		return nil, errors.New("isn't UTF-8; save it as UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil || object == nil {
		return nil, errors.New("must be a JSON object, for example {\"key\": \"value\"}")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("has something after the JSON object; keep one object")
	}
	if hasLoneSurrogate(raw) {
		return nil, errors.New("has an escape of half a character, between \\ud800 and \\udfff, without its other half; write the character itself")
	}
	return object, nil
}

// escapes matches a pair of surrogates, a lone one, or another escape, whichever comes next.
var escapes = regexp.MustCompile(`\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u[dD][89a-fA-F]..|\\.`)

func hasLoneSurrogate(json []byte) bool {
	return slices.ContainsFunc(escapes.FindAll(json, -1), func(escape []byte) bool { return len(escape) == len(`\udddd`) })
}

func write(object map[string]any) (string, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(object); err != nil {
		return "", fmt.Errorf("can't be written as JSON: %w", err)
	}
	text := bytes.TrimSuffix(out.Bytes(), []byte("\n"))
	if len(text) > MaxBytes {
		return "", tooLong(len(text))
	}
	return string(text), nil
}

// CheckText checks rules that are delivered byte for byte.
func CheckText(text string) error {
	if len(text) > MaxBytes {
		return tooLong(len(text))
	}
	return nil
}

func tooLong(size int) error {
	return fmt.Errorf("is %d bytes long, at most %d can be delivered; make it shorter, or let the plugin fetch what is long",
		size, MaxBytes)
}

// checkBounds looks at size and nesting before anything recurses into raw.
func checkBounds(raw []byte) error {
	// Spaces and escapes can shrink in the canonical form, but not by more than this.
	if len(raw) > 6*MaxBytes {
		return tooLong(len(raw))
	}
	depth, inString, escaped := 0, false, false
	for _, char := range raw {
		switch {
		case escaped:
			escaped = false
		case inString:
			escaped = char == '\\'
			inString = char != '"'
		case char == '"':
			inString = true
		case char == '{' || char == '[':
			depth++
		case char == '}' || char == ']':
			depth--
		}
		if depth > MaxDepth {
			return fmt.Errorf("is nested deeper than %d levels; make it flatter", MaxDepth)
		}
	}
	return nil
}
