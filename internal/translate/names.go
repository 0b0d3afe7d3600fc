// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

var (
	// Roles are the halves of the pair that is in force, in the order in which they are written.
	Roles = []wasmv1alpha1.EnvoyFilterRole{wasmv1alpha1.EnvoyFilterConfig, wasmv1alpha1.EnvoyFilterFilter}
	// TrialRoles are those of a trial.
	TrialRoles = []wasmv1alpha1.EnvoyFilterRole{wasmv1alpha1.EnvoyFilterTrialConfig, wasmv1alpha1.EnvoyFilterTrialFilter}
	// CanaryRoles are those of a canary.
	CanaryRoles = []wasmv1alpha1.EnvoyFilterRole{wasmv1alpha1.EnvoyFilterCanaryConfig, wasmv1alpha1.EnvoyFilterCanaryFilter}
	// AllRoles are those of all EnvoyFilters that a plugin may have.
	AllRoles = slices.Concat(Roles, TrialRoles, CanaryRoles)
)

// halves have the end of each half's name and the value of its label. No end is that of another, so that a name tells the
// plugin and the role.
var halves = map[wasmv1alpha1.EnvoyFilterRole]struct{ suffix, label string }{
	wasmv1alpha1.EnvoyFilterConfig:      {"-config", wasmv1alpha1.RoleConfig},
	wasmv1alpha1.EnvoyFilterFilter:      {"-filter", wasmv1alpha1.RoleFilter},
	wasmv1alpha1.EnvoyFilterTrialConfig: {"-config-trial", wasmv1alpha1.RoleTrialConfig},
	wasmv1alpha1.EnvoyFilterTrialFilter: {"-filter-trial", wasmv1alpha1.RoleTrialFilter},

	wasmv1alpha1.EnvoyFilterCanaryConfig: {"-config-canary", wasmv1alpha1.RoleCanaryConfig},
	wasmv1alpha1.EnvoyFilterCanaryFilter: {"-filter-canary", wasmv1alpha1.RoleCanaryFilter},
}

// EnvoyFilterName is the name of a half of one of a plugin's pairs. A plugin's name has at most 63 characters, so this one is
// never shortened and two plugins never share it.
func EnvoyFilterName(plugin string, role wasmv1alpha1.EnvoyFilterRole) string {
	return plugin + halves[role].suffix
}

// PluginName is the inverse of EnvoyFilterName: the plugin that an EnvoyFilter's name is made of.
func PluginName(envoyFilter string) (string, bool) {
	for _, role := range AllRoles {
		if plugin, ok := strings.CutSuffix(envoyFilter, EnvoyFilterName("", role)); ok && plugin != "" {
			return plugin, true
		}
	}
	return "", false
}

// InForce says whether an EnvoyFilter is one of the pair that is in force.
func InForce(role wasmv1alpha1.EnvoyFilterRole) bool { return slices.Contains(Roles, role) }

// resourceName is the name under which proxies discover the plugin (ECDS). It must be unique in the mesh: Envoy refuses
// every plugin of a push that holds a name twice (delta xDS, istiod's default since 1.22). A namespace has no dot, so
// two plugins never share it. A network filter has another name than an HTTP filter, since what Envoy holds under one
// name can't change its type.
func resourceName(plugin *wasmv1alpha1.WasmPlugin) string {
	name := "wasm.solarmesh.io/" + plugin.Namespace + "." + plugin.Name
	if isNetwork(plugin.Spec) {
		name += "~network"
	}
	return name
}

// PluginsIn counts the plugins of this operator by the names that a proxy discovers.
func PluginsIn(names iter.Seq[string]) int {
	plugins := map[string]struct{}{}
	for name := range names {
		if plugin, ours := strings.CutPrefix(name, "wasm.solarmesh.io/"); ours {
			plugin, _, _ = strings.Cut(plugin, "~") // instances of one plugin begin alike
			plugins[plugin] = struct{}{}
		}
	}
	return len(plugins)
}

// vmID keeps the plugin's VM apart from those of other plugins, since a trap stops all that share a VM. The hash covers
// what a VM is built from: Envoy's own key knows the id, the configuration and the code only, so that a changed
// environment or a tightened capability would otherwise meet the old VM. allowOnHeadersStopIteration is no matter of the
// VM, but Envoy 1.39 leaves a running plugin as it is where nothing else changes.
func vmID(in Input) string {
	plugin, spec := in.Plugin, in.Plugin.Spec
	hash := sha256.New()
	module, pin := in.identity()
	fmt.Fprintf(hash, "%q %q\n", module, pin)
	for _, env := range sortedEnv(spec.VMConfig.Env) {
		value := ""
		if env.Value != nil {
			value = *env.Value
		}
		fmt.Fprintf(hash, "%q %q %q\n", env.Name, env.ValueFrom, value)
	}
	if envoy := spec.Envoy; envoy.VMConfiguration != "" || envoy.CapabilityRestriction.AllowedCapabilities != nil {
		fmt.Fprintf(hash, "%q %q\n", envoy.VMConfiguration, slices.Sorted(slices.Values(envoy.CapabilityRestriction.AllowedCapabilities)))
	}
	if stop := spec.Envoy.AllowOnHeadersStopIteration; stop != "" {
		fmt.Fprintf(hash, "%q\n", stop)
	}
	return plugin.Namespace + "/" + plugin.Name + "~" + hex.EncodeToString(hash.Sum(nil)[:4])
}

// IdentityKey is equal for plugins that only priority orders within a phase: the number by which istiod orders their
// EnvoyFilters has no room for more of their identity.
func IdentityKey(namespace, name string) string {
	return strconv.Itoa(int(identityHash(namespace, name)))
}

// Meet says whether plugins of two namespaces can stand in one proxy: those of the root namespace are everywhere.
func (o Options) Meet(namespace, other string) bool {
	return namespace == other || namespace == o.RootNamespace || other == o.RootNamespace
}

// identityHash spreads plugins of one phase and priority over 16 bits.
func identityHash(namespace, name string) int32 {
	sum := sha256.Sum256([]byte(namespace + "/" + name))
	return int32(binary.BigEndian.Uint16(sum[:2]))
}
