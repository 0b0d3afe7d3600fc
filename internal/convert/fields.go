// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// reading is an object while it is read: it knows what is wrong with it.
type reading struct {
	object   Object
	root     *fields
	problems []string
}

func newReading(object Object) (*reading, error) {
	decoder := json.NewDecoder(bytes.NewReader(object.JSON))
	decoder.UseNumber()
	var values map[string]any
	if err := decoder.Decode(&values); err != nil {
		return nil, errors.New("can't be read as an object")
	}
	r := &reading{object: object}
	r.root = r.fields("", values)
	// They say who and when, or are others' memory, and mean nothing to a plugin.
	r.root.skip("apiVersion", "kind", "status")
	r.root.object("metadata").skip("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink", "annotations",
		"ownerReferences", "finalizers", "generateName")
	return r, nil
}

// fields are those of an object, which remembers what was read: what wasn't can't get lost without a word. Names are
// found in protobuf's two ways of writing them, vm_config and vmConfig.
type fields struct {
	path    string
	values  map[string]any
	written map[string]string
	seen    map[string]bool
	within  map[string][]*fields
	of      *reading
}

func (r *reading) fields(path string, values map[string]any) *fields {
	f := &fields{path: path, values: map[string]any{}, written: map[string]string{}, seen: map[string]bool{}, within: map[string][]*fields{}, of: r}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		camel := camelCase(name)
		if _, twice := f.values[camel]; twice {
			r.problem(f.join(name), "stands there twice, once as %s; keep one", f.written[camel])
		}
		f.values[camel], f.written[camel] = values[name], name
	}
	return f
}

func (r *reading) problem(path, format string, args ...any) {
	r.problems = append(r.problems, path+" "+fmt.Sprintf(format, args...))
}

func camelCase(name string) string {
	words := strings.Split(name, "_")
	for i := 1; i < len(words); i++ {
		if words[i] != "" {
			words[i] = strings.ToUpper(words[i][:1]) + words[i][1:]
		}
	}
	return strings.Join(words, "")
}

// join is the path of a field, as it is written.
func (f *fields) join(name string) string {
	if written, there := f.written[name]; there {
		name = written
	}
	if f.path == "" {
		return name
	}
	return f.path + "." + name
}

// value is a field's, nil where it isn't there. It counts as read to its end.
func (f *fields) value(name string) any {
	f.seen[name] = true
	return f.values[name]
}

func (f *fields) has(name string) bool { return f.values[name] != nil }

// skip reads fields that have no meaning here.
func (f *fields) skip(names ...string) {
	for _, name := range names {
		f.seen[name] = true
	}
}

func (f *fields) text(name string) string {
	switch value := f.value(name).(type) {
	case nil:
		return ""
	case string:
		return value
	default:
		f.of.problem(f.join(name), "takes a text")
		return ""
	}
}

func (f *fields) flag(name string) bool {
	switch value := f.value(name).(type) {
	case nil:
		return false
	case bool:
		return value
	default:
		f.of.problem(f.join(name), "takes true or false")
		return false
	}
}

// number reads a whole number; protobuf's JSON may have it in quotes.
func (f *fields) number(name string) (int64, bool) {
	var text string
	switch value := f.value(name).(type) {
	case nil:
		return 0, false
	case json.Number:
		text = value.String()
	case string:
		text = value
	}
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		f.of.problem(f.join(name), "takes a whole number")
		return 0, false
	}
	return number, true
}

// object is a field's fields, none where it isn't there.
func (f *fields) object(name string) *fields {
	if known := f.within[name]; len(known) > 0 {
		return known[0]
	}
	values, ok := f.value(name).(map[string]any)
	if !ok && f.values[name] != nil {
		f.of.problem(f.join(name), "takes fields and their values")
	}
	child := f.of.fields(f.join(name), values)
	f.within[name] = []*fields{child}
	return child
}

func (f *fields) objects(name string) []*fields {
	if known, read := f.within[name]; read {
		return known
	}
	list := f.list(name)
	children := []*fields{}
	for i, item := range list {
		path := fmt.Sprintf("%s[%d]", f.join(name), i)
		values, ok := item.(map[string]any)
		if !ok {
			f.of.problem(path, "takes fields and their values")
			continue
		}
		children = append(children, f.of.fields(path, values))
	}
	f.within[name] = children
	return children
}

func (f *fields) list(name string) []any {
	value := f.value(name)
	list, ok := value.([]any)
	if !ok && value != nil {
		f.of.problem(f.join(name), "takes a list")
	}
	return list
}

func (f *fields) texts(name string) []string {
	var texts []string
	for i, item := range f.list(name) {
		text, ok := item.(string)
		if !ok {
			f.of.problem(fmt.Sprintf("%s[%d]", f.join(name), i), "takes a text")
			continue
		}
		texts = append(texts, text)
	}
	return texts
}

// table is a field that maps names, which stay as they are, to texts.
func (f *fields) table(name string) map[string]string {
	values, ok := f.value(name).(map[string]any)
	if !ok && f.values[name] != nil {
		f.of.problem(f.join(name), "takes names and their values")
	}
	table := map[string]string{}
	for key, value := range values {
		text, ok := value.(string)
		if !ok {
			f.of.problem(f.join(name), "has a value that is no text; put it in quotes")
			continue
		}
		table[key] = text
	}
	return table
}

// unread are the paths of what nobody looked at.
func (f *fields) unread() []string {
	var paths []string
	for _, name := range slices.Sorted(maps.Keys(f.values)) {
		if f.values[name] != nil && !f.seen[name] {
			paths = append(paths, f.join(name))
		}
		for _, child := range f.within[name] {
			paths = append(paths, child.unread()...)
		}
	}
	return paths
}
