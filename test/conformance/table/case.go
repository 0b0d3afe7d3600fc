// SPDX-License-Identifier: Apache-2.0

// Package table reads the cases of the conformance suite: what a WasmPlugin says, what Istio's own WasmPlugin says for
// the same, and where istiod must put both. It needs no control plane, so that the page docs/conformance.md and the
// check that every field has a case are made of the same data that the suite proves.
package table

// Verdict says how a case compares with Istio's own WasmPlugin.
type Verdict string

// The verdicts.
const (
	// Equal: Istio's own kind says the same, and istiod sends the same for both.
	Equal Verdict = "equal to native"
	// Beyond: Istio's own kind can't say it.
	Beyond Verdict = "beyond native"
	// Unsayable: Istio's own kind says it, an EnvoyFilter can't, or not exactly.
	Unsayable Verdict = "cannot be said"
)

// Case is one statement about the resource, and its proof.
type Case struct {
	// Name is the case's, and part of the names of its namespaces.
	Name string `json:"name"`
	// About is what it says, a phrase for the page.
	About string `json:"about"`
	// Fields are the fields that it is about, as paths below spec, such as match[].ports[].number, or a path below
	// metadata that begins so.
	Fields []string `json:"fields"`
	// Contexts are the kinds of listeners that it is about.
	Contexts []string `json:"contexts"`
	// Verdict compares with Istio's own kind; Why explains every other verdict than Equal.
	Verdict Verdict `json:"verdict"`
	Why     string  `json:"why,omitempty"`

	// Worlds are files of testdata/worlds, without their suffix, that are applied first; Objects is YAML beside them. The
	// word NAMESPACE in it stands for the case's namespace.
	Worlds  []string `json:"worlds"`
	Objects string   `json:"objects,omitempty"`
	// Namespaces are further ones, with the same objects, for plugins and proxies that are "in" them.
	Namespaces []string `json:"namespaces,omitempty"`
	// Plugins are ours, Native are Istio's. They are created in order, ours and Istio's in different namespaces.
	Plugins []Plugin `json:"plugins"`
	Native  []Plugin `json:"native,omitempty"`
	// Proxies are those that istiod is asked for, with what it must send them.
	Proxies []Proxy `json:"proxies,omitempty"`
	// Beyond are fields of Envoy's PluginConfig that ours has and Istio's has not, or not with that value.
	Beyond []string `json:"beyond,omitempty"`
}

// Root is where a plugin of the mesh's root namespace is "in".
const Root = "root"

// Plugin is a WasmPlugin, ours or Istio's.
type Plugin struct {
	// Name is "plugin" if left out.
	Name string `json:"name,omitempty"`
	// In is the case's own namespace if empty, one of its further namespaces, or Root.
	In string `json:"in,omitempty"`
	// Labels are of its metadata.
	Labels map[string]string `json:"labels,omitempty"`
	Spec   map[string]any    `json:"spec"`

	// Refused is set where the API server or the operator must not accept it.
	Refused *Refusal `json:"refused,omitempty"`
	// Accepted is a part of what the condition Accepted says of it.
	Accepted string `json:"accepted,omitempty"`
	// Configuration is the very text that the plugin must receive.
	Configuration *string `json:"configuration,omitempty"`
	// Config is a part of Envoy's PluginConfig, as JSON, that istiod must send.
	Config map[string]any `json:"config,omitempty"`
	// Nowhere is set where no proxy gets it.
	Nowhere bool `json:"nowhere,omitempty"`
}

// ID is how expectations name a plugin: its name, behind where it is in.
func (p Plugin) ID() string {
	if p.In == "" {
		return p.Name
	}
	return p.In + "/" + p.Name
}

// Refusal is an error of the API server, or a condition Accepted that is False.
type Refusal struct {
	// Reason is the condition's, or ByAPIServer.
	Reason string `json:"reason"`
	// Message is a part of the error, or of the condition's message.
	Message string `json:"message"`
}

// ByAPIServer is the reason of a refusal by the kind's schema.
const ByAPIServer = "APIServer"

// Proxy is a proxy of the mesh, and what istiod must send to it.
type Proxy struct {
	// Kind is one of Kinds.
	Kind string `json:"kind"`
	// In is the case's own namespace if empty, or one of its further ones.
	In string `json:"in,omitempty"`
	// Labels are added to those that make it one of its kind.
	Labels map[string]string `json:"labels,omitempty"`
	// Version is that of istiod if empty.
	Version string `json:"version,omitempty"`

	// At are the places where the filters of all plugins stand, and no other places. Each says so for single plugins, by
	// ID. NativeAt is for Istio's own where that differs.
	At       []string            `json:"at,omitempty"`
	Each     map[string][]string `json:"each,omitempty"`
	NativeAt *[]string           `json:"nativeAt,omitempty"`
	// Chain are all filters, in order, of each place: plugins by their IDs, Istio's own that Objects make by "native:NAME".
	// NativeChain is for Istio's own where that differs.
	Chain       []string `json:"chain,omitempty"`
	NativeChain []string `json:"nativeChain,omitempty"`
	// Runs say which rules run on which requests, for a case with one plugin that has overrides. The first entry is for all
	// requests, a later one counts for those that it names.
	Runs []Run `json:"runs,omitempty"`
}

// Run says with which rules a plugin runs on the requests of a host or a route.
type Run struct {
	Host  string `json:"host,omitempty"`
	Route string `json:"route,omitempty"`
	// Rules are nil where it doesn't run.
	Rules map[string]any `json:"rules,omitempty"`
}

// Kinds are the kinds of proxies with the labels of their pods.
var Kinds = map[string]map[string]string{
	"gateway":    {"istio": "ingressgateway"},
	"sidecar":    {"app": "app"},
	"gatewayapi": {"gateway.networking.k8s.io/gateway-name": "gateway"},
	"waypoint":   {"gateway.networking.k8s.io/gateway-name": "waypoint"},
}
