// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

const (
	// mostCollected bounds what is sorted of very many problems.
	mostCollected = 10_000
	// longestName is how much of a name a path repeats.
	longestName = 64
)

// plain is a name that stands in a path as it is.
var plain = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,63}$`)

// report makes sentences of the validator's findings.
type report struct {
	root     string
	document any
	problems []Problem
	err      error
}

func (r report) of(failed *jsonschema.ValidationError) (Findings, error) {
	r.visit(failed, nil)
	if r.err != nil {
		return Findings{}, r.err
	}
	slices.SortFunc(r.problems, func(a, b Problem) int {
		return cmp.Or(natural(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
	})
	problems := slices.Compact(r.problems)
	more := max(0, len(problems)-MaxProblems)
	return Findings{Problems: slices.Clip(problems[:len(problems)-more]), More: more}, nil
}

// natural compares paths, numbers in them as numbers.
func natural(a, b string) int {
	numbers := func(text string) int {
		end := 0
		for end < len(text) && text[end] >= '0' && text[end] <= '9' {
			end++
		}
		return end
	}
	for a != "" && b != "" {
		if inA, inB := numbers(a), numbers(b); inA > 0 && inB > 0 && inA != inB {
			return cmp.Compare(inA, inB)
		}
		if a[0] != b[0] {
			break
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(a, b)
}

// visit adds what an error comes to. within is where the error that it is a cause of was.
func (r *report) visit(failed *jsonschema.ValidationError, within []string) {
	if failed == nil || len(r.problems) >= mostCollected {
		return
	}
	place := failed.InstanceLocation
	switch failure := failed.ErrorKind.(type) {
	case *kind.Schema, *kind.Group, *kind.Reference, *kind.AllOf:
		for _, cause := range failed.Causes {
			r.visit(cause, place)
		}
	case *kind.AnyOf:
		r.alternatives(failed)
	case *kind.OneOf:
		if len(failure.Subschemas) > 0 {
			r.add(place, "fits more than one of the alternatives, of which it must fit one")
			return
		}
		r.alternatives(failed)
	case *kind.PropertyNames:
		// The validator's own place may be that of a neighbor by now.
		if found := holders(r.document, len(place), failure.Property); len(found) == 1 {
			within = found[0]
		}
		r.add(within, "has the name "+quoted(failure.Property)+", which the schema does not allow")
	case *kind.RefCycle, *kind.InvalidJsonValue:
		r.err = errFault
	default:
		r.leaf(place, failed.ErrorKind)
	}
}

// holders are the places at a depth that have a member of this name, two at most.
func holders(value any, depth int, name string) [][]string {
	if depth == 0 {
		if object, ok := value.(map[string]any); ok {
			if _, has := object[name]; has {
				return [][]string{nil}
			}
		}
		return nil
	}
	var found [][]string
	visit := func(token string, member any) {
		for _, place := range holders(member, depth-1, name) {
			found = append(found, append([]string{token}, place...))
		}
	}
	switch value := value.(type) {
	case map[string]any:
		for token, member := range value {
			visit(token, member)
		}
	case []any:
		for i, member := range value {
			visit(strconv.Itoa(i), member)
		}
	}
	return found[:min(len(found), 2)]
}

// alternatives explains the only alternative that is meant for values of this type, if there is one only.
func (r *report) alternatives(failed *jsonschema.ValidationError) {
	var meant []*jsonschema.ValidationError
	for _, cause := range failed.Causes {
		if !ofType(cause, len(failed.InstanceLocation)) {
			meant = append(meant, cause)
		}
	}
	if len(meant) == 1 {
		r.visit(meant[0], failed.InstanceLocation)
		return
	}
	r.add(failed.InstanceLocation, "fits none of the "+strconv.Itoa(len(failed.Causes))+" alternatives that the schema has for it")
}

// ofType says whether it is the type of the very value that is wrong.
func ofType(failed *jsonschema.ValidationError, depth int) bool {
	for failed != nil {
		switch failed.ErrorKind.(type) {
		case *kind.Type:
			return len(failed.InstanceLocation) == depth
		case *kind.Reference:
			if len(failed.Causes) != 1 {
				return false
			}
			failed = failed.Causes[0]
		default:
			return false
		}
	}
	return false
}

func (r *report) add(place []string, message string) {
	r.problems = append(r.problems, Problem{Path: r.path(place), Message: message})
}

// step is the member of a value, and whether that is an entry of a list.
func step(value any, token string) (member any, entry bool) {
	switch value := value.(type) {
	case map[string]any:
		return value[token], false
	case []any:
		if index, err := strconv.Atoi(token); err == nil && index >= 0 && index < len(value) {
			return value[index], true
		}
	}
	return nil, false
}

// path is a place as people write it.
func (r *report) path(place []string) string {
	path, value := r.root, r.document
	for _, token := range place {
		next, entry := step(value, token)
		if value = next; entry {
			path += "[" + token + "]"
			continue
		}
		path += member(token)
	}
	return path
}

func member(name string) string {
	if plain.MatchString(name) {
		return "." + name
	}
	return "[" + quoted(name) + "]"
}

// quoted is a name of the rules or the schema in quotation marks.
func quoted(name string) string {
	if len(name) > longestName {
		name = name[:longestName] + "…"
	}
	return strconv.Quote(name)
}
