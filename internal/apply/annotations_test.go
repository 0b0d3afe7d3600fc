// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"slices"
	"strings"
	"testing"
)

func TestInstances(t *testing.T) {
	const base = "wasm.solarmesh.io/shop.auth"
	for text, names := range map[string][]string{
		base:                          {base},
		base + " ~0a1b ~network":      {base, base + "~0a1b", base + "~network"},
		base + "~network":             {base + "~network"},
		base + "~0a1b .1 .2":          {base + "~0a1b", base + "~0a1b.1", base + "~0a1b.2"},
		base + "~1 " + base + "~2":    {base + "~1", base + "~2"},
		base + " " + base + "-two ~1": {base, base + "-two", base + "~1"},
	} {
		written := formatInstances(names)
		if _, got, _ := strings.Cut(written, " "); got != text {
			t.Errorf("%v is written as %q, want %q", names, got, text)
		}
		if got, known := parseInstances(written); !known || !slices.Equal(got, names) {
			t.Errorf("%q is read as %v, known: %t", written, got, known)
		}
	}
}

func TestInstancesThatWereEdited(t *testing.T) {
	written := formatInstances([]string{"wasm.solarmesh.io/shop.auth", "wasm.solarmesh.io/shop.auth~1"})
	for _, value := range []string{
		"", " ", written[:8], strings.TrimSuffix(written, " ~1"), written + " ~2", strings.Replace(written, "auth", "other", 1),
		strings.ToUpper(written), written[9:],
	} {
		if names, known := parseInstances(value); known {
			t.Errorf("%q is taken for %v", value, names)
		}
	}
}
