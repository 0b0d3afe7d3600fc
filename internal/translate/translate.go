// SPDX-License-Identifier: Apache-2.0

// Package translate renders a WasmPlugin into its pair of EnvoyFilters. It is pure: no client, clock, log or network;
// the same input gives the same bytes.
package translate

import (
	"fmt"
	"slices"

	networking "istio.io/api/networking/v1alpha3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/rules"
)

// Input is all that a pair is made of.
type Input struct {
	// Plugin is the WasmPlugin as the API server holds it.
	Plugin *wasmv1alpha1.WasmPlugin
	// Sources are the ConfigMaps and Secrets that References names.
	Sources rules.Sources
	// Ties are plugins, as namespace/name, that may stand in one proxy with this one and have its IdentityKey.
	Ties []string
	// Module is what spec.url led to. The zero value stands for a module that the operator doesn't look at.
	Module Module
	// Nudge makes a pair another one to istiod, and the same to Envoy: proxies are asked again. It is added to the time in
	// which a module must be fetched, in milliseconds.
	Nudge int
	Options
}

// Options is what the installation says.
type Options struct {
	// RootNamespace is the mesh's root namespace, whose EnvoyFilters reach every namespace.
	RootNamespace string
	// AllowRootNamespaceScope permits scope Namespace there, which then means every proxy of the mesh.
	AllowRootNamespaceScope bool
	// IstioVersion is the release of the mesh's oldest istiod, such as 1.30. Default: DefaultIstioVersion.
	IstioVersion string
	// ResolveModules says that the operator fetches and checks modules.
	ResolveModules bool
	// StoreURL is where proxies reach the store; "" for none.
	StoreURL string
	// ObserveProxies says that the operator asks istiod what the proxies do.
	ObserveProxies bool
	// RequireDigest refuses modules that aren't pinned, RequireSignature those that needn't be signed.
	RequireDigest, RequireSignature bool
}

// Pair is what a plugin becomes.
type Pair struct {
	// Config delivers the plugin's configuration (EXTENSION_CONFIG). It must stand before Filter does: a proxy that meets
	// a filter whose configuration doesn't exist waits for it and opens no listener.
	Config EnvoyFilter
	// Filter puts the plugin into the filter chains (HTTP_FILTER or NETWORK_FILTER), and has the route patches of overrides.
	Filter EnvoyFilter
	// Content tells all in it that a proxy may refuse, and which proxies are asked, from anything else. A trial has the
	// content of the pair that it is about.
	Content string
	// Expectation says by what one knows that the proxies run it.
	Expectation Expectation
	// Notes are sentences that a user should know although the spec is good.
	Notes []string
}

// EnvoyFilter is one half of a pair.
type EnvoyFilter struct {
	Name string
	Role wasmv1alpha1.EnvoyFilterRole
	// Object is all that the operator applies: identity, labels, owner reference and spec.
	Object *unstructured.Unstructured
	// Hash is over the spec.
	Hash string
	// Instances are the names under which it delivers configurations, sorted. Only a Config has some.
	Instances []string
}

// EnvoyFilters returns the halves in the order in which they must be written.
func (p Pair) EnvoyFilters() []EnvoyFilter {
	return []EnvoyFilter{p.Config, p.Filter}
}

// InvalidSpecError says which field of a WasmPlugin can't be used, why, and what to do.
type InvalidSpecError struct {
	// Reason is a reason of the condition Accepted.
	Reason string
	// Field is a path such as spec.match[0].
	Field   string
	Problem string
}

func (e *InvalidSpecError) Error() string {
	return e.Field + ": " + e.Problem
}

func invalid(field, format string, args ...any) error {
	return &InvalidSpecError{Reason: wasmv1alpha1.ReasonInvalidSpec, Field: field, Problem: fmt.Sprintf(format, args...)}
}

// Translate renders a pair, or returns an *InvalidSpecError.
func Translate(in Input) (Pair, error) {
	instances, overrides, content, err := partsOf(in)
	if err != nil {
		return Pair{}, err
	}
	filters, err := filterPatches(in.Plugin.Spec, instances)
	if err != nil {
		return Pair{}, fmt.Errorf("render the plugin's filter: %w", err)
	}
	if !isOff(in.Plugin.Spec) { // a route would switch an instance on
		routes, err := routePatches(in, instances, overrides)
		if err != nil {
			return Pair{}, fmt.Errorf("render the plugin's overrides: %w", err)
		}
		filters = append(filters, routes...)
	}
	pair, err := pairOf(in, Roles, content, instances, filters)
	if err != nil {
		return Pair{}, err
	}
	pair.Notes = notes(in)
	return pair, nil
}

// partsOf is what the pairs of a plugin are made of, or an *InvalidSpecError.
func partsOf(in Input) (instances []instance, overrides []override, content string, err error) {
	if err = validate(in); err != nil {
		return nil, nil, "", err
	}
	if instances, overrides, err = instancesOf(in); err != nil {
		return nil, nil, "", err
	}
	if content, err = contentOf(in, instances); err != nil {
		return nil, nil, "", fmt.Errorf("render the plugin's configuration: %w", err)
	}
	return instances, overrides, content, nil
}

// pairOf assembles the halves of these roles.
func pairOf(in Input, roles []wasmv1alpha1.EnvoyFilterRole, content string, instances []instance,
	filters []*networking.EnvoyFilter_EnvoyConfigObjectPatch,
) (Pair, error) {
	delivered, err := deliveredBy(in, instances)
	if err != nil {
		return Pair{}, fmt.Errorf("render the plugin's configuration: %w", err)
	}
	config, err := configPatches(instances, delivered)
	if err != nil {
		return Pair{}, fmt.Errorf("render the plugin's configuration: %w", err)
	}
	pair := Pair{Content: content}
	if pair.Expectation, err = expectationOf(in, delivered); err != nil {
		return Pair{}, fmt.Errorf("render the plugin's configuration: %w", err)
	}
	if pair.Config, err = envoyFilter(in.Plugin, roles[0], config); err != nil {
		return Pair{}, err
	}
	pair.Config.Instances = slices.Clone(pair.Expectation.Names)
	if pair.Filter, err = envoyFilter(in.Plugin, roles[1], filters); err != nil {
		return Pair{}, err
	}
	return pair, nil
}
