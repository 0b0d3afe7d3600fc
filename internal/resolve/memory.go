// SPDX-License-Identifier: Apache-2.0

// Package resolve brings a module from the URL in a spec to where proxies fetch it: fetched or found again, verified, put
// into the store and started on trial. It knows no cluster: what stands there is passed in.
package resolve

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/solarmesh/wasmplugin-operator/internal/store"
)

// Module is a module that was resolved, as the pair's annotation remembers it.
type Module struct {
	// Digest is that of the module's bytes, sha256:….
	Digest string `json:"digest"`
	// Manifest is the digest of an image's manifest, and Resolved what the image's name led to, where that is an index.
	Manifest string `json:"manifest,omitempty"`
	Resolved string `json:"resolved,omitempty"`
	// Source says where it came from, with the digest that leads to the very same.
	Source string `json:"source"`
	Size   int64  `json:"size"`
	ABI    string `json:"abi"`
	// VerifiedBy says who signed it, where that was asked for.
	VerifiedBy string `json:"verifiedBy,omitempty"`
	// Capability is the part of its path in the store that can't be guessed, where not everybody may read it.
	Capability string `json:"capability,omitempty"`
	// Stored says that it was put into the store.
	Stored bool `json:"stored,omitempty"`
	// Request tells what was asked for, Check what was started: the same again needs no second look.
	Request string `json:"request"`
	Check   string `json:"check,omitempty"`
	// Unsure is a clause on what the checker could not tell of the plugin or its rules.
	Unsure string `json:"unsure,omitempty"`
	// Refresh is the plugin's AnnotationRefresh when its module was last looked at.
	Refresh string `json:"refresh,omitempty"`
	// Always says that the operator looks again and again what the tag means.
	Always bool `json:"always,omitempty"`
}

// annotated is a module with a checksum, so that an edit by hand is noticed, and taken for no module rather than for another.
type annotated struct {
	Module

	Sum string `json:"sum"`
}

// Parse reads the annotation. What can't be read, or was edited, is no module.
func Parse(annotation string) Module {
	var read annotated
	if json.Unmarshal([]byte(annotation), &read) != nil || read.Sum != read.sum() {
		return Module{}
	}
	if (store.Reference{Digest: read.Digest, Capability: read.Capability}).Check() != nil {
		return Module{}
	}
	return read.Module
}

// String is the annotation's value, empty for no module.
func (m Module) String() string {
	if m.Digest == "" {
		return ""
	}
	text, _ := json.Marshal(annotated{m, m.sum()}) // strings, numbers and booleans can always be written
	return string(text)
}

func (m Module) sum() string {
	text, _ := json.Marshal(m)
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:4])
}

// resolvedTo is what the image's name led to.
func (m Module) resolvedTo() string {
	if m.Resolved != "" {
		return m.Resolved
	}
	return m.Manifest
}
