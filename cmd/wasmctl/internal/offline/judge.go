// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"context"
	"errors"
	"fmt"
	"strings"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/cmd/wasmctl/internal/cli"
	"github.com/solarmesh/wasmplugin-operator/internal/rules"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// Results of a verdict.
const (
	ResultGood    = "ok"
	ResultRefused = "refused"
	// ResultFailed is that of a document that could not be judged to the end.
	ResultFailed = "failed"
)

// Reasons of a refusal beside those of the condition Accepted.
const (
	reasonUnreadable = "Unreadable"
	reasonInvalid    = "Invalid" // as the API server's
)

// Verdict is what is said of a document.
type Verdict struct {
	Place     string    `json:"place"`
	Kind      string    `json:"kind,omitempty"`
	Namespace string    `json:"namespace,omitempty"`
	Name      string    `json:"name,omitempty"`
	Result    string    `json:"result"`
	Reason    string    `json:"reason,omitempty"`
	Problems  []problem `json:"problems,omitempty"`
	Notes     []string  `json:"notes,omitempty"`
	// Module is set where it was fetched.
	Module *ModuleFacts `json:"module,omitempty"`

	head cli.Head
	// partly: something stands in for sources of rules that the input lacks.
	partly bool
}

func newVerdict(d judged) Verdict {
	return Verdict{
		Place: d.Place, Kind: d.Kind, Namespace: d.Metadata.Namespace, Name: d.Metadata.Name, Result: ResultGood, head: d.Head,
	}
}

func (v *Verdict) refuse(reason string, problems ...problem) {
	v.Result, v.Reason, v.Problems = ResultRefused, reason, append(v.Problems, problems...)
}

// judge says what the operator would make of documents.
type judge struct {
	*manifests
	translate.Options

	// withSources refuses a plugin whose ConfigMaps and Secrets are not in the input. Otherwise those are taken for {}.
	withSources bool
}

// rendered is a plugin that the operator takes, and what it makes of it.
type rendered struct {
	in   translate.Input
	pair translate.Pair
}

// of judges a document by what the operator refuses; what is rendered is good where the verdict is.
func (j judge) of(document judged) (Verdict, rendered, error) {
	result := newVerdict(document)
	if document.plugin == nil {
		reason := reasonUnreadable
		if document.JSON != nil {
			reason = reasonInvalid
		}
		result.refuse(reason, document.problems...)
		return result, rendered{}, nil
	}
	in, missing := j.input(document.plugin, j.Options)
	result.Notes, result.partly = j.fill(in, missing), len(missing) > 0
	pair, err := translate.Translate(in)
	if invalid, ok := errors.AsType[*translate.InvalidSpecError](err); ok {
		result.refuse(invalid.Reason, problem{invalid.Field, invalid.Problem})
		if invalid.Reason == wasmv1alpha1.ReasonNotSupported && j.StoreURL == "" && strings.Contains(invalid.Problem, "store") {
			result.Notes = append(result.Notes, "wasmctl knows of no store; see --store-url.")
		}
		if invalid.Reason == wasmv1alpha1.ReasonReferenceNotFound && len(missing) > 0 {
			result.Notes = append(result.Notes, "Only ConfigMaps and Secrets of the input are seen; name their files, too.")
		}
		return result, rendered{}, nil
	}
	if err != nil {
		return result, rendered{}, fmt.Errorf("%s: %w", document.Place, err)
	}
	result.Notes = append(result.Notes, pair.Notes...)
	return result, rendered{in, pair}, nil
}

// schemaProblems are what an API server would refuse in a WasmPlugin that the operator takes.
func schemaProblems(ctx context.Context, document judged) ([]problem, error) {
	server, err := newAPIServer()
	if err != nil {
		return nil, err
	}
	return server.judge(ctx, document)
}

// fill stands in for sources that the input lacks, and says so.
func (j judge) fill(in translate.Input, missing []rules.Object) []string {
	var notes []string
	needed := keys(in.Plugin.Spec)
	for _, object := range missing {
		data := map[string][]byte{}
		for _, key := range needed[object] {
			data[key] = []byte("{}")
		}
		switch {
		case len(data) == 0:
			notes = append(notes, fmt.Sprintf("%s %q, which is optional, isn't in the input, and was taken for absent.", object.Kind, object.Name))
		case !j.withSources:
			in.Sources[object] = rules.Content{Data: data}
			notes = append(notes, fmt.Sprintf("%s %q isn't in the input, so what it holds was not judged.", object.Kind, object.Name))
		}
	}
	return notes
}

// keys are those that must be there, by object.
func keys(spec wasmv1alpha1.WasmPluginSpec) map[rules.Object][]string {
	needed := map[rules.Object][]string{}
	add := func(sources []wasmv1alpha1.RulesSource) {
		for _, source := range sources {
			object, reference := rules.Object{Kind: rules.ConfigMap, Name: source.ConfigMapKeyRef.Name}, source.ConfigMapKeyRef
			if source.SecretKeyRef.Name != "" {
				object, reference = rules.Object{Kind: rules.Secret, Name: source.SecretKeyRef.Name}, source.SecretKeyRef
			}
			if reference.Optional == nil || !*reference.Optional {
				needed[object] = append(needed[object], reference.Key)
			}
		}
	}
	add(spec.RulesFrom)
	for _, override := range spec.Overrides {
		add(override.RulesFrom)
	}
	return needed
}
