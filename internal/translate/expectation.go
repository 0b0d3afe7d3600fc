// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Expectation says by what one knows that proxies run a pair: which proxies, and what they are sent. It is small enough to
// stand in an annotation.
type Expectation struct {
	// Names are those under which the proxies discover configurations (ECDS), sorted.
	Names []string `json:"-"`
	// Digest is Digest of what is delivered under Names.
	Digest string `json:"digest"`
	Reach  Reach  `json:"reach"`
}

// Reach says which proxies get an EnvoyFilter, as istiod decides it (1.27 to 1.31).
type Reach struct {
	// Namespace is that of the proxies; empty for every namespace, which only the mesh's root namespace reaches.
	Namespace string `json:"namespace,omitempty"`
	// Labels are those that a proxy must have, where the plugin has a selector.
	Labels map[string]string `json:"labels,omitempty"`
	// Gateways are names of Gateways of the Gateway API, in Namespace. Waypoints says that all of them are meant, of
	// every namespace.
	Gateways  []string `json:"gateways,omitempty"`
	Waypoints bool     `json:"waypoints,omitempty"`
	// Types are the types of proxies that have listeners of the plugin's contexts: router, sidecar or waypoint.
	Types []string `json:"types"`
	// MinimumMinor is the oldest minor release of Istio whose proxies get it, 0 for any.
	MinimumMinor int `json:"minimumMinor,omitempty"`
	// Revision is that of the istiods that read it; empty for all.
	Revision string `json:"revision,omitempty"`
}

// Digest tells what is delivered under some names from anything else: the typed_config of each. It doesn't depend on how
// messages are encoded.
func Digest(delivered map[string]*anypb.Any) (string, error) {
	hash := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(delivered)) {
		message, err := delivered[name].UnmarshalNew()
		if err != nil {
			return "", fmt.Errorf("read what is delivered as %s: %w", name, err)
		}
		raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
		if err != nil {
			return "", fmt.Errorf("read what is delivered as %s: %w", name, err)
		}
		fmt.Fprintf(hash, "%q %d ", name, len(raw))
		hash.Write(raw)
	}
	return hex.EncodeToString(hash.Sum(nil)[:8]), nil
}
