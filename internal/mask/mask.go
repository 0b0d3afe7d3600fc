// SPDX-License-Identifier: Apache-2.0

// Package mask keeps secrets out of texts that others read.
package mask

import (
	"iter"
	"strings"
)

// Hidden stands where something secret stood.
const Hidden = "***"

// long is in bytes.
const long = 256

// Hide returns a text with Hidden in place of whatever belongs to one of the secrets. All places are found before any is
// replaced: one secret may begin another, or overlap it.
func Hide(text string, secrets iter.Seq[string]) string {
	hidden := make([]bool, len(text))
	for secret := range secrets {
		if secret == "" {
			continue
		}
		// A secret may overlap itself; one that is long is looked for from its end on, lest a text of one letter take long.
		step := 1
		if len(secret) > long {
			step = len(secret)
		}
		for begin := 0; ; begin += step {
			found := strings.Index(text[begin:], secret)
			if found < 0 {
				break
			}
			begin += found
			for i := range len(secret) {
				hidden[begin+i] = true
			}
		}
	}
	var out strings.Builder
	for i := range len(text) {
		switch {
		case !hidden[i]:
			out.WriteByte(text[i])
		case i == 0 || !hidden[i-1]:
			out.WriteString(Hidden)
		}
	}
	return out.String()
}
