// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/proxies"
	"github.com/solarmesh/wasmplugin-operator/internal/rollout"
)

const (
	// maxRejections bounds those that are told by name, maxWords what is repeated of each.
	maxRejections, maxWords = 16, 512
)

// rejectedMemory is the value of AnnotationRejected.
type rejectedMemory struct {
	// Content is what was refused: a refusal is remembered until that changes, since Envoy doesn't look at unchanged content
	// again.
	Content    string              `json:"content"`
	Rejections []rollout.Rejection `json:"rejections"`
}

// remembered adds to what proxies refuse what they are known to have refused before. istiod forgets it when a proxy
// acknowledges anything else, and Envoy doesn't look at unchanged content again.
func (s *roll) remembered(rejections []proxies.Rejection) []proxies.Rejection {
	config := s.children[wasmv1alpha1.EnvoyFilterConfig]
	if config == nil {
		return rejections
	}
	var memory rejectedMemory
	err := json.Unmarshal([]byte(config.Annotations[wasmv1alpha1.AnnotationRejected]), &memory)
	if err != nil || memory.Content != s.pair.Content {
		return rejections
	}
	for _, old := range memory.Rejections {
		known := slices.ContainsFunc(rejections, func(r proxies.Rejection) bool { return r.Proxy == old.Proxy })
		// It is forgotten with the proxy, but not because it isn't known yet which there are.
		if !known && (!s.state.Known || slices.Contains(s.matched, old.Proxy)) {
			rejections = append(rejections, proxies.Rejection(old))
		}
	}
	slices.SortFunc(rejections, func(a, b proxies.Rejection) int { return cmp.Compare(a.Proxy, b.Proxy) })
	return rejections
}

// rejected is the value of AnnotationRejected; empty for none.
func (s *roll) rejected() (string, error) {
	if len(s.inForce.Rejections) == 0 {
		return "", nil
	}
	memory := rejectedMemory{Content: s.pair.Content, Rejections: s.rejectionsOf(s.inForce.Rejections)}
	text, err := json.Marshal(memory)
	if err != nil {
		return "", fmt.Errorf("remember who refused it: %w", err)
	}
	return string(text), nil
}

// quoted is what Envoy repeats of a configuration; the names of plugins and listeners stand without quotes.
var quoted = regexp.MustCompile(`(?s)"(?:\\.|[^"\\])*"?`)

// blockedOf is as rejectionsOf, of what refuses something else: what is a credential there isn't known here.
func (s *roll) blockedOf(found []proxies.Rejection) []rollout.Rejection {
	return s.told(found, s.maskOthers)
}

// rejectionsOf bounds what is told, and masks what may be a credential: Envoy repeats a plugin's words. Which don't name this
// plugin may be of something else in the same push.
func (s *roll) rejectionsOf(found []proxies.Rejection) []rollout.Rejection {
	names := slices.Concat(s.pair.Expectation.Names, s.trial.Expectation.Names, s.canary.Expectation.Names)
	return s.told(found, func(words string) string {
		if slices.ContainsFunc(names, func(name string) bool { return strings.Contains(words, name) }) {
			return s.Mask(words)
		}
		return s.maskOthers(words)
	})
}

func (s *roll) maskOthers(words string) string {
	return s.Mask(quoted.ReplaceAllString(words, `"***"`))
}

func (*roll) told(found []proxies.Rejection, mask func(string) string) []rollout.Rejection {
	rejections := make([]rollout.Rejection, 0, min(len(found), maxRejections))
	for _, rejection := range found[:min(len(found), maxRejections)] {
		words := mask(rejection.Message)
		if len(words) > maxWords {
			words = words[:maxWords]
		}
		rejections = append(rejections, rollout.Rejection{Proxy: rejection.Proxy, Message: words})
	}
	return rejections
}
