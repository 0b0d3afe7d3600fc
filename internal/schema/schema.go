// SPDX-License-Identifier: Apache-2.0

// Package schema compares rules with the JSON Schema that a module carries. Both are strangers' work: nothing is loaded from
// anywhere, what either may cost is bounded, and what it says of rules repeats none of their values, which may be credentials.
package schema

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	// MaxSize bounds a schema's bytes.
	MaxSize = 256 << 10
	// MaxProblems bounds how many problems are named.
	MaxProblems = 8

	// maxValues and maxDepth bound a schema: what compiles one takes time by their square.
	maxValues = 10_000
	maxDepth  = 64
	// maxFrames bounds how deep the comparison may call itself: at each level of the rules no schema is asked twice.
	maxFrames = 50_000
	// maxDigits bounds a number, and its exponent: it is written out to be compared.
	maxDigits = 400
	// maxWords bounds what is repeated of a schema.
	maxWords = 200

	location = "schema:///rules"
)

// Schema is one that was compiled. Its methods may be called one after the other.
type Schema struct {
	compiled *jsonschema.Schema
	schemas  int
	meter    *meter
}

// Problem is where rules don't fit a schema.
type Problem struct {
	// Path is that of the value, such as spec.rules.users[0].name.
	Path string
	// Message says what is wrong with it, without the value.
	Message string
}

// String is the problem as part of a sentence.
func (p Problem) String() string { return p.Path + " " + p.Message }

// Findings are what is wrong with a document: the first problems, in the order of their paths, and how many there are more.
type Findings struct {
	Problems []Problem
	More     int
}

// String is all of them as part of a sentence.
func (f Findings) String() string {
	words := make([]string, 0, len(f.Problems)+1)
	for _, problem := range f.Problems {
		words = append(words, problem.String())
	}
	if f.More > 0 {
		words = append(words, fmt.Sprintf("and %d more", f.More))
	}
	return strings.Join(words, "; ")
}

// Compile reads a schema. It takes JSON Schema 2020-12, or the draft that $schema names. Its errors are of the schema.
func Compile(ctx context.Context, text []byte) (*Schema, error) {
	if len(text) > MaxSize {
		return nil, fmt.Errorf("the schema is larger than %d KiB", MaxSize>>10)
	}
	document, err := decode(text)
	if err != nil {
		return nil, errors.New("the schema is not JSON")
	}
	size := sizeOf(document)
	switch {
	case size.unwieldy:
		return nil, fmt.Errorf("the schema holds a number of more than %d digits", maxDigits)
	case size.values > maxValues, size.depth > maxDepth:
		return nil, fmt.Errorf("the schema has more than %d values, or is nested deeper than %d levels", maxValues, maxDepth)
	}
	return within(ctx, func() (*Schema, error) { return compile(document) })
}

func compile(document any) (*Schema, error) {
	meter := &meter{}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.UseLoader(noLoader{})
	compiler.UseRegexpEngine(meter.pattern)
	if err := compiler.AddResource(location, document); err != nil {
		return nil, broken(err)
	}
	compiled, err := compiler.Compile(location)
	if err != nil {
		return nil, broken(err)
	}
	return &Schema{compiled: compiled, schemas: meter.attach(compiled), meter: meter}, nil
}

// Validate compares a JSON document with the schema. root is where the document is, for paths. An error says that they could
// not be compared, and nothing of whether the document is good.
func (s *Schema) Validate(ctx context.Context, root string, text []byte) (Findings, error) {
	document, err := decode(text)
	if err != nil {
		return Findings{}, errors.New("the rules are not JSON")
	}
	size := sizeOf(document)
	switch {
	case size.unwieldy:
		return Findings{}, fmt.Errorf("the rules hold a number of more than %d digits", maxDigits)
	case size.depth > maxFrames/max(1, s.schemas):
		return Findings{}, errors.New("the rules are nested too deep for the schema")
	}
	return within(ctx, func() (Findings, error) {
		s.meter.reset(ctx)
		err := s.compiled.Validate(document)
		if err == nil {
			return Findings{}, nil
		}
		failed, ok := errors.AsType[*jsonschema.ValidationError](err)
		if !ok {
			return Findings{}, broken(err)
		}
		return report{root: root, document: document}.of(failed)
	})
}

// within ends when the context does, whatever becomes of the work, and when the work does, however it ends.
func within[T any](ctx context.Context, work func() (T, error)) (T, error) {
	type outcome struct {
		result T
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		var came outcome
		defer func() {
			if fault := recover(); fault != nil {
				came.err = errFault
				if stopped, ok := fault.(stop); ok {
					came.err = stopped.reason
				}
			}
			done <- came
		}()
		came.result, came.err = work()
	}()
	select {
	case came := <-done:
		return came.result, came.err
	case <-ctx.Done():
		var none T
		return none, errSlow
	}
}

var (
	errFault = errors.New("the schema is one that the validator can't handle")
	errSlow  = errors.New("the schema takes too long to be compared with")
)

// noLoader has nothing outside of the schema.
type noLoader struct{}

// Load finds nothing.
func (noLoader) Load(string) (any, error) {
	return nil, errors.New("a schema must be whole: nothing is loaded for it")
}

// broken is the error of a schema that is none.
func broken(err error) error {
	if outside, ok := errors.AsType[*jsonschema.LoadURLError](err); ok {
		return fmt.Errorf("the schema refers to %s, which is outside of it", words(outside.URL))
	}
	if invalid, ok := errors.AsType[*jsonschema.SchemaValidationError](err); ok {
		if failed, ok := errors.AsType[*jsonschema.ValidationError](invalid.Err); ok {
			if found, err := (report{root: "rulesSchema"}).of(failed); err == nil && len(found.Problems) > 0 {
				return fmt.Errorf("the schema is no JSON Schema: %s", words(found.Problems[0].String()))
			}
		}
	}
	return fmt.Errorf("the schema is no JSON Schema: %s", words(err.Error()))
}

// words are as much of a text as is repeated, in one line.
func words(text string) string {
	line := strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if len(line) > maxWords {
		return strings.ToValidUTF8(line[:maxWords], "") + "…"
	}
	return line
}

// decode keeps numbers as they are written.
func decode(text []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var document any
	if err := decoder.Decode(&document); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the document")
	}
	return document, nil
}

// size is what may make a document expensive.
type size struct {
	values, depth int
	// unwieldy: it holds a number that takes long to write out.
	unwieldy bool
}

func sizeOf(value any) size {
	all := size{values: 1, depth: 1}
	add := func(member any) {
		inner := sizeOf(member)
		all.values += inner.values
		all.depth = max(all.depth, inner.depth+1)
		all.unwieldy = all.unwieldy || inner.unwieldy
	}
	switch value := value.(type) {
	case map[string]any:
		for _, member := range value {
			add(member)
		}
	case []any:
		for _, member := range value {
			add(member)
		}
	case json.Number:
		all.unwieldy = unwieldy(value.String())
	}
	return all
}

func unwieldy(number string) bool {
	digits, exponent := number, 0
	if at := strings.IndexAny(number, "eE"); at >= 0 {
		var err error
		digits = number[:at]
		if exponent, err = strconv.Atoi(number[at+1:]); err != nil {
			return true
		}
	}
	return len(digits) > maxDigits || exponent > maxDigits || exponent < -maxDigits
}
