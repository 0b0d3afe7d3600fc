// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"google.golang.org/protobuf/types/known/anypb"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// tried is what a trial is made of: the plugin as it runs where it isn't Off, so that it needs none to be switched on
// again, and as it was before proxies were asked again.
func tried(in Input) Input {
	plugin := *in.Plugin
	plugin.Spec.Activation = wasmv1alpha1.Activation{}
	in.Plugin, in.Nudge = &plugin, 0
	return in
}

// byContent orders the instances by what they deliver, after the base one, so that it doesn't matter which places they
// are for, and gives them names of their own.
func byContent(instances []instance, name func(int) string) []instance {
	ordered := slices.Clone(instances)
	slices.SortFunc(ordered[1:], func(a, b instance) int { return cmp.Compare(a.configuration, b.configuration) })
	for i := range ordered {
		ordered[i].name = name(i)
	}
	return ordered
}

// contentOf is a hash of what proxies may refuse, and of which ones are asked. Two pairs that differ in other things only,
// such as their place in the chain, stand and fall together.
func contentOf(in Input, instances []instance) (string, error) {
	in = tried(in)
	delivered, err := deliveredBy(in, byContent(instances, strconv.Itoa))
	if err != nil {
		return "", err
	}
	digest, err := Digest(delivered)
	if err != nil {
		return "", err
	}
	raw, err := json.Marshal([]any{digest, reachOf(in), listenerContextsOf(in.Plugin.Spec)})
	if err != nil {
		return "", fmt.Errorf("tell the plugin's content: %w", err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:6]), nil
}

// expectationOf is for the pair that delivers this.
func expectationOf(in Input, delivered map[string]*anypb.Any) (Expectation, error) {
	digest, err := Digest(delivered)
	if err != nil {
		return Expectation{}, err
	}
	return Expectation{Names: slices.Sorted(maps.Keys(delivered)), Digest: digest, Reach: reachOf(in)}, nil
}
