// SPDX-License-Identifier: Apache-2.0

package runtimeconfig

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/solarmesh/wasmplugin-operator/internal/proxywasm"
)

const (
	header = proxywasm.Magic + "\x01\x00\x00\x00"
	// padded is a section of types without any, its length written longer than need be.
	padded = "\x01\x81\x80\x00\x00"
	other  = "\x00\x05\x04name"
)

func TestEmbed(t *testing.T) {
	config := []byte(`{"name": "demo"}`)
	module := []byte(header + padded + other)
	once, err := Embed(module, config)
	if err != nil {
		t.Fatal(err)
	}
	if rest, found := bytes.CutPrefix(once, module); !found || !bytes.HasSuffix(rest, config) || rest[0] != 0 {
		t.Errorf("the module was changed, or the file isn't at its end: %q", once)
	}
	found, there, err := Extract(once)
	if err != nil || !there || cmp.Diff(string(config), string(found)) != "" {
		t.Errorf("got %q, %t, %v", found, there, err)
	}
	again, err := Embed(once, config)
	if err != nil || !bytes.Equal(once, again) {
		t.Errorf("a second time makes another module (%v): %q", err, again)
	}
	// The one in the middle goes, whatever follows it.
	replaced, err := Embed(append(bytes.Clone(once), other...), []byte("{}"))
	if want := header + padded + other + other; err != nil || !strings.HasPrefix(string(replaced), want) {
		t.Errorf("want %q first, got %q, %v", want, replaced, err)
	}
	if found, _, err := Extract(replaced); err != nil || string(found) != "{}" {
		t.Errorf("got %q, %v", found, err)
	}
}

func TestEmbedNothing(t *testing.T) {
	for name, test := range map[string]struct {
		config []byte
		want   error
	}{
		"empty":     {nil, ErrEmpty},
		"large":     {make([]byte, MaxSize+1), ErrTooLarge},
		"the bound": {make([]byte, MaxSize), nil},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Embed([]byte(header), test.config); !errors.Is(err, test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// section is a custom section.
func section(name, content string) string {
	named := string(binary.AppendUvarint(nil, uint64(len(name)))) + name + content
	return "\x00" + string(binary.AppendUvarint(nil, uint64(len(named)))) + named
}

func TestExtract(t *testing.T) {
	for name, test := range map[string]struct {
		module string
		there  bool
		want   error
	}{
		"none":                     {header + other, false, nil},
		"one":                      {header + section(SectionName, "{}"), true, nil},
		"one with a longer name":   {header + section(SectionName+"s", "{}"), false, nil},
		"two":                      {header + section(SectionName, "{}") + section(SectionName, "{}"), false, ErrTwice},
		"an empty one":             {header + section(SectionName, ""), false, ErrEmpty},
		"no module":                {"{}", false, proxywasm.ErrNoModule},
		"a component":              {proxywasm.Magic + "\x0d\x00\x01\x00", false, proxywasm.ErrComponent},
		"cut off":                  {(header + section(SectionName, "{}"))[:40], false, proxywasm.ErrCut},
		"a length that has no end": {header + "\x00\xff\xff\xff\xff\xff\xff", false, proxywasm.ErrCut},
		"a name beyond its end":    {header + "\x00\x02\x09a", false, proxywasm.ErrCut},
	} {
		t.Run(name, func(t *testing.T) {
			config, there, err := Extract([]byte(test.module))
			if there != test.there || !errors.Is(err, test.want) || (config != nil) != test.there {
				t.Errorf("got %q, %t, %v", config, there, err)
			}
			if test.want == nil || errors.Is(test.want, ErrTwice) || errors.Is(test.want, ErrEmpty) {
				return
			}
			if _, err := Embed([]byte(test.module), []byte("{}")); !errors.Is(err, test.want) {
				t.Errorf("embedding: %v", err)
			}
		})
	}
	large := []byte(header + section(SectionName, strings.Repeat(" ", MaxSize+1)))
	if _, _, err := Extract(large); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a large one: %v", err)
	}
}

// FuzzSection: what can be read at all can carry a file, which comes back as it went in.
func FuzzSection(f *testing.F) {
	for _, seed := range []string{header, header + padded + other, header + section(SectionName, "{}") + other, header + "\x00\x80", ""} {
		f.Add([]byte(seed), []byte(`{"name": "demo"}`))
	}
	f.Fuzz(func(t *testing.T, module, config []byte) {
		_, _, readable := Extract(module)
		out, err := Embed(module, config)
		if err != nil {
			broken := errors.Is(err, ErrEmpty) || errors.Is(err, ErrTooLarge)
			if !broken && readable == nil {
				t.Fatalf("it can be read, and carries nothing: %v", err)
			}
			return
		}
		found, there, err := Extract(out)
		if err != nil || !there || !bytes.Equal(found, config) {
			t.Fatalf("got %q, %t, %v", found, there, err)
		}
		if again, err := Embed(out, config); err != nil || !bytes.Equal(out, again) {
			t.Fatalf("a second time: %v", err)
		}
	})
}
