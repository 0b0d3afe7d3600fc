// SPDX-License-Identifier: Apache-2.0

package translate_test

import (
	"slices"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

type contentCase struct {
	change func(*translate.Input, *wasmv1alpha1.WasmPluginSpec)
	stays  bool
}

func TestContent(t *testing.T) {
	of := func(change func(*translate.Input, *wasmv1alpha1.WasmPluginSpec)) string {
		in := translate.Input{Plugin: withOverrides(`{"a":1}`, `{"b":2}`), Options: translate.Options{RootNamespace: "istio-system"}}
		change(&in, &in.Plugin.Spec)
		pair, err := translate.Translate(in)
		if err != nil {
			t.Fatal(err)
		}
		return pair.Content
	}
	before := of(func(*translate.Input, *wasmv1alpha1.WasmPluginSpec) {})
	tests := contentCases()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := of(test.change); (got == before) != test.stays {
				t.Errorf("was %s, is %s", before, got)
			}
		})
	}
}

func contentCases() map[string]contentCase {
	type spec = *wasmv1alpha1.WasmPluginSpec
	contexts := func(contexts ...wasmv1alpha1.Context) func(*translate.Input, spec) {
		return func(_ *translate.Input, s spec) {
			for _, context := range contexts {
				s.Match = append(s.Match, wasmv1alpha1.TrafficSelector{Context: context})
			}
		}
	}
	return map[string]contentCase{
		"priority":   {func(_ *translate.Input, s spec) { s.Priority = new(int32(7)) }, true},
		"phase":      {func(_ *translate.Input, s spec) { s.Phase = wasmv1alpha1.PhaseAuthn }, true},
		"placement":  {func(_ *translate.Input, s spec) { s.Placement.After = "envoy.filters.http.cors" }, true},
		"off":        {func(_ *translate.Input, s spec) { s.Activation.Mode = wasmv1alpha1.ActivationOff }, true},
		"immediate":  {func(_ *translate.Input, s spec) { s.Activation.Mode = wasmv1alpha1.ActivationImmediate }, true},
		"deadline":   {func(_ *translate.Input, s spec) { s.Activation.DeadlineSeconds = 7 }, true},
		"nudge":      {func(in *translate.Input, _ spec) { in.Nudge = 7 }, true},
		"a flag":     {func(in *translate.Input, _ spec) { in.ObserveProxies = true }, true},
		"generation": {func(in *translate.Input, _ spec) { in.Plugin.Generation = 7 }, true},
		"ports": {func(_ *translate.Input, s spec) {
			s.Match = []wasmv1alpha1.TrafficSelector{{Ports: []wasmv1alpha1.PortSelector{{Number: 7}}}}
		}, true},
		"places": {func(_ *translate.Input, s spec) {
			s.Overrides[0].Match, s.Overrides[1].Match = s.Overrides[1].Match, wasmv1alpha1.OverrideMatch{Routes: []string{"r"}}
		}, true},
		"order of places": {func(_ *translate.Input, s spec) {
			s.Overrides[0].Match, s.Overrides[1].Match = s.Overrides[1].Match, s.Overrides[0].Match
		}, true},
		"a place where it is off": {func(_ *translate.Input, s spec) {
			s.Overrides = append(s.Overrides, wasmv1alpha1.Override{Match: wasmv1alpha1.OverrideMatch{Routes: []string{"r"}}, Mode: wasmv1alpha1.OverrideDisable})
		}, true},
		"the same context": {contexts(wasmv1alpha1.ContextGateway), true},

		"rules":            {func(_ *translate.Input, s spec) { s.Rules = &apiextensionsv1.JSON{Raw: []byte(`{"c":3}`)} }, false},
		"rules of a place": {func(_ *translate.Input, s spec) { s.Overrides[1].Rules.Raw = []byte(`{"c":3}`) }, false},
		"rules and those":  {func(_ *translate.Input, s spec) { s.Rules = s.Overrides[0].Rules }, false},
		"a place less":     {func(_ *translate.Input, s spec) { s.Overrides = s.Overrides[:1] }, false},
		"module":           {func(_ *translate.Input, s spec) { s.URL += "2" }, false},
		"digest": {func(in *translate.Input, _ spec) {
			in.Module = translate.Module{Digest: "sha256:d", URL: "http://s/d", Checksum: "d"}
		}, false},
		"selector":         {func(_ *translate.Input, s spec) { s.Selector.MatchLabels["istio"] = "other" }, false},
		"another context":  {contexts(wasmv1alpha1.ContextSidecarInbound), false},
		"a context more":   {contexts(wasmv1alpha1.ContextGateway, wasmv1alpha1.ContextSidecarInbound), false},
		"any context":      {contexts(wasmv1alpha1.ContextAny), false},
		"env":              {func(_ *translate.Input, s spec) { s.VMConfig.Env = []wasmv1alpha1.EnvVar{{Name: "A", Value: new("b")}} }, false},
		"failStrategy":     {func(_ *translate.Input, s spec) { s.FailStrategy = wasmv1alpha1.FailOpen }, false},
		"another strategy": {func(_ *translate.Input, s spec) { s.FailStrategy = wasmv1alpha1.FailReload }, false},
		"pluginName":       {func(_ *translate.Input, s spec) { s.PluginName = "root" }, false},
		"newer proxies":    {func(_ *translate.Input, s spec) { s.ProxyVersion.Minimum = "1.22" }, false},
		"another root":     {func(in *translate.Input, _ spec) { in.RootNamespace = "shop" }, false},
		"revision":         {func(in *translate.Input, _ spec) { in.Plugin.Labels = map[string]string{"istio.io/rev": "canary"} }, false},
		"what it may call": {func(_ *translate.Input, s spec) {
			s.Envoy.CapabilityRestriction.AllowedCapabilities = []string{"proxy_log"}
		}, false},
		"what the VM is told": {func(_ *translate.Input, s spec) { s.Envoy.VMConfiguration = "c" }, false},
	}
}

// TestContentOfContexts sees that ANY is what it stands for.
func TestContentOfContexts(t *testing.T) {
	plugin, spelled := newPlugin("shop", "auth"), newPlugin("shop", "auth")
	plugin.Spec.Match = []wasmv1alpha1.TrafficSelector{{Context: wasmv1alpha1.ContextAny}}
	spelled.Spec.Match = []wasmv1alpha1.TrafficSelector{
		{Context: wasmv1alpha1.ContextSidecarOutbound},
		{Context: wasmv1alpha1.ContextGateway, Ports: []wasmv1alpha1.PortSelector{{Number: 7}}},
		{Context: wasmv1alpha1.ContextSidecarInbound},
	}
	if a, b := translated(t, plugin), translated(t, spelled); a.Content != b.Content || !a.Expectation.Reach.Equal(b.Expectation.Reach) {
		t.Errorf("%s %+v and %s %+v", a.Content, a.Expectation.Reach, b.Content, b.Expectation.Reach)
	}
}

// TestContentOfOff sees that a plugin that is off, which old proxies don't get at all, needs no trial to be switched on: its
// own one asked those proxies, too.
func TestContentOfOff(t *testing.T) {
	on, off := newPlugin("shop", "auth"), newPlugin("shop", "auth")
	off.Spec.Activation.Mode = wasmv1alpha1.ActivationOff
	before, after := translated(t, on), translated(t, off)
	if before.Content != after.Content || before.Expectation.Reach.MinimumMinor != 0 || after.Expectation.Reach.MinimumMinor != 21 {
		t.Errorf("was %+v, is %+v", before.Expectation, after.Expectation)
	}
	trial := trialOf(t, translate.Input{Plugin: off})
	if trial.Filter.Hash != trialOf(t, translate.Input{Plugin: on}).Filter.Hash || !trial.Expectation.Reach.Equal(before.Expectation.Reach) {
		t.Errorf("on trial it is %+v", trial.Expectation)
	}
}

// TestNudge sees that proxies are asked again by something that changes nothing, and the trial not at all.
func TestNudge(t *testing.T) {
	in := translate.Input{Plugin: withOverrides(`{"a":1}`)}
	before, trial := translated(t, in.Plugin), trialOf(t, in)
	in.Nudge = 3
	after, err := translate.Translate(in)
	if err != nil {
		t.Fatal(err)
	}
	checkInvariants(t, in, after)
	if after.Config.Hash == before.Config.Hash || after.Filter.Hash != before.Filter.Hash || after.Expectation.Digest == before.Expectation.Digest ||
		after.Content != before.Content || !slices.Equal(after.Expectation.Names, before.Expectation.Names) {
		t.Errorf("was %+v, is %+v", before.Expectation, after.Expectation)
	}
	if trialOf(t, in).Config.Hash != trial.Config.Hash {
		t.Error("the trial was changed")
	}
	for _, patch := range decode(t, after.Config).ConfigPatches {
		config := &corev3.TypedExtensionConfig{}
		fromStruct(t, patch, config)
		if timeout := decodePlugin(t, config.TypedConfig).GetVmConfig().Code.GetRemote().HttpUri.Timeout.AsDuration(); timeout.String() != "30.003s" {
			t.Errorf("%s is fetched in %s", config.Name, timeout)
		}
	}
}

func trialOf(t *testing.T, in translate.Input) translate.Pair {
	t.Helper()
	trial, err := translate.Trial(in, "a.0")
	if err != nil {
		t.Fatal(err)
	}
	return trial
}

func TestMode(t *testing.T) {
	const safe, immediate, off = wasmv1alpha1.ActivationSafe, wasmv1alpha1.ActivationImmediate, wasmv1alpha1.ActivationOff
	for _, test := range []struct {
		mode    wasmv1alpha1.ActivationMode
		kind    wasmv1alpha1.PluginType
		observe bool
		want    wasmv1alpha1.ActivationMode
	}{
		{"", "", true, safe},
		{safe, wasmv1alpha1.PluginTypeHTTP, true, safe},
		{immediate, "", true, immediate},
		{off, "", true, off},
		{"", "", false, immediate},
		{safe, "", false, immediate},
		{off, "", false, off},
		{"", wasmv1alpha1.PluginTypeNetwork, true, immediate},
		{safe, wasmv1alpha1.PluginTypeNetwork, true, immediate},
	} {
		spec := wasmv1alpha1.WasmPluginSpec{Type: test.kind, Activation: wasmv1alpha1.Activation{Mode: test.mode}}
		if got := (translate.Options{ObserveProxies: test.observe}).Mode(spec); got != test.want {
			t.Errorf("%+v is %s", test, got)
		}
	}
}
