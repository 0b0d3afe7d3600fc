// SPDX-License-Identifier: Apache-2.0

// Package crd holds the custom resource definition, for programs that judge without an API server.
package crd

import _ "embed" // for the file below

// WasmPlugins is the definition of the kind WasmPlugin, in YAML.
//
//go:embed bases/wasm.solarmesh.io_wasmplugins.yaml
var WasmPlugins []byte
