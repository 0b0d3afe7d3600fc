// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"encoding/json"
	"fmt"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	httpwasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	networkwasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/wasm/v3"
	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/solarmesh/wasmplugin-operator/test/conformance/ads"
	"github.com/solarmesh/wasmplugin-operator/test/conformance/table"
)

// pluginConfig is what is delivered for a filter, and its type.
func (v *view) pluginConfig(filter ads.Filter) (*wasmv3.PluginConfig, string, error) {
	extension, delivered := v.config.Extensions[filter.Name]
	if !delivered {
		return nil, "", fmt.Errorf("a filter asks for %s, and istiod doesn't deliver it", filter.Name)
	}
	return unwrap(extension)
}

func unwrap(extension *corev3.TypedExtensionConfig) (*wasmv3.PluginConfig, string, error) {
	typed := extension.GetTypedConfig()
	message, err := typed.UnmarshalNew()
	if err != nil {
		return nil, "", err
	}
	switch wasm := message.(type) {
	case *httpwasmv3.Wasm:
		return wasm.GetConfig(), typed.GetTypeUrl(), nil
	case *networkwasmv3.Wasm:
		return wasm.GetConfig(), typed.GetTypeUrl(), nil
	default:
		return nil, "", fmt.Errorf("%s is delivered as %s", extension.GetName(), typed.GetTypeUrl())
	}
}

// configurationOf is the text that the plugin receives; empty where there is none.
func configurationOf(config *wasmv3.PluginConfig) (string, error) {
	if config.GetConfiguration().GetTypeUrl() == "" {
		return "", nil
	}
	text := &wrapperspb.StringValue{}
	err := config.GetConfiguration().UnmarshalTo(text)
	return text.GetValue(), err
}

// pluginAsExpected compares with what the case says of a plugin of ours, and with what holds for each.
func (v *view) pluginAsExpected(plugin table.Plugin) error {
	config, _, err := v.pluginConfig(v.filters[plugin.ID()])
	if err != nil {
		return err
	}
	if plugin.Configuration != nil {
		got, err := configurationOf(config)
		if err != nil {
			return err
		}
		if got != *plugin.Configuration {
			return fmt.Errorf("the plugin receives %q, expected %q", got, *plugin.Configuration)
		}
	}
	raw, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(config)
	if err != nil {
		return err
	}
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		return err
	}
	if difference := cmp.Diff(plugin.Config, part(got, plugin.Config)); difference != "" {
		return fmt.Errorf("Envoy's PluginConfig (-expected +seen):\n%s", difference)
	}
	return v.discoveryAsExpected(plugin)
}

// part is as much of an object as another one has.
func part(of, like map[string]any) map[string]any {
	if like == nil {
		return nil
	}
	result := map[string]any{}
	for key, inner := range like {
		value, has := of[key]
		if !has {
			continue
		}
		innerMap, isMap := inner.(map[string]any)
		valueMap, alsoMap := value.(map[string]any)
		if isMap && alsoMap {
			value = part(valueMap, innerMap)
		}
		result[key] = value
	}
	return result
}

const (
	wasmType = "envoy.extensions.filters.http.wasm.v3.Wasm"
	rbacType = "envoy.extensions.filters.http.rbac.v3.RBAC"
)

// discoveryAsExpected holds the filter to what is said of type_urls: an RBAC filter in the plugin's place is taken only
// where requests may pass without it.
func (v *view) discoveryAsExpected(plugin table.Plugin) error {
	types := []string{wasmType}
	if plugin.Spec["failStrategy"] == "FAIL_OPEN" {
		types = append(types, rbacType)
	}
	var want []string
	for _, name := range types {
		if plugin.Spec["type"] == "NETWORK" {
			name = strings.Replace(name, ".http.", ".network.", 1)
		}
		want = append(want, "type.googleapis.com/"+name)
	}
	if difference := cmp.Diff(want, v.filters[plugin.ID()].Discovery.GetTypeUrls()); difference != "" {
		return fmt.Errorf("type_urls (-expected +seen):\n%s", difference)
	}
	return nil
}

// separateVMs holds the proxy's plugins to a VM of their own each: a trap in one stops all that share its VM.
func (v *view) separateVMs() error {
	owners := map[string]string{}
	for _, plugin := range v.side.plugins {
		if len(v.at[plugin.ID()]) == 0 {
			continue
		}
		config, _, err := v.pluginConfig(v.filters[plugin.ID()])
		if err != nil {
			return err
		}
		vm := config.GetVmConfig().GetVmId()
		if other := owners[vm]; other != "" || vm == "" {
			return fmt.Errorf("%s has the vm_id %q of %s", plugin.ID(), vm, other)
		}
		owners[vm] = plugin.ID()
	}
	return nil
}
