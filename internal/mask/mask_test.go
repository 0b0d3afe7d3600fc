// SPDX-License-Identifier: Apache-2.0

package mask

import (
	"slices"
	"strings"
	"testing"
)

func TestHide(t *testing.T) {
	long := strings.Repeat("ab", 400)
	for _, row := range []struct {
		name, text string
		secrets    []string
		want       string
	}{
		{"no secret", "a text", nil, "a text"},
		{"an empty one", "a text", []string{""}, "a text"},
		{"all of it", "text", []string{"text"}, "***"},
		{"twice", "a b a", []string{"a"}, "*** b ***"},
		{"one begins another", "ab abc", []string{"ab", "abc"}, "*** ***"},
		{"one overlaps another", "-abcdef-", []string{"abcd", "cdef"}, "-***-"},
		{"one after another", "-abcd-", []string{"ab", "cd"}, "-***-"},
		{"one overlaps itself", "-aba ababa-", []string{"aba"}, "-*** ***-"},
		{"a long one, again and again", "-" + long + long + "-", []string{long}, "-***-"},
		{"the mark itself", "a * b", []string{"*"}, "a *** b"},
	} {
		t.Run(row.name, func(t *testing.T) {
			for range 2 {
				if got := Hide(row.text, slices.Values(row.secrets)); got != row.want {
					t.Errorf("got %q, want %q", got, row.want)
				}
				slices.Reverse(row.secrets)
			}
		})
	}
}

func TestHideFirst(t *testing.T) {
	secrets := slices.Values([]string{"-", "secret"})
	for size, want := range map[int]string{-1: "", 0: "", 2: "a***", 4: "a***b***", 6: "a***b***", 9: "a***b***", 10: "a***b***c"} {
		if got := HideFirst("a-bsecretcd", size, secrets); got != want {
			t.Errorf("%d: %q, want %q", size, got, want)
		}
	}
}

// What a plugin says and a Secret holds is a tenant's: it takes no longer where each place overlaps the next.
func BenchmarkOverlaps(b *testing.B) {
	text := strings.Repeat("a", 64<<10)
	var secrets []string
	for size := 4; size <= 256; size++ {
		secrets = append(secrets, strings.Repeat("a", size))
	}
	for b.Loop() {
		if got := Hide(text, slices.Values(secrets)); got != Hidden {
			b.Fatal(got)
		}
	}
}
