// SPDX-License-Identifier: Apache-2.0

package controllers

import "testing"

// TestNoName: a name that a client refuses to ask for is one that nothing has, and no reason to ask again and again.
func TestNoName(t *testing.T) {
	for name, want := range map[string]bool{
		"users": false, "a.b-c": false, "Users": false, "users?x=y": false,
		"..": true, ".": true, "other/users": true, "../../other/configmaps/users": true, "..%2fusers": true,
	} {
		if got := noName(name); got != want {
			t.Errorf("noName(%q) = %t, want %t", name, got, want)
		}
	}
}
