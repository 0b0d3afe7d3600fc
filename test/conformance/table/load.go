// SPDX-License-Identifier: Apache-2.0

package table

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"sigs.k8s.io/yaml"
)

// Load reads the cases of testdata/cases, in the order of the files' names and of each file.
func Load(testdata string) ([]Case, error) {
	places, err := loadPlaces(filepath.Join(testdata, "places.yaml"))
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(testdata, "cases", "*.yaml"))
	if err != nil {
		return nil, err
	}
	var cases []Case
	for _, file := range files {
		more, err := loadFile(file)
		if err != nil {
			return nil, err
		}
		cases = append(cases, more...)
	}
	seen := map[string]bool{}
	for i := range cases {
		if err := errors.Join(cases[i].complete(places), cases[i].check()); err != nil {
			return nil, fmt.Errorf("case %s: %w", cases[i].Name, err)
		}
		if seen[cases[i].Name] {
			return nil, fmt.Errorf("case %s: there are two of that name", cases[i].Name)
		}
		seen[cases[i].Name] = true
	}
	return cases, nil
}

func loadFile(file string) ([]Case, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	raw, err := yaml.YAMLToJSONStrict(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber() // the integers of a spec stay what they are
	decoder.DisallowUnknownFields()
	var cases []Case
	if err := decoder.Decode(&cases); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return cases, nil
}

// loadPlaces reads names for lists of places.
func loadPlaces(file string) (map[string][]string, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var places map[string][]string
	if err := yaml.UnmarshalStrict(content, &places); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return places, nil
}

// complete fills in what may be left out.
func (c *Case) complete(places map[string][]string) error {
	for _, plugins := range [][]Plugin{c.Plugins, c.Native} {
		for i := range plugins {
			plugins[i].Name = cmp.Or(plugins[i].Name, "plugin")
		}
	}
	for i := range c.Proxies {
		proxy := &c.Proxies[i]
		if proxy.Each == nil {
			proxy.Each = map[string][]string{}
		}
		for _, plugin := range c.Plugins {
			at, named := proxy.Each[plugin.ID()]
			if !named && !plugin.Nowhere && plugin.Refused == nil {
				at = proxy.At
			}
			proxy.Each[plugin.ID()] = expand(at, places)
		}
		if len(proxy.Each) != len(c.Plugins) {
			return fmt.Errorf("proxy %d names a plugin that there isn't", i)
		}
		if proxy.NativeAt != nil {
			proxy.NativeAt = new(expand(*proxy.NativeAt, places))
		}
	}
	return nil
}

func expand(at []string, places map[string][]string) []string {
	var expanded []string
	for _, place := range at {
		if several, ok := places[place]; ok {
			expanded = append(expanded, several...)
		} else {
			expanded = append(expanded, place)
		}
	}
	slices.Sort(expanded)
	return slices.Compact(expanded)
}

// check finds cases that would prove nothing.
func (c *Case) check() error {
	switch {
	case c.About == "" || len(c.Fields) == 0 || len(c.Contexts) == 0 || len(c.Plugins) == 0:
		return errors.New("about, fields, contexts and plugins are needed")
	case c.Verdict != Equal && c.Verdict != Beyond && c.Verdict != Unsayable:
		return fmt.Errorf("verdict is %q", c.Verdict)
	case (c.Verdict == Equal) != (c.Why == ""):
		return errors.New("why is needed for every verdict but equal, and for none but those")
	case c.Verdict == Equal && len(c.Native) == 0:
		return errors.New("nothing native to be equal to")
	case c.Verdict == Equal && (len(c.Beyond) > 0 || slices.ContainsFunc(c.Proxies, Proxy.differs)):
		return errors.New("is said to be equal, and to differ")
	case !c.refused() && !slices.ContainsFunc(c.Proxies, Proxy.hasAny):
		return errors.New("no proxy gets a filter, so that nothing tells whether istiod has seen the plugins")
	}
	for i, proxy := range c.Proxies {
		if Kinds[proxy.Kind] == nil {
			return fmt.Errorf("proxy %d is of the unknown kind %q", i, proxy.Kind)
		}
		if !proxy.hasAny() && slices.ContainsFunc(c.Proxies[i:], Proxy.hasAny) {
			return fmt.Errorf("proxy %d gets nothing; name those that get something first", i)
		}
	}
	return nil
}

func (c *Case) refused() bool {
	return !slices.ContainsFunc(c.Plugins, func(p Plugin) bool { return p.Refused == nil })
}

func (p Proxy) differs() bool { return p.NativeAt != nil || p.NativeChain != nil }

func (p Proxy) hasAny() bool {
	for _, at := range p.Each {
		if len(at) > 0 {
			return true
		}
	}
	return p.NativeAt != nil && len(*p.NativeAt) > 0
}
