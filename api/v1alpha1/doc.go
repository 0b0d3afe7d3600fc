// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 is the API of wasmplugin-operator: one kind, WasmPlugin, which runs a WebAssembly plugin in the
// proxies of an Istio mesh.
//
// A user names a module (url), its configuration (rules) and the proxies (selector); the operator writes the two
// EnvoyFilters that load it and reports in the status whether they stand. A field that means what a field of Istio's
// own WasmPlugin (extensions.istio.io/v1alpha1) means has its name, values and default. This package holds types and
// markers only: no logic, and no import beyond the Kubernetes API machinery.
//
// +kubebuilder:object:generate=true
// +kubebuilder:ac:generate=true
// +groupName=wasm.solarmesh.io
package v1alpha1
