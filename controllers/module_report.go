// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"strings"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/resolve"
	"github.com/solarmesh/wasmplugin-operator/internal/status"
)

// judgeModule says in an observation why there is no module, or none that starts.
func judgeModule(module resolvedModule, observation *status.Observation) {
	stands := observation.Stands()
	observation.Applied = status.WithoutModule(stands)
	switch {
	case module.resolving:
		observation.ModuleResolved = status.Resolving(stands)
	case module.Failure != nil:
		failure := module.Failure
		observation.ModuleResolved = status.NotResolved(failure.Reason, failure.Message, stands, failure.Temporary)
	case module.Refusal.OfRules:
		observation.ModuleResolved = status.Resolved(moduleNotes(module.Outcome)...)
		problem := fmt.Sprintf("%s: the plugin refuses them: %s", module.Refusal.Field, module.Refusal.Words())
		observation.Accepted = status.RulesRejected(problem, stands)
		observation.Applied = status.NotApplied(stands)
	default:
		problem := "the plugin doesn't start: " + module.Refusal.Words()
		observation.ModuleResolved = status.NotResolved(wasmv1alpha1.ReasonModuleRejected, problem, stands, false)
	}
}

// moduleNotes are the sentences about a module that is there.
func moduleNotes(outcome resolve.Outcome) []string {
	done := []string{"fetched"}
	found := outcome.Module
	if found.VerifiedBy != "" {
		done = append(done, "verified")
	}
	if found.Stored {
		done = append(done, "put into the store")
	}
	if found.Check != "" && outcome.Refusal == nil {
		done = append(done, "started on trial")
	}
	notes := []string{"The module was " + join(done) + "."}
	if found.Unsure != "" {
		notes = append(notes, status.Sentence(found.Unsure))
	}
	if outcome.Note != "" {
		notes = append(notes, status.Sentence(outcome.Note))
	}
	return notes
}

func join(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// moduleStatus is the status of a module that is in effect.
func moduleStatus(module resolve.Module) wasmv1alpha1.ModuleStatus {
	if module.Digest == "" {
		return wasmv1alpha1.ModuleStatus{}
	}
	hex := strings.TrimPrefix(module.Digest, "sha256:")
	return wasmv1alpha1.ModuleStatus{
		Digest: module.Digest, ShortDigest: hex[:8], Size: module.Size, ABI: module.ABI, Source: module.Source, VerifiedBy: module.VerifiedBy,
	}
}
