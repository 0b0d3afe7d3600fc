// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"context"
	"errors"
	"reflect"
	"regexp"
	"regexp/syntax"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	// maxSteps bounds how many schemas are asked about a value, altogether: alternatives of alternatives are tried by
	// powers of two.
	maxSteps = 200_000
	// often is how many steps lie between two looks at the clock.
	often = 256
	// maxInstructions bounds what all patterns of a schema compile to, maxMatching the instructions times the bytes
	// that they are tried on.
	maxInstructions = 100_000
	maxMatching     = 200_000_000
)

var (
	errTooMuch   = errors.New("the schema asks too much of these rules to be compared with them")
	errTooLarge  = errors.New("the patterns of the schema are too large together")
	errNoPattern = errors.New("this is no regular expression that Go knows")
)

// stop ends a comparison from within.
type stop struct{ reason error }

// meter counts what a comparison costs, and ends it where it costs too much. The validator can't be told to stop, but asks
// extensions and patterns of ours.
type meter struct {
	ctx          context.Context //nolint:containedctx // Of the comparison that runs.
	steps        int
	matching     int
	instructions int
}

func (m *meter) reset(ctx context.Context) {
	m.ctx, m.steps, m.matching = ctx, 0, 0
}

// Validate takes part in each schema's comparison, and takes nothing amiss but its cost.
func (m *meter) Validate(*jsonschema.ValidatorContext, any) {
	m.steps++
	if m.steps > maxSteps {
		panic(stop{errTooMuch})
	}
	if m.steps%often == 0 && m.ctx.Err() != nil {
		panic(stop{errSlow})
	}
}

// attach has the meter take part in a schema and all that it leads to, and returns how many there are.
func (m *meter) attach(schema *jsonschema.Schema) int {
	known := map[*jsonschema.Schema]bool{schema: true}
	waiting := []*jsonschema.Schema{schema}
	for len(waiting) > 0 {
		last := len(waiting) - 1
		next := waiting[last]
		waiting = waiting[:last]
		for _, child := range children(next) {
			if child != nil && !known[child] {
				known[child] = true
				waiting = append(waiting, child)
			}
		}
		if !slices.Contains(next.Extensions, jsonschema.SchemaExt(m)) {
			next.Extensions = append(next.Extensions, m)
		}
	}
	return len(known)
}

// children are the schemas in the fields of a schema.
func children(schema *jsonschema.Schema) []*jsonschema.Schema {
	var found []*jsonschema.Schema
	value := reflect.ValueOf(schema).Elem()
	for i := range value.NumField() {
		if value.Type().Field(i).IsExported() {
			found = append(found, schemasIn(value.Field(i))...)
		}
	}
	return found
}

// schemasIn are the schemas in a field: itself, or in a list, in a map, or behind an interface.
func schemasIn(value reflect.Value) []*jsonschema.Schema {
	var found []*jsonschema.Schema
	switch value.Kind() {
	case reflect.Interface:
		return schemasIn(value.Elem())
	case reflect.Pointer:
		if child, ok := reflect.TypeAssert[*jsonschema.Schema](value); ok {
			return []*jsonschema.Schema{child}
		}
		if reference, ok := reflect.TypeAssert[*jsonschema.DynamicRef](value); ok && reference != nil {
			return []*jsonschema.Schema{reference.Ref}
		}
	case reflect.Slice:
		for i := range value.Len() {
			found = append(found, schemasIn(value.Index(i))...)
		}
	case reflect.Map:
		for _, key := range value.MapKeys() {
			found = append(found, schemasIn(value.MapIndex(key))...)
		}
	default:
	}
	return found
}

// pattern compiles a pattern of the schema, or of one that is in the rules (format: regex).
func (m *meter) pattern(text string) (jsonschema.Regexp, error) {
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, errNoPattern // the library's error repeats it
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, errNoPattern
	}
	size := len(program.Inst)
	if m.instructions += size; m.instructions > maxInstructions {
		return nil, errTooLarge
	}
	compiled, err := regexp.Compile(text)
	if err != nil {
		return nil, errNoPattern
	}
	return &pattern{Regexp: compiled, size: size, meter: m}, nil
}

// pattern is one whose matching is counted.
type pattern struct {
	*regexp.Regexp

	size  int
	meter *meter
}

// MatchString tries the pattern.
func (p *pattern) MatchString(text string) bool {
	if p.meter.matching += p.size * len(text); p.meter.matching > maxMatching {
		panic(stop{errTooMuch})
	}
	return p.Regexp.MatchString(text)
}
