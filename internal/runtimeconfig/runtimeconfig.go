// SPDX-License-Identifier: Apache-2.0

// Package runtimeconfig knows runtime-config.json, by which a plugin's author describes the plugin to the tools that build,
// test and publish it, and to those who run it. It travels in the module itself, as a custom section.
package runtimeconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// FileName is that of the description in a plugin's folder.
const FileName = "runtime-config.json"

// Config is what stands in runtime-config.json.
type Config struct {
	// Name is the plugin's, as in a WasmPlugin's metadata.
	Name string `json:"name"`
	// Language is the one it is written in, as wasmctl init names it.
	Language string `json:"language"`
	// ABI is the version of proxy-wasm that the module is built for, such as 0.2.1.
	ABI string `json:"abi"`
	// RootIDs are the plugins in the module, as spec.pluginName names them. None: any name leads to the same plugin.
	RootIDs []string `json:"rootIDs,omitempty"`
	// RulesSchema is a JSON Schema of spec.rules.
	RulesSchema json.RawMessage `json:"rulesSchema,omitempty"`
	// DefaultRules are rules to begin with: those of the sample WasmPlugin and of test cases that have none.
	DefaultRules json.RawMessage `json:"defaultRules,omitempty"`
}

// Parse reads a runtime-config.json. Its errors name the field.
func Parse(content []byte) (*Config, error) {
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	config := &Config{}
	if err := decoder.Decode(config); err != nil {
		return nil, fmt.Errorf("%s can't be read: %w", FileName, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s has something after its object", FileName)
	}
	switch {
	case config.Name == "":
		return nil, fmt.Errorf("%s: name is missing; give the plugin's, such as \"basic-auth\"", FileName)
	case config.Language == "":
		return nil, fmt.Errorf("%s: language is missing; give the one that wasmctl init was called with", FileName)
	}
	return config, nil
}
