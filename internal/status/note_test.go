// SPDX-License-Identifier: Apache-2.0

package status

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// TestNote: an API server refuses an event whose text has more than 1,024 bytes, and then nobody hears of it.
func TestNote(t *testing.T) {
	for name, test := range map[string]struct{ in, want string }{
		"short":             {"All is well.", "All is well."},
		"as long as it may": {strings.Repeat("x", 1024), strings.Repeat("x", 1024)},
		"longer":            {strings.Repeat("x", 1025), strings.Repeat("x", 1021) + "…"},
		"much longer":       {Sentence(strings.Repeat("é", 4000)), strings.Repeat("é", 510) + "…"},
	} {
		t.Run(name, func(t *testing.T) {
			got := Note(test.in)
			if got != test.want || len(got) > 1024 || !utf8.ValidString(got) {
				t.Errorf("got %d bytes: %s", len(got), got)
			}
		})
	}
}
