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
	"github.com/solarmesh/wasmplugin-operator/internal/rules"
)

// Fingerprint tells one way of rendering from another: it is over what these options, and this code, make of specs that
// use every field that has an effect. A pair that bears the same fingerprint needs no second look, and after an upgrade
// or with another flag none is missed.
func Fingerprint(options Options) (string, error) {
	hash := sha256.New()
	encoder := json.NewEncoder(hash)
	var module Module
	if options.ResolveModules {
		module = Module{Digest: "sha256:d", URL: options.StoreURL + "/d", Checksum: "d"}
	}
	for _, plugin := range fingerprintPlugins(options.RootNamespace) {
		in := fingerprintInput(plugin, options)
		in.Module = module
		pairs, invalid, err := fingerprintPairs(in)
		if err != nil {
			return "", fmt.Errorf("fingerprint the renderer: %w", err)
		}
		if err := encoder.Encode([]any{pairs, invalid}); err != nil {
			return "", fmt.Errorf("fingerprint the renderer: %w", err)
		}
	}
	return hex.EncodeToString(hash.Sum(nil)[:8]), nil
}

// fingerprintPairs are all that may stand for a plugin.
func fingerprintPairs(in Input) ([]Pair, *InvalidSpecError, error) {
	pair, err := Translate(in)
	var invalid *InvalidSpecError
	switch {
	case errors.As(err, &invalid):
		return nil, invalid, nil
	case err != nil:
		return nil, nil, err
	}
	pairs := []Pair{pair}
	trial, err := Trial(in, "1")
	switch {
	case errors.Is(err, ErrNoTrial):
		return pairs, nil, nil
	case err != nil:
		return nil, nil, err
	}
	canary, err := Canary(in, []string{"standing"}, 0)
	if err != nil {
		return nil, nil, err
	}
	return append(pairs, trial, Pair{Config: Emptied(trial)}, canary, Pair{Config: Emptied(canary)}), nil, nil
}

// fingerprintInput has sources for the plugins that name some, and a tie.
func fingerprintInput(plugin *wasmv1alpha1.WasmPlugin, options Options) Input {
	sources := rules.Sources{}
	for _, object := range References(plugin.Spec) {
		sources[object] = rules.Content{Data: map[string][]byte{"k": []byte(`{"c":1}`)}}
	}
	return Input{Plugin: plugin, Options: options, Sources: sources, Ties: []string{"a/b"}}
}

// fingerprintPlugins are in the root namespace and in another.
func fingerprintPlugins(rootNamespace string) []*wasmv1alpha1.WasmPlugin {
	var plugins []*wasmv1alpha1.WasmPlugin
	for _, spec := range fingerprintSpecs() {
		for _, namespace := range []string{rootNamespace, rootNamespace + "-other"} {
			plugins = append(plugins, &wasmv1alpha1.WasmPlugin{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "a", UID: "u", Generation: 1}, Spec: spec,
			})
		}
	}
	return plugins
}

// fingerprintSpecs use every field that has an effect.
func fingerprintSpecs() []wasmv1alpha1.WasmPluginSpec {
	selector := wasmv1alpha1.WorkloadSelector{MatchLabels: map[string]wasmv1alpha1.LabelValue{"app": "a"}}
	group := gatewayGroup
	targets := []wasmv1alpha1.TargetReference{{Group: &group, Kind: kindGateway, Name: "g"}}
	from := []wasmv1alpha1.RulesSource{{ConfigMapKeyRef: wasmv1alpha1.RulesKeyReference{KeyReference: wasmv1alpha1.KeyReference{Name: "c", Key: "k"}}}}
	return []wasmv1alpha1.WasmPluginSpec{
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
		{URL: "http://h/a", Selector: selector, Phase: wasmv1alpha1.PhaseStats, Delivery: wasmv1alpha1.DeliveryDirect},
		{
			URL: "oci://h/a", Selector: selector, ImagePullSecret: "s", Delivery: wasmv1alpha1.DeliveryStore,
			Verification: wasmv1alpha1.Verification{Keys: []wasmv1alpha1.VerificationKey{{Inline: "k"}}},
		},
		{URL: "store://a", Selector: selector},
		{URL: "oci://h/a", Selector: selector, Placement: wasmv1alpha1.Placement{Before: "f"}},
		{URL: "oci://h/a", Selector: selector, Placement: wasmv1alpha1.Placement{After: "f"}},
		{URL: "oci://h/a", Scope: wasmv1alpha1.ScopeNamespace},
		{
			URL: "oci://h/a", Selector: selector, RulesFrom: from, FailStrategy: wasmv1alpha1.FailReload,
			Overrides: []wasmv1alpha1.Override{
				{Match: wasmv1alpha1.OverrideMatch{Hosts: []string{"*.h"}}, RulesFrom: from},
				{Match: wasmv1alpha1.OverrideMatch{Hosts: []string{"h"}, Routes: []string{"r"}}, Rules: &apiextensionsv1.JSON{Raw: []byte(`{}`)}},
				{Match: wasmv1alpha1.OverrideMatch{Routes: []string{"r"}}, Mode: wasmv1alpha1.OverrideDisable},
			},
			Envoy: wasmv1alpha1.EnvoyConfig{
				AllowOnHeadersStopIteration: wasmv1alpha1.SwitchEnabled, VMConfiguration: "c", NackOnCodeCacheMiss: wasmv1alpha1.SwitchEnabled,
				CapabilityRestriction: wasmv1alpha1.CapabilityRestriction{AllowedCapabilities: []string{"proxy_log"}},
				ReloadConfig:          wasmv1alpha1.ReloadConfig{MaxIntervalSeconds: 5},
			},
		},
		{
			URL: "oci://h/a", Selector: selector, RulesFrom: from, Activation: wasmv1alpha1.Activation{Mode: wasmv1alpha1.ActivationOff},
			Overrides: []wasmv1alpha1.Override{{Match: wasmv1alpha1.OverrideMatch{Routes: []string{"r"}}, Mode: wasmv1alpha1.OverrideDisable}},
		},
		{URL: "oci://h/a", TargetRefs: targets, Phase: wasmv1alpha1.PhaseStats},
		{URL: "oci://h/a", TargetRefs: targets, Phase: wasmv1alpha1.PhaseAuthn, Match: []wasmv1alpha1.TrafficSelector{{Ports: []wasmv1alpha1.PortSelector{{Number: 1}}}}},
		{URL: "oci://h/a", Selector: selector, Type: wasmv1alpha1.PluginTypeNetwork, Phase: wasmv1alpha1.PhaseAuthn},
		{URL: "oci://h/a", Selector: selector, Type: wasmv1alpha1.PluginTypeNetwork, FailStrategy: wasmv1alpha1.FailOpen, ProxyVersion: wasmv1alpha1.ProxyVersion{Minimum: "1.25"}},
	}
}
