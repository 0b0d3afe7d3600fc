// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	httpwasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	networkwasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/wasm/v3"
	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/solarmesh/wasmplugin-operator/internal/drystart"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// Reasons of a refusal by the plugin itself.
const (
	reasonModuleRejected = "ModuleRejected"
	reasonRulesRejected  = "RulesRejected"
)

// mostLogs is how many of a plugin's last lines are shown.
const mostLogs = 5

// start starts a plugin with what a proxy would give it, the rules of each override too, and adds to the verdict what the
// plugin says. Its words are shown without what may be a credential.
func start(ctx context.Context, in translate.Input, pair translate.Pair, content []byte, result *verdict) error {
	request, err := startRequest(pair, content)
	if err != nil {
		return err
	}
	for _, secret := range in.Sources.Secrets() {
		request.Secrets = append(request.Secrets, string(secret))
	}
	for i, outcome := range drystart.New(drystart.Options{}).Check(ctx, request) {
		field := "spec.url"
		if outcome.Stage == drystart.StageConfigure {
			field = "spec.rules"
		}
		if i > 0 {
			field = "spec.overrides"
		}
		if outcome.Outcome == drystart.Inconclusive {
			result.Notes = append(result.Notes, fmt.Sprintf("Whether the plugin starts, only a proxy can tell: %s.", outcome.Call))
		}
		if outcome.Outcome != drystart.Refused {
			continue
		}
		reason := reasonModuleRejected
		if outcome.Stage == drystart.StageConfigure {
			reason = reasonRulesRejected
		}
		words := outcome.Reason
		if logs := outcome.Logs; len(logs) > 0 {
			words += "; the plugin said: " + strings.Join(logs[max(0, len(logs)-mostLogs):], " | ")
		}
		result.refuse(reason, problem{field, in.Mask(words)})
		break
	}
	return ctx.Err()
}

// startRequest is made of the rendered configuration, so that nothing is started otherwise than in a proxy.
func startRequest(pair translate.Pair, content []byte) (drystart.Request, error) {
	request := drystart.Request{Module: content}
	patches, _, err := unstructured.NestedSlice(pair.Config.Object.Object, "spec", "configPatches")
	if err != nil {
		return request, fmt.Errorf("read the rendered configuration: %w", err)
	}
	for _, patch := range patches {
		config, err := pluginConfig(patch)
		if err != nil {
			return request, fmt.Errorf("read the rendered configuration: %w", err)
		}
		vm := config.GetVmConfig()
		request.RootID, request.VMID = config.RootId, vm.VmId
		request.VMConfiguration = textOf(vm.Configuration)
		request.Env = map[string]string{}
		for name, value := range vm.GetEnvironmentVariables().GetKeyValues() {
			if !strings.HasPrefix(name, "ISTIO_META_") { // the agent takes these away
				request.Env[name] = value
			}
		}
		request.Capabilities = nil
		for name := range config.GetCapabilityRestrictionConfig().GetAllowedCapabilities() { //nolint:staticcheck // where translate puts it
			request.Capabilities = append(request.Capabilities, name)
		}
		request.Plugins = append(request.Plugins, drystart.Plugin{Name: config.Name, Configuration: textOf(config.Configuration)})
	}
	return request, nil
}

func pluginConfig(patch any) (*wasmv3.PluginConfig, error) {
	fields, _ := patch.(map[string]any)
	value, _, err := unstructured.NestedMap(fields, "patch", "value")
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	delivered := &corev3.TypedExtensionConfig{}
	if err := protojson.Unmarshal(raw, delivered); err != nil {
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
