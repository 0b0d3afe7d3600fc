// SPDX-License-Identifier: Apache-2.0

package main

import (
	"debug/buildinfo"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// sizeAtMost is what somebody downloads who only wants to look at a plugin.
const sizeAtMost = 120 << 20

// cloud are the kits for the interfaces of clouds, which only the store's own build with buckets has.
var cloud = regexp.MustCompile(`^(cloud\.google\.com/go|github\.com/(aws/aws-sdk|Azure/azure-sdk)[^/]*|gocloud\.dev|google\.golang\.org/api)(/|$)`)

// TestSize is of what hack/build.sh makes, and so of what is released.
func TestSize(t *testing.T) {
	program := filepath.Join(t.TempDir(), "wasmctl")
	if out, err := exec.CommandContext(t.Context(), "../../hack/build.sh", program, "./cmd/wasmctl").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	file, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	if file.Size() > sizeAtMost {
		t.Errorf("%d bytes, more than %d", file.Size(), sizeAtMost)
	}
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if len(info.Deps) < 50 {
		t.Errorf("only %d modules are named", len(info.Deps))
	}
	for _, module := range info.Deps {
		if cloud.MatchString(module.Path) {
			t.Errorf("%s is linked", module.Path)
		}
	}
	t.Logf("%.1f MB, %d modules", float64(file.Size())/1e6, len(info.Deps))
}
