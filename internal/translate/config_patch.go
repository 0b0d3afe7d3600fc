// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"cmp"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	httpwasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	networkwasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/wasm/v3"
	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	networking "istio.io/api/networking/v1alpha3"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

const (
	// runtimeV8 is the one runtime of every proxy of Istio 1.9 to 1.31.
	runtimeV8 = "envoy.wasm.runtime.v8"
	// fetchTimeout bounds the agent's whole fetch, as in Istio's own WasmPlugin; without it the agent gives up after 5 s.
	fetchTimeout = 30 * time.Second
	// agentCluster stands where Envoy wants a cluster; the agent fetches, so it is never used.
	agentCluster = "_"
)

// deliveredBy is what proxies get when they ask for the names of instances.
func deliveredBy(in Input, instances []instance) (map[string]*anypb.Any, error) {
	delivered := map[string]*anypb.Any{}
	for _, instance := range instances {
		config, err := pluginConfig(in, instance)
		if err != nil {
			return nil, err
		}
		if delivered[instance.name], err = anypb.New(filterMessage(in.Plugin.Spec, config)); err != nil {
			return nil, err
		}
	}
	return delivered, nil
}

// configPatches deliver the instances: each is an EXTENSION_CONFIG that a proxy gets when it asks for its name. istiod
// looks at no context there.
func configPatches(instances []instance, delivered map[string]*anypb.Any) ([]*networking.EnvoyFilter_EnvoyConfigObjectPatch, error) {
	var patches []*networking.EnvoyFilter_EnvoyConfigObjectPatch
	for _, instance := range instances {
		value, err := toStruct(&corev3.TypedExtensionConfig{Name: instance.name, TypedConfig: delivered[instance.name]})
		if err != nil {
			return nil, err
		}
		patches = append(patches, &networking.EnvoyFilter_EnvoyConfigObjectPatch{
			ApplyTo: networking.EnvoyFilter_EXTENSION_CONFIG,
			Patch:   &networking.EnvoyFilter_Patch{Operation: networking.EnvoyFilter_Patch_ADD, Value: value},
		})
	}
	return patches, nil
}

// filterMessage is the filter around a plugin's configuration.
func filterMessage(spec wasmv1alpha1.WasmPluginSpec, config *wasmv3.PluginConfig) proto.Message {
	if isNetwork(spec) {
		return &networkwasmv3.Wasm{Config: config}
	}
	return &httpwasmv3.Wasm{Config: config}
}

func pluginConfig(in Input, instance instance) (*wasmv3.PluginConfig, error) {
	spec := in.Plugin.Spec
	envoy := spec.Envoy
	config := &wasmv3.PluginConfig{
		Name:                        instance.name,
		RootId:                      spec.PluginName,
		AllowOnHeadersStopIteration: switchValue(envoy.AllowOnHeadersStopIteration),
		ReloadConfig:                reloadConfig(envoy.ReloadConfig),
	}
	setFailure(config, spec)
	config.CapabilityRestrictionConfig = capabilityRestriction(envoy.CapabilityRestriction) //nolint:staticcheck // Envoy 1.40 moves it into VmConfig, and still takes it; older ones, of Istio to 1.31, know it here only
	var err error
	if config.Configuration, err = textMessage(instance.configuration); err != nil {
		return nil, err
	}
	vm, err := vmConfig(in)
	if err != nil {
		return nil, err
	}
	config.Vm = &wasmv3.PluginConfig_VmConfig{VmConfig: vm}
	return config, nil
}

func capabilityRestriction(restriction wasmv1alpha1.CapabilityRestriction) *wasmv3.CapabilityRestrictionConfig {
	if len(restriction.AllowedCapabilities) == 0 {
		return nil
	}
	allowed := map[string]*wasmv3.SanitizationConfig{}
	for _, capability := range restriction.AllowedCapabilities {
		allowed[capability] = &wasmv3.SanitizationConfig{}
	}
	return &wasmv3.CapabilityRestrictionConfig{AllowedCapabilities: allowed}
}

// setFailure says what happens when the VM fails. failure_policy replaces fail_open since Envoy 1.33, but older proxies
// refuse it, and all refuse both together. So it is used where only newer proxies get the plugin.
func setFailure(config *wasmv3.PluginConfig, spec wasmv1alpha1.WasmPluginSpec) {
	if minimumProxy(spec) < failurePolicySince {
		config.FailOpen = spec.FailStrategy == wasmv1alpha1.FailOpen //nolint:staticcheck // deprecated, and the only form that all supported proxies know
		return
	}
	switch spec.FailStrategy {
	case wasmv1alpha1.FailOpen:
		config.FailurePolicy = wasmv3.FailurePolicy_FAIL_OPEN
	case wasmv1alpha1.FailReload:
		config.FailurePolicy = wasmv3.FailurePolicy_FAIL_RELOAD
	default:
		config.FailurePolicy = wasmv3.FailurePolicy_FAIL_CLOSED
	}
}

func switchValue(value wasmv1alpha1.Switch) *wrapperspb.BoolValue {
	if value == "" {
		return nil
	}
	return wrapperspb.Bool(value == wasmv1alpha1.SwitchEnabled)
}

// reloadConfig fills in Envoy's own default for the first interval, which its message requires.
func reloadConfig(reload wasmv1alpha1.ReloadConfig) *wasmv3.ReloadConfig {
	if reload == (wasmv1alpha1.ReloadConfig{}) {
		return nil
	}
	seconds := func(n int32) *durationpb.Duration { return durationpb.New(time.Duration(n) * time.Second) }
	backoff := &corev3.BackoffStrategy{BaseInterval: seconds(cmp.Or(reload.BaseIntervalSeconds, 1))}
	if reload.MaxIntervalSeconds != 0 {
		backoff.MaxInterval = seconds(reload.MaxIntervalSeconds)
	}
	return &wasmv3.ReloadConfig{Backoff: backoff}
}

// textMessage is nil for no text.
func textMessage(text string) (*anypb.Any, error) {
	if text == "" {
		return nil, nil
	}
	return anypb.New(wrapperspb.String(text))
}

func vmConfig(in Input) (*wasmv3.VmConfig, error) {
	envoy := in.Plugin.Spec.Envoy
	configuration, err := textMessage(envoy.VMConfiguration)
	if err != nil {
		return nil, err
	}
	url, checksum := in.module()
	return &wasmv3.VmConfig{
		VmId:    vmID(in),
		Runtime: runtimeV8,
		Code: &corev3.AsyncDataSource{Specifier: &corev3.AsyncDataSource_Remote{Remote: &corev3.RemoteDataSource{
			HttpUri: &corev3.HttpUri{
				Uri:              url,
				HttpUpstreamType: &corev3.HttpUri_Cluster{Cluster: agentCluster},
				Timeout:          durationpb.New(fetchTimeout + time.Duration(in.Nudge)*time.Millisecond),
			},
			Sha256: checksum,
		}}},
		Configuration:        configuration,
		EnvironmentVariables: environment(in),
		NackOnCodeCacheMiss:  envoy.NackOnCodeCacheMiss == wasmv1alpha1.SwitchEnabled,
	}, nil
}
