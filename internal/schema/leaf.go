// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// mostNamed is how many of the values that a schema takes are named.
const mostNamed = 8

// leaf adds what is wrong at one place. What is repeated comes from the schema, but for the names of properties.
func (r *report) leaf(place []string, failure jsonschema.ErrorKind) {
	switch failure := failure.(type) {
	case *kind.Required:
		r.missing(place, failure.Missing, "is missing")
	case *kind.DependentRequired:
		r.missing(place, failure.Missing, "is missing, which "+quoted(failure.Prop)+" needs")
	case *kind.Dependency:
		r.missing(place, failure.Missing, "is missing, which "+quoted(failure.Prop)+" needs")
	case *kind.AdditionalProperties:
		for _, name := range failure.Properties {
			r.add(append(slices.Clone(place), name), "is not known to the schema")
		}
	case *kind.FalseSchema:
		r.add(place, "must not be there")
	default:
		r.add(place, sentence(failure))
	}
}

func (r *report) missing(place, names []string, message string) {
	for _, name := range names {
		r.problems = append(r.problems, Problem{Path: r.path(place) + member(name), Message: message})
	}
}

// sentence is about one value.
func sentence(failure jsonschema.ErrorKind) string {
	switch failure := failure.(type) {
	case *kind.Type:
		return "is " + article(failure.Got) + ", must be " + types(failure.Want)
	case *kind.Enum:
		return "must be one of " + values(failure.Want)
	case *kind.Const:
		return "must be " + values([]any{failure.Want})
	case *kind.Format:
		return "is not of the format " + quoted(failure.Want)
	case *kind.Pattern:
		return "does not match the pattern " + words(failure.Want)
	case *kind.Not:
		return "is what the schema excludes"
	case *kind.MinLength:
		return fmt.Sprintf("must have %d characters or more", failure.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("must have %d characters or fewer", failure.Want)
	}
	if text := bounds(failure); text != "" {
		return text
	}
	return entries(failure)
}

func bounds(failure jsonschema.ErrorKind) string {
	switch failure := failure.(type) {
	case *kind.Minimum:
		return "must be " + decimal(failure.Want) + " or more"
	case *kind.Maximum:
		return "must be " + decimal(failure.Want) + " or less"
	case *kind.ExclusiveMinimum:
		return "must be more than " + decimal(failure.Want)
	case *kind.ExclusiveMaximum:
		return "must be less than " + decimal(failure.Want)
	case *kind.MultipleOf:
		return "must be a multiple of " + decimal(failure.Want)
	}
	return ""
}

func entries(failure jsonschema.ErrorKind) string {
	switch failure := failure.(type) {
	case *kind.MinItems:
		return fmt.Sprintf("has %d entries, must have %d or more", failure.Got, failure.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("has %d entries, must have %d or fewer", failure.Got, failure.Want)
	case *kind.AdditionalItems:
		return fmt.Sprintf("has %d entries too many", failure.Count)
	case *kind.MinProperties:
		return fmt.Sprintf("has %d names, must have %d or more", failure.Got, failure.Want)
	case *kind.MaxProperties:
		return fmt.Sprintf("has %d names, must have %d or fewer", failure.Got, failure.Want)
	case *kind.UniqueItems:
		return fmt.Sprintf("has equal entries, %d and %d", failure.Duplicates[0], failure.Duplicates[1])
	case *kind.Contains:
		return "has none of the entries that the schema asks for"
	case *kind.MinContains:
		return fmt.Sprintf("has %d of the entries that the schema asks for, must have %d or more", len(failure.Got), failure.Want)
	case *kind.MaxContains:
		return fmt.Sprintf("has %d of the entries that the schema counts, must have %d or fewer", len(failure.Got), failure.Want)
	}
	return "does not fit the schema"
}

func types(names []string) string {
	words := make([]string, 0, len(names))
	for _, name := range names {
		words = append(words, article(name))
	}
	return strings.Join(words, " or ")
}

func article(name string) string {
	switch name {
	case "null":
		return name
	case "array":
		return "a list"
	case "object", "integer":
		return "an " + name
	default:
		return "a " + name
	}
}

// values are those of a schema, in JSON.
func values(list []any) string {
	all := make([]string, 0, mostNamed)
	for i, value := range list {
		if i == mostNamed {
			return strings.Join(all, ", ") + fmt.Sprintf(" and %d more", len(list)-i)
		}
		all = append(all, words(inJSON(value)))
	}
	return strings.Join(all, ", ")
}

// inJSON leaves <, > and & as they are.
func inJSON(value any) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(value) != nil {
		return "…"
	}
	return out.String()
}

// decimal writes a number out as far as that ends.
func decimal(number *big.Rat) string {
	const longest = 20
	digits, exact := number.FloatPrec()
	if !exact || digits > longest {
		digits = longest
	}
	return words(number.FloatString(digits))
}
