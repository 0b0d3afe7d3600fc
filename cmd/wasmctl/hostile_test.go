// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
)

func TestHostileInput(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 9900) + "1" + strings.Repeat("}", 9900)
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for from, to := 'a', 'b'; to <= 'i'; from, to = to, to+1 {
		bomb += string(to) + ": &" + string(to) + " [" + strings.TrimSuffix(strings.Repeat("*"+string(from)+",", 9), ",") + "]\n"
	}
	tests := map[string]struct {
		input, want string
		code        int
	}{
		"deep rules":      {strings.Replace(goodPlugin, "spec: {", "spec: {rules: "+deep+", ", 1), "nested deeper than 64 levels", cli.ExitRefused},
		"deeper than any": {strings.Repeat("[", 1<<20), "isn't YAML", cli.ExitRefused},
		"many anchors":    {bomb, "excessive aliasing", cli.ExitRefused},
		"large rules":     {strings.Replace(goodPlugin, "spec: {", "spec: {rules: {a: "+strings.Repeat("x", 2<<20)+"}, ", 1), "InvalidRules", cli.ExitRefused},
		"binary":          {"\x00asm\x01\x00\x00\x00", "isn't YAML", cli.ExitRefused},
		"too much":        {strings.Repeat("#", 64<<20+1), "more than 64 MiB", cli.ExitFailed},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := call(t, strings.NewReader(tc.input), "validate", "-f", "-")
			if got.code != tc.code || !strings.Contains(got.out+got.errOut, tc.want) || len(got.out) > 1000 {
				t.Errorf("got %.1000s, want exit %d and %q", got, tc.code, tc.want)
			}
		})
	}
}
