// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// Fingerprint tells one way of rendering from another: it is over what these options, and this code, make of specs that
// use every field that has an effect. A pair that bears the same fingerprint needs no second look, and after an upgrade
// or with another flag none is missed.
func Fingerprint(options Options) (string, error) {
	hash := sha256.New()
	encoder := json.NewEncoder(hash)
	for _, plugin := range fingerprintPlugins(options.RootNamespace) {
		pair, err := Translate(Input{Plugin: plugin, Options: options})
		var invalid *InvalidSpecError
		if err != nil && !errors.As(err, &invalid) {
			return "", fmt.Errorf("fingerprint the renderer: %w", err)
		}
		if err := encoder.Encode([]any{pair, invalid}); err != nil {
			return "", fmt.Errorf("fingerprint the renderer: %w", err)
		}
	}
	return hex.EncodeToString(hash.Sum(nil)[:8]), nil
}

// fingerprintPlugins use every field that has an effect, and are in the root namespace and in another.
func fingerprintPlugins(rootNamespace string) []*wasmv1alpha1.WasmPlugin {
	selector := wasmv1alpha1.WorkloadSelector{MatchLabels: map[string]wasmv1alpha1.LabelValue{"app": "a"}}
	specs := []wasmv1alpha1.WasmPluginSpec{
		{
			URL: "h/a:1", SHA256: "", ImagePullPolicy: wasmv1alpha1.PullAlways, PluginName: "root",
			Rules: &apiextensionsv1.JSON{Raw: []byte(`{"b":1.0,"a":"<"}`)}, Selector: selector,
			Match: []wasmv1alpha1.TrafficSelector{{Context: wasmv1alpha1.ContextAny}}, Phase: wasmv1alpha1.PhaseAuthn,
			Priority: new(int32), FailStrategy: wasmv1alpha1.FailOpen,
			VMConfig: wasmv1alpha1.VMConfig{Env: []wasmv1alpha1.EnvVar{{Name: "A", Value: new(string)}, {Name: "B", ValueFrom: wasmv1alpha1.EnvHost}}},
		},
		{
			URL: "https://h/a", SHA256: hex.EncodeToString(make([]byte, sha256.Size)), RulesText: "text", Selector: selector,
			Match: []wasmv1alpha1.TrafficSelector{{Ports: []wasmv1alpha1.PortSelector{{Number: 1}}}, {Context: wasmv1alpha1.ContextSidecarInbound}},
			Phase: wasmv1alpha1.PhaseAuthz,
		},
		{URL: "http://h/a", Selector: selector, Phase: wasmv1alpha1.PhaseStats},
		{URL: "oci://h/a", Selector: selector, Placement: wasmv1alpha1.Placement{Before: "f"}},
		{URL: "oci://h/a", Selector: selector, Placement: wasmv1alpha1.Placement{After: "f"}},
		{URL: "oci://h/a", Scope: wasmv1alpha1.ScopeNamespace},
	}
	var plugins []*wasmv1alpha1.WasmPlugin
	for _, spec := range specs {
		for _, namespace := range []string{rootNamespace, rootNamespace + "-other"} {
			plugins = append(plugins, &wasmv1alpha1.WasmPlugin{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "a", UID: "u", Generation: 1}, Spec: spec,
			})
		}
	}
	return plugins
}
