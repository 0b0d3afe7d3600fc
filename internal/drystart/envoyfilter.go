// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	httpwasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	networkwasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/wasm/v3"
	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// agentsVariables begin the names of the environment variables that Istio's agent takes for itself.
const agentsVariables = "ISTIO_META_"

// FromEnvoyFilter is the request, without a module, that starts what an EnvoyFilter delivers (EXTENSION_CONFIG), each
// instance of the plugin, so that nothing is started otherwise than in a proxy.
func FromEnvoyFilter(object map[string]any) (Request, error) {
	var filter struct {
		Spec struct {
			ConfigPatches []struct {
				Patch struct {
					Value json.RawMessage `json:"value"`
				} `json:"patch"`
			} `json:"configPatches"`
		} `json:"spec"`
	}
	raw, err := json.Marshal(object)
	if err == nil {
		err = json.Unmarshal(raw, &filter)
	}
	if err != nil {
		return Request{}, fmt.Errorf("read the rendered configuration: %w", err)
	}
	var request Request
	for _, patch := range filter.Spec.ConfigPatches {
		config, err := pluginConfig(patch.Patch.Value)
		if err != nil {
			return Request{}, fmt.Errorf("read the rendered configuration: %w", err)
		}
		request.takeVM(config)
		request.Plugins = append(request.Plugins, Plugin{Name: config.Name, Configuration: textOf(config.Configuration)})
	}
	return request, nil
}

// takeVM takes what all instances of a plugin have in common.
func (r *Request) takeVM(config *wasmv3.PluginConfig) {
	vm := config.GetVmConfig()
	r.RootID, r.VMID = config.RootId, vm.GetVmId()
	r.VMConfiguration = textOf(vm.GetConfiguration())
	r.Env, r.Capabilities = map[string]string{}, nil
	for name, value := range vm.GetEnvironmentVariables().GetKeyValues() {
		if !strings.HasPrefix(name, agentsVariables) {
			r.Env[name] = value
		}
	}
	for name := range config.GetCapabilityRestrictionConfig().GetAllowedCapabilities() { //nolint:staticcheck // where translate puts it
		r.Capabilities = append(r.Capabilities, name)
	}
	slices.Sort(r.Capabilities)
}

func pluginConfig(value []byte) (*wasmv3.PluginConfig, error) {
	delivered := &corev3.TypedExtensionConfig{}
	if err := protojson.Unmarshal(value, delivered); err != nil {
		return nil, err
	}
	message, err := delivered.TypedConfig.UnmarshalNew()
	if err != nil {
		return nil, err
	}
	switch filter := message.(type) {
	case *httpwasmv3.Wasm:
		return filter.Config, nil
	case *networkwasmv3.Wasm:
		return filter.Config, nil
	}
	return nil, fmt.Errorf("a %T is no plugin", message)
}

// textOf is the StringValue in a message, empty for none.
func textOf(message *anypb.Any) string {
	value := &wrapperspb.StringValue{}
	if message == nil || message.UnmarshalTo(value) != nil {
		return ""
	}
	return value.Value
}
