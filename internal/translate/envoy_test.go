// SPDX-License-Identifier: Apache-2.0

package translate_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	httpwasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	networkwasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/wasm/v3"
	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// checkGuards sees that all patches are for the same proxies: a filter without its configuration would hold a listener
// back for ever.
func checkGuards(t *testing.T, config, filter *networking.EnvoyFilter) {
	t.Helper()
	want := config.ConfigPatches[0].GetMatch().GetProxy().GetProxyVersion()
	for _, patch := range slices.Concat(config.ConfigPatches, filter.ConfigPatches) {
		if got := patch.GetMatch().GetProxy().GetProxyVersion(); got != want {
			t.Errorf("%s is for the proxies %q, others for %q", patch.ApplyTo, got, want)
		}
	}
}

// checkDelivered decodes what Envoy will, by Envoy's own rules, and returns the names, the base one first.
func checkDelivered(t *testing.T, in translate.Input, pair translate.Pair, config *networking.EnvoyFilter) []string {
	t.Helper()
	var names, vms []string
	for i, patch := range config.ConfigPatches {
		delivered := &corev3.TypedExtensionConfig{}
		fromStruct(t, patch, delivered)
		plugin := decodePlugin(t, delivered.TypedConfig)
		if plugin.Name != delivered.Name {
			t.Errorf("%s is named %s inside", delivered.Name, plugin.Name)
		}
		names, vms = append(names, delivered.Name), append(vms, plugin.GetVmConfig().VmId)
		spec := in.Plugin.Spec
		if i > 0 || (spec.Rules == nil && spec.RulesText == "") {
			continue
		}
		text := &wrapperspb.StringValue{}
		if err := plugin.Configuration.UnmarshalTo(text); err != nil {
			t.Fatal(err)
		}
		if spec.Rules != nil && !json.Valid([]byte(text.Value)) {
			t.Errorf("rules arrive as %q", text.Value)
		}
	}
	if sorted := slices.Sorted(slices.Values(names)); !slices.Equal(sorted, pair.Config.Instances) || len(slices.Compact(sorted)) != len(names) {
		t.Errorf("delivers %v, says %v", names, pair.Config.Instances)
	}
	if len(slices.Compact(vms)) != 1 {
		t.Errorf("the instances have VMs of their own: %v", vms)
	}
	return names
}

func decodePlugin(t *testing.T, typed *anypb.Any) *wasmv3.PluginConfig {
	t.Helper()
	message, err := typed.UnmarshalNew()
	if err != nil {
		t.Fatal(err)
	}
	var plugin *wasmv3.PluginConfig
	switch filter := message.(type) {
	case *httpwasmv3.Wasm:
		plugin = filter.Config
	case *networkwasmv3.Wasm:
		plugin = filter.Config
	default:
		t.Fatalf("delivers a %T", message)
	}
	remote := plugin.GetVmConfig().Code.GetRemote()
	if remote.Sha256 == "" {
		remote.Sha256 = "set by the agent" // Envoy asks for it, and the agent puts in what it fetched
	}
	if err := message.(interface{ ValidateAll() error }).ValidateAll(); err != nil {
		t.Errorf("Envoy would refuse the configuration: %v", err)
	}
	if plugin.FailOpen && plugin.FailurePolicy != 0 { //nolint:staticcheck // Envoy refuses both together
		t.Error("has fail_open and failure_policy")
	}
	return plugin
}

// checkFilters sees that each listener discovers every instance once, all but the base one disabled, and that each route
// patch says it of every instance, with at most one of them on. Of a plugin that is off, all are disabled, and no route
// switches one on.
func checkFilters(t *testing.T, filter *networking.EnvoyFilter, instances []string, off bool) {
	t.Helper()
	found := map[string]map[string]bool{}
	switchedOn := map[string]bool{instances[0]: true}
	for _, patch := range filter.ConfigPatches {
		var name string
		switch patch.ApplyTo {
		case networking.EnvoyFilter_HTTP_FILTER:
			discovered := &hcmv3.HttpFilter{}
			validated(t, patch, discovered)
			if name = discovered.Name; discovered.Disabled != (off || name != instances[0]) {
				t.Errorf("%s is disabled: %t", name, discovered.Disabled)
			}
		case networking.EnvoyFilter_NETWORK_FILTER:
			discovered := &listenerv3.Filter{}
			validated(t, patch, discovered)
			name = discovered.Name
		default:
			if off {
				t.Errorf("is off, and has a patch of %s", patch.ApplyTo)
			}
			for _, on := range switchedBy(t, patch, instances) {
				switchedOn[on] = true
			}
			continue
		}
		listener := patch.Match.GetListener()
		place := fmt.Sprint(patch.Match.Context, listener.PortNumber, listener.FilterChain.Filter.Name)
		if found[place] == nil {
			found[place] = map[string]bool{}
		}
		if found[place][name] || !slices.Contains(instances, name) {
			t.Errorf("%s at %s: twice, or not delivered", name, place)
		}
		found[place][name] = true
	}
	if len(found) == 0 || (!off && len(switchedOn) != len(instances)) {
		t.Errorf("runs at %v, switches on %v of %v", found, switchedOn, instances)
	}
	for place, names := range found {
		if len(names) != len(instances) {
			t.Errorf("%s has %v, not %v", place, names, instances)
		}
	}
}

func validated(t *testing.T, patch *networking.EnvoyFilter_EnvoyConfigObjectPatch, into interface {
	proto.Message
	ValidateAll() error
},
) {
	t.Helper()
	fromStruct(t, patch, into)
	if err := into.ValidateAll(); err != nil {
		t.Errorf("Envoy would refuse %s: %v", patch.ApplyTo, err)
	}
}

// switchedBy returns what a patch of a virtual host or a route switches on.
func switchedBy(t *testing.T, patch *networking.EnvoyFilter_EnvoyConfigObjectPatch, instances []string) []string {
	t.Helper()
	var configs map[string]*anypb.Any
	if patch.ApplyTo == networking.EnvoyFilter_VIRTUAL_HOST {
		host := &routev3.VirtualHost{}
		fromStruct(t, patch, host)
		configs = host.TypedPerFilterConfig
	} else {
		route := &routev3.Route{}
		fromStruct(t, patch, route)
		configs = route.TypedPerFilterConfig
	}
	var on []string
	for _, instance := range instances {
		config := &routev3.FilterConfig{}
		if err := configs[instance].UnmarshalTo(config); err != nil {
			t.Errorf("says nothing of %s: %v", instance, err)
		}
		if !config.Disabled {
			on = append(on, instance)
		}
	}
	if len(on) > 1 || len(configs) != len(instances) {
		t.Errorf("switches on %v and speaks of %d filters", on, len(configs))
	}
	return on
}

func decode(t *testing.T, half translate.EnvoyFilter) *networking.EnvoyFilter {
	t.Helper()
	raw, err := json.Marshal(half.Object.Object["spec"])
	if err != nil {
		t.Fatal(err)
	}
	spec := &networking.EnvoyFilter{}
	if err := protojson.Unmarshal(raw, spec); err != nil {
		t.Fatal(err)
	}
	return spec
}

func fromStruct(t *testing.T, patch *networking.EnvoyFilter_EnvoyConfigObjectPatch, into proto.Message) {
	t.Helper()
	raw, err := protojson.Marshal(patch.Patch.Value)
	if err != nil {
		t.Fatal(err)
	}
	if err := protojson.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}
