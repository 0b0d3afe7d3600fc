// SPDX-License-Identifier: Apache-2.0

package translate_test

import (
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/rules"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// TestMask: wherever a plugin is configured, a credential of it is masked, and one that begins another leaves nothing of
// that.
func TestMask(t *testing.T) {
	document := func(secret string) *apiextensionsv1.JSON {
		return &apiextensionsv1.JSON{Raw: []byte(`{"password":"` + secret + `"}`)}
	}
	value, harmless := "hunter-env", "eu-west"
	plugin := &wasmv1alpha1.WasmPlugin{}
	plugin.Spec = wasmv1alpha1.WasmPluginSpec{
		Rules:     document("hunter"),
		RulesText: `{"token": "hunter-text"}`,
		Overrides: []wasmv1alpha1.Override{{Rules: document("hunter-override")}},
		Envoy:     wasmv1alpha1.EnvoyConfig{VMConfiguration: `{"apiKey": "hunter-vm"}`},
		VMConfig: wasmv1alpha1.VMConfig{Env: []wasmv1alpha1.EnvVar{
			{Name: "API_TOKEN", Value: &value}, {Name: "REGION", Value: &harmless}, {Name: "HOST_SECRET", ValueFrom: wasmv1alpha1.EnvHost},
		}},
	}
	in := translate.Input{Plugin: plugin, Sources: rules.Sources{
		{Kind: rules.ConfigMap, Name: "a"}: {Data: map[string][]byte{"a": document("hunter-map").Raw}},
		{Kind: rules.Secret, Name: "a"}:    {Data: map[string][]byte{"a": []byte(`{"user":"hunter-secret"}`)}},
	}}
	for _, secret := range []string{"", "-text", "-override", "-vm", "-env", "-map", "-secret"} {
		if got := in.Mask("bad value hunter" + secret + " of eu-west"); got != "bad value *** of eu-west" {
			t.Errorf("hunter%s: %q", secret, got)
		}
	}
	plugin.Spec.RulesText = "plain text"
	if got := in.Mask("plain text"); got != "plain text" {
		t.Errorf("rules that are no object: %q", got)
	}
}
