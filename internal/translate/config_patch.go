// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	httpwasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
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

	// Variables that the agent reads and takes away (Istio's pkg/wasm): when to fetch again, and the version whose change
	// makes it look.
	envPullPolicy      = "ISTIO_META_WASM_IMAGE_PULL_POLICY"
	envResourceVersion = "ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION"
)

// configPatch delivers the plugin: an EXTENSION_CONFIG that a proxy gets when it asks for the resource name. istiod
// looks at no context there.
func configPatch(plugin *wasmv1alpha1.WasmPlugin, configuration string) (*networking.EnvoyFilter_EnvoyConfigObjectPatch, error) {
	config, err := pluginConfig(plugin, configuration)
	if err != nil {
		return nil, err
	}
	typed, err := anypb.New(&httpwasmv3.Wasm{Config: config})
	if err != nil {
		return nil, err
	}
	value, err := toStruct(&corev3.TypedExtensionConfig{Name: resourceName(plugin), TypedConfig: typed})
	if err != nil {
		return nil, err
	}
	return &networking.EnvoyFilter_EnvoyConfigObjectPatch{
		ApplyTo: networking.EnvoyFilter_EXTENSION_CONFIG,
		Patch:   &networking.EnvoyFilter_Patch{Operation: networking.EnvoyFilter_Patch_ADD, Value: value},
	}, nil
}

func pluginConfig(plugin *wasmv1alpha1.WasmPlugin, configuration string) (*wasmv3.PluginConfig, error) {
	config := &wasmv3.PluginConfig{
		Name:   resourceName(plugin),
		RootId: plugin.Spec.PluginName,
		// failure_policy says the same since Envoy 1.33, but older proxies refuse it, and both together are refused by all.
		FailOpen: plugin.Spec.FailStrategy == wasmv1alpha1.FailOpen, //nolint:staticcheck // deprecated, and the only form that proxies of all supported releases know
	}
	if configuration != "" {
		text, err := anypb.New(wrapperspb.String(configuration))
		if err != nil {
			return nil, err
		}
		config.Configuration = text
	}
	config.Vm = &wasmv3.PluginConfig_VmConfig{VmConfig: vmConfig(plugin)}
	return config, nil
}

func vmConfig(plugin *wasmv1alpha1.WasmPlugin) *wasmv3.VmConfig {
	return &wasmv3.VmConfig{
		VmId:    vmID(plugin),
		Runtime: runtimeV8,
		Code: &corev3.AsyncDataSource{Specifier: &corev3.AsyncDataSource_Remote{Remote: &corev3.RemoteDataSource{
			HttpUri: &corev3.HttpUri{
				Uri:              moduleURL(plugin.Spec.URL),
				HttpUpstreamType: &corev3.HttpUri_Cluster{Cluster: agentCluster},
				Timeout:          durationpb.New(fetchTimeout),
			},
			Sha256: plugin.Spec.SHA256,
		}}},
		EnvironmentVariables: environment(plugin),
	}
}

func environment(plugin *wasmv1alpha1.WasmPlugin) *wasmv3.EnvironmentVariables {
	variables := &wasmv3.EnvironmentVariables{KeyValues: map[string]string{}}
	for _, env := range sortedEnv(plugin.Spec.VMConfig.Env) {
		switch {
		case env.ValueFrom == wasmv1alpha1.EnvHost:
			variables.HostEnvKeys = append(variables.HostEnvKeys, env.Name)
		case env.Value != nil:
			variables.KeyValues[env.Name] = *env.Value
		default:
			variables.KeyValues[env.Name] = ""
		}
	}
	policy := pullPolicy(plugin.Spec)
	variables.KeyValues[envPullPolicy] = string(policy)
	if policy == wasmv1alpha1.PullAlways {
		// The agent fetches again when this differs from what it has seen.
		variables.KeyValues[envResourceVersion] = strconv.FormatInt(plugin.Generation, 10)
	}
	return variables
}

func sortedEnv(env []wasmv1alpha1.EnvVar) []wasmv1alpha1.EnvVar {
	return slices.SortedFunc(slices.Values(env), func(a, b wasmv1alpha1.EnvVar) int {
		return cmp.Compare(a.Name, b.Name)
	})
}

// pullPolicy is what the agent would take for itself: a missing tag is "latest", and "latest" moves.
func pullPolicy(spec wasmv1alpha1.WasmPluginSpec) wasmv1alpha1.ImagePullPolicy {
	if spec.ImagePullPolicy != "" {
		return spec.ImagePullPolicy
	}
	image, isOCI := strings.CutPrefix(moduleURL(spec.URL), "oci://")
	if !isOCI || spec.SHA256 != "" || strings.Contains(image, "@") {
		return wasmv1alpha1.PullIfNotPresent
	}
	lastPart := image[strings.LastIndex(image, "/")+1:]
	if _, tag, tagged := strings.Cut(lastPart, ":"); tagged && tag != "latest" {
		return wasmv1alpha1.PullIfNotPresent
	}
	return wasmv1alpha1.PullAlways
}

// moduleURL adds the scheme that may be left out.
func moduleURL(url string) string {
	if strings.Contains(url, "://") {
		return url
	}
	return "oci://" + url
}
