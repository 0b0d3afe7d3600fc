// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

const (
	// Variables that the agent reads and takes away (Istio's pkg/wasm): when to fetch again, and the version whose change
	// makes it look.
	envPullPolicy      = "ISTIO_META_WASM_IMAGE_PULL_POLICY"
	envResourceVersion = "ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION"
)

func environment(in Input) *wasmv3.EnvironmentVariables {
	variables := &wasmv3.EnvironmentVariables{KeyValues: map[string]string{}}
	spec := in.Plugin.Spec
	for _, env := range sortedEnv(spec.VMConfig.Env) {
		switch {
		case env.ValueFrom == wasmv1alpha1.EnvHost:
			variables.HostEnvKeys = append(variables.HostEnvKeys, env.Name)
		case env.Value != nil:
			variables.KeyValues[env.Name] = *env.Value
		default:
			variables.KeyValues[env.Name] = ""
		}
	}
	policy := pullPolicy(spec)
	if in.Module.URL != "" {
		policy = wasmv1alpha1.PullIfNotPresent // by digest: what a tag means is for the operator to look at
	}
	variables.KeyValues[envPullPolicy] = string(policy)
	if policy == wasmv1alpha1.PullAlways {
		// The agent fetches again when this differs from what it has seen.
		variables.KeyValues[envResourceVersion] = strconv.FormatInt(in.Plugin.Generation, 10)
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
