// SPDX-License-Identifier: Apache-2.0

// Package store is how others speak to the store of modules: the paths that proxies fetch, and the client of its upload
// port. The store itself is the package server.
package store

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
)

const (
	// Audience is what a token must be issued for, so that one for another service, or stolen there, opens nothing here.
	Audience = "wasm.solarmesh.io"
	// Group is that of the rights in the store.
	Group = "wasm.solarmesh.io"
	// Resource is what they are rights on.
	Resource = "modules"
	// MaxReferences bounds how many modules can be in use at the same time.
	MaxReferences = 50_000
	// MaxModule is what Istio's agent accepts by default.
	MaxModule = 256 << 20

	digestPrefix    = "sha256:"
	publicPath      = "/modules/sha256/"
	privatePath     = "/modules/private/"
	extension       = ".wasm"
	capabilityBytes = 32
)

var (
	digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	hexForm    = regexp.MustCompile(`^[0-9a-f]{64}$`)
	// capabilityForm is base64url of 32 bytes.
	capabilityForm = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
	labelForm      = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	tagForm        = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
)

// Reference names a module that proxies fetch.
type Reference struct {
	// Digest is sha256: and the 64 hex digits of the module's own digest.
	Digest string `json:"digest"`
	// Capability makes the path of a module that was pulled with a Secret one that cannot be guessed. Empty for others.
	Capability string `json:"capability,omitempty"`
}

// Check says what is wrong with a reference. It doesn't repeat the capability.
func (r Reference) Check() error {
	switch {
	case !digestForm.MatchString(r.Digest):
		return errors.New("a module is named by sha256: and 64 lower-case hex digits")
	case r.Capability != "" && !capabilityForm.MatchString(r.Capability):
		return errors.New("a capability has 43 characters of base64url")
	default:
		return nil
	}
}

// Path is where proxies fetch the module, under the store's URL. The reference must be a valid one.
func (r Reference) Path() string {
	digits := strings.TrimPrefix(r.Digest, digestPrefix)
	if r.Capability == "" {
		return publicPath + digits + extension
	}
	return privatePath + r.Capability + "/" + digits + extension
}

// Path is where proxies fetch a module, under the store's URL.
func Path(digest, capability string) string {
	return Reference{Digest: digest, Capability: capability}.Path()
}

// ParsePath is the reference whose path this is. There is one way only to write it: nothing is unescaped or cleaned.
func ParsePath(path string) (Reference, bool) {
	var capability string
	rest, ok := strings.CutPrefix(path, publicPath)
	if !ok {
		if rest, ok = strings.CutPrefix(path, privatePath); !ok {
			return Reference{}, false
		}
		if capability, rest, ok = strings.Cut(rest, "/"); !ok || !capabilityForm.MatchString(capability) {
			return Reference{}, false
		}
	}
	digits, ok := strings.CutSuffix(rest, extension)
	if !ok || !hexForm.MatchString(digits) {
		return Reference{}, false
	}
	return Reference{Digest: digestPrefix + digits, Capability: capability}, true
}

// NewCapability makes one that nobody can guess.
func NewCapability() string {
	secret := make([]byte, capabilityBytes)
	_, _ = rand.Read(secret) // never fails: the program ends where the system has no randomness
	return base64.RawURLEncoding.EncodeToString(secret)
}

// CapabilityOf makes the one that a key gives a text. Nobody can guess it who doesn't have the key.
func CapabilityOf(key []byte, text string) string {
	mac := hmac.New(sha256.New, key)
	_, _ = io.WriteString(mac, text)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:capabilityBytes])
}

// CheckName says what is wrong with the namespace or the name of an uploaded module.
func CheckName(namespace, name string) error {
	for what, value := range map[string]string{"namespace": namespace, "name": name} {
		if !labelForm.MatchString(value) {
			return fmt.Errorf("the module's %s %q is not one: write up to 63 lower-case letters, digits and dashes", what, shorten(value))
		}
	}
	return nil
}

// CheckTag says what is wrong with a tag.
func CheckTag(tag string) error {
	if !tagForm.MatchString(tag) {
		return fmt.Errorf("the tag %q is not one: write up to 128 letters, digits, dots, dashes and underscores, and begin with no dot or dash", shorten(tag))
	}
	return nil
}

func shorten(text string) string {
	const longest = 128
	return text[:min(len(text), longest)]
}

// ReferenceSet is the body of PUT and GET /references.
type ReferenceSet struct {
	References []Reference `json:"references"`
	// AgeSeconds says how long ago the manager sent it. Only in what one replica tells another.
	AgeSeconds int64 `json:"ageSeconds,omitempty"`
	// Revision grows with every set. Only in what one replica tells another.
	Revision int64 `json:"revision,omitempty"`
	// Brought are modules that came since, too late for the set. Only in what one replica tells another.
	Brought []BroughtModule `json:"brought,omitempty"`
}

// BroughtModule is a module that was brought to a replica some time ago.
type BroughtModule struct {
	Reference

	AgeSeconds int64 `json:"ageSeconds"`
}

// Age is how long ago it came.
func (m BroughtModule) Age() time.Duration {
	return time.Duration(max(m.AgeSeconds, 0)) * time.Second
}

// Age is how long ago the manager sent the set.
func (s ReferenceSet) Age() time.Duration {
	return time.Duration(max(s.AgeSeconds, 0)) * time.Second
}

// MissingModules is the answer to PUT /references.
type MissingModules struct {
	Missing []Reference `json:"missing"`
}

// TaggedModule is what a tag names.
type TaggedModule struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
}

// Problem is the body of every answer that is an error.
type Problem struct {
	Message string `json:"message"`
}
