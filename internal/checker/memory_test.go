// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
)

func TestContainerLimit(t *testing.T) {
	for name, test := range map[string]struct {
		contents [2]string
		want     int64
	}{
		"version 2":           {[2]string{"1073741824\n", ""}, 1 << 30},
		"version 1":           {[2]string{"", "536870912\n"}, 512 << 20},
		"version 2, no limit": {[2]string{"max\n", ""}, 0},
		"version 1, no limit": {[2]string{"", "9223372036854771712\n"}, 0},
		"no container":        {[2]string{"", ""}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			before := containerLimits
			t.Cleanup(func() { containerLimits = before })
			containerLimits = nil
			for i, content := range test.contents {
				path := filepath.Join(t.TempDir(), "limit")
				containerLimits = append(containerLimits, path)
				if content == "" {
					continue
				}
				if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
					t.Fatal(i, err)
				}
			}
			if got := containerLimit(); got != test.want {
				t.Errorf("got %d", got)
			}
		})
	}
}

func TestLinearMemory(t *testing.T) {
	for limit, want := range map[int64]uint64{0: 512 << 20, 32 << 20: 16 << 20, 1 << 30: 256 << 20, 1 << 40: 512 << 20} {
		if got := linearMemory(limit); got != want {
			t.Errorf("of %d: %d", limit, got)
		}
	}
}

func TestResident(t *testing.T) {
	debug.FreeOSMemory()
	before := resident()
	block := make([]byte, 64<<20)
	for i := range block {
		block[i] = 1
	}
	if grown := resident() - before; before == 0 || grown < 48<<20 || block[len(block)-1] != 1 {
		t.Errorf("%d bytes, %d more with a block of 64 MiB", before, grown)
	}
}
