// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/apply"
)

// TestBehind: what the cache shows after a write, and whether that is older than the write.
func TestBehind(t *testing.T) {
	child := func(version string) apply.Children {
		return apply.Children{wasmv1alpha1.EnvoyFilterConfig: {ObjectMeta: metav1.ObjectMeta{ResourceVersion: version}}}
	}
	for name, test := range map[string]struct {
		observed, written, shown apply.Children
		plugin                   string
		behind                   bool
	}{
		"all is shown":                      {observed: child("5"), written: child("7"), shown: child("7"), plugin: "9"},
		"a later version is shown":          {observed: child("5"), written: child("7"), shown: child("8"), plugin: "12"},
		"the plugin isn't shown":            {observed: child("5"), written: child("7"), shown: child("7"), plugin: "8", behind: true},
		"the child isn't shown":             {observed: child("5"), written: child("7"), shown: child("5"), plugin: "9", behind: true},
		"a created child isn't shown":       {written: child("7"), plugin: "9", behind: true},
		"a child was deleted after a write": {observed: child("5"), written: child("7"), plugin: "9"},
		"a child of somebody else is gone":  {observed: child("5"), written: child("5"), plugin: "9"},
	} {
		t.Run(name, func(t *testing.T) {
			var versions writtenVersions
			meta := metav1.ObjectMeta{Namespace: "shop", Name: "basic-auth", ResourceVersion: "9"}
			versions.remember(&wasmv1alpha1.WasmPlugin{ObjectMeta: meta}, test.observed, test.written)
			meta.ResourceVersion = test.plugin
			if wait := versions.behind(&metav1.PartialObjectMetadata{ObjectMeta: meta}, test.shown); (wait > 0) != test.behind {
				t.Errorf("waits %s, want a wait: %t", wait, test.behind)
			}
		})
	}
}
