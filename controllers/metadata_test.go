// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// TestTrimShares: what is kept says the same, and once what many say.
func TestTrimShares(t *testing.T) {
	const filter = `{"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter", "metadata": {
		"name": "auth-config", "namespace": "shop", "generation": 3,
		"labels": {"wasm.solarmesh.io/role": "config", "app.kubernetes.io/managed-by": "wasmplugin-operator", "team": "a"},
		"annotations": {"wasm.solarmesh.io/plugin-uid": "u-1", "wasm.solarmesh.io/hash": "x", "wasm.solarmesh.io/renderer": "r"},
		"ownerReferences": [{"apiVersion": "wasm.solarmesh.io/v1alpha1", "kind": "WasmPlugin", "name": "auth", "uid": "u-1", "controller": true}]}}`
	decode := func(text string, into any) {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	trimmed := func() *metav1.PartialObjectMetadata {
		object := &metav1.PartialObjectMetadata{}
		decode(filter, object)
		if _, err := trimEnvoyFilter(object); err != nil {
			t.Fatal(err)
		}
		return object
	}
	want := &metav1.PartialObjectMetadata{}
	decode(filter, want)
	a, b := trimmed(), trimmed()
	if diff := cmp.Diff(want, a); diff != "" {
		t.Errorf("trimming changes (-want +got):\n%s", diff)
	}
	same := func(what, x, y string) {
		t.Helper()
		if x != y || unsafe.StringData(x) != unsafe.StringData(y) { //nolint:gosec // where a text is, not what lies there
			t.Errorf("%s: %q and %q are two texts", what, x, y)
		}
	}
	same("apiVersion", a.APIVersion, b.APIVersion)
	same("namespace", a.Namespace, b.Namespace)
	same("role", a.Labels[wasmv1alpha1.LabelRole], b.Labels[wasmv1alpha1.LabelRole])
	same("renderer", a.Annotations[wasmv1alpha1.AnnotationRenderer], b.Annotations[wasmv1alpha1.AnnotationRenderer])
	same("owner's kind", a.OwnerReferences[0].Kind, b.OwnerReferences[0].Kind)
	same("owner's uid", a.Annotations[wasmv1alpha1.AnnotationPluginUID], string(a.OwnerReferences[0].UID))
	same("owner's name", a.Name[:4], a.OwnerReferences[0].Name)
	if a.GroupVersionKind() != translate.EnvoyFilterKind {
		t.Errorf("got %v", a.GroupVersionKind())
	}
}
