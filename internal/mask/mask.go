// SPDX-License-Identifier: Apache-2.0

// Package mask keeps secrets out of texts that others read.
package mask

import (
	"iter"
	"strings"
)

// Hidden stands where something secret stood.
const Hidden = "***"

// Hide returns a text with Hidden in place of whatever belongs to one of the secrets. All places are found before any is
// replaced: one secret may begin another, or overlap it.
func Hide(text string, secrets iter.Seq[string]) string {
	return HideFirst(text, len(text), secrets)
}

// HideFirst returns the first bytes of a text so. What follows them tells whether a secret begins in them.
func HideFirst(text string, size int, secrets iter.Seq[string]) string {
	hidden := make([]bool, len(text))
	for secret := range secrets {
		if secret != "" {
			find(text, secret, hidden)
		}
	}
	var out strings.Builder
	for i := range max(size, 0) {
		switch {
		case !hidden[i]:
			out.WriteByte(text[i])
		case i == 0 || !hidden[i-1]:
			out.WriteString(Hidden)
		}
	}
	return out.String()
}

// find marks all places of a secret. It may overlap itself: of those places that begin within one, or right behind it, the last
// one covers with it what the others do.
func find(text, secret string, hidden []bool) {
	size := len(secret)
	begin := strings.Index(text, secret)
	for begin >= 0 {
		end := begin + size
		for i := begin; i < end; i++ {
			hidden[i] = true
		}
		if next := strings.LastIndex(text[begin+1:min(end+size, len(text))], secret); next >= 0 {
			begin += 1 + next
		} else if begin = strings.Index(text[end:], secret); begin >= 0 {
			begin += end
		}
	}
}
