// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"fmt"
	"regexp"
	"testing"
)

func TestVersionPattern(t *testing.T) {
	for minimum := oldestProxy; minimum <= newestProxy; minimum++ {
		pattern := regexp.MustCompile(versionPattern(minimum))
		for minor := range 200 {
			for _, form := range []string{"1.%d", "1.%d.0", "1.%d.12-solo.1", "1.%d-alpha.0f1e2d"} {
				version := fmt.Sprintf(form, minor)
				if got, want := pattern.MatchString(version), minor >= minimum; got != want {
					t.Fatalf("%s matches %s: %t", pattern, version, got)
				}
				if reach := (Reach{MinimumMinor: minimum}); reach.takesVersion(version) != pattern.MatchString(version) {
					t.Fatalf("%s is taken otherwise than by %s", version, pattern)
				}
			}
		}
		for _, version := range []string{"", "0.1.31", "11.31.0", "2.0.0", "unknown"} {
			if pattern.MatchString(version) || (Reach{MinimumMinor: minimum}).takesVersion(version) {
				t.Errorf("%s matches %q", pattern, version)
			}
		}
	}
	if versionPattern(0) != "" {
		t.Error("no minimum has a pattern")
	}
}

func TestIstioMinor(t *testing.T) {
	for version, want := range map[string]int{"1.30": 30, "1.9": 9, "1.100": 100} {
		if got, err := IstioMinor(version); err != nil || got != want {
			t.Errorf("%s: %d, %v", version, got, err)
		}
	}
	for _, version := range []string{"", "1", "1.30.1", "1.0", "1.01", "2.1", "v1.30", "1.30-alpha", "1.1000"} {
		if got, err := IstioMinor(version); err == nil {
			t.Errorf("%q is taken for %d", version, got)
		}
	}
}
