// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"context"
	"errors"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/module"
	"github.com/solarmesh/wasmplugin-operator/internal/resolve"
	"github.com/solarmesh/wasmplugin-operator/internal/store"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// fetcher fetches modules.
type fetcher struct {
	modules    *module.Fetcher
	pullSecret []byte
}

// ModuleFacts is what is said of a module. Names are those of a WasmPlugin's status.module where they mean the same.
type ModuleFacts struct {
	Reference      string `json:"reference"`
	Source         string `json:"source"`
	Digest         string `json:"digest"`
	ManifestDigest string `json:"manifestDigest,omitempty"`
	IndexDigest    string `json:"indexDigest,omitempty"`
	Size           int64  `json:"size"`
	ABI            string `json:"abi"`
}

// flags are the options that may help, by what went wrong.
var flags = map[module.Kind]string{
	module.Blocked:           "see --allow-loopback, --block-private and --insecure-registry",
	module.Denied:            "see --pull-secret-file",
	module.InvalidPullSecret: "see --pull-secret-file",
	module.Unreachable:       "see --ca-file and --insecure-registry",
}

// fetchError is an error of package module with advice for the command line.
type fetchError struct{ cause error }

func (e *fetchError) Unwrap() error { return e.cause }

func (e *fetchError) Error() string {
	if advice, known := flags[module.KindOf(e.cause)]; known {
		return e.cause.Error() + " (" + advice + ")"
	}
	return e.cause.Error()
}

// verdictOnModule says whether an error is about the module, rather than about the way there or the command line.
func verdictOnModule(err error) bool {
	known, ok := errors.AsType[*module.Error](err)
	return ok && !known.Temporary() && known.Kind != module.InvalidPullSecret
}

// fetch returns what is said of a module, and the module.
func (f *fetcher) fetch(ctx context.Context, url, sha256 string, pullSecret []byte) (*ModuleFacts, []byte, error) {
	ref, err := module.Parse(url, sha256)
	if err != nil {
		return nil, nil, &fetchError{err}
	}
	if pullSecret == nil {
		pullSecret = f.pullSecret
	}
	fetched, err := f.modules.Fetch(ctx, ref, pullSecret)
	if err != nil {
		return nil, nil, &fetchError{err}
	}
	facts := &ModuleFacts{
		Reference: ref.String(), Source: fetched.Source, Digest: fetched.Digest, ManifestDigest: fetched.ManifestDigest,
		Size: fetched.Size, ABI: fetched.ABI,
	}
	if fetched.ResolvedDigest != fetched.ManifestDigest {
		facts.IndexDigest = fetched.ResolvedDigest
	}
	return facts, fetched.Content, nil
}

// fetched is the outcome of a fetch.
type fetched struct {
	facts   *ModuleFacts
	content []byte
	err     error
}

// request is all that the outcome of a fetch depends on.
type request struct {
	url, sha256, pullSecret string
}

// moduleJudge fetches the module of each plugin, each module once.
type moduleJudge struct {
	*fetcher

	pullSecrets map[types.NamespacedName][]byte
	known       map[request]fetched
}

// moduleJudge is nil where no module is to be fetched. What is returned beside it is to be called at the end.
func (o *fetchOptions) moduleJudge(fetch bool, input *manifests) (*moduleJudge, func(), error) {
	if !fetch {
		return nil, func() {}, nil
	}
	fetcher, err := o.open()
	if err != nil {
		return nil, nil, err
	}
	return &moduleJudge{fetcher, input.pullSecrets, map[request]fetched{}}, fetcher.modules.Close, nil
}

// resolve renders a plugin with its module, as the operator does once it has resolved it.
func (j *moduleJudge) resolve(ctx context.Context, plugin rendered, result *Verdict) (rendered, error) {
	if !plugin.in.ResolveModules {
		return plugin, nil
	}
	if _, err := j.judge(ctx, plugin.in.Plugin, result); err != nil || result.Module == nil {
		return plugin, err
	}
	facts, in := result.Module, plugin.in
	found := resolve.Module{Digest: facts.Digest, Manifest: facts.ManifestDigest, Source: facts.Source}
	if in.Plugin.Spec.ImagePullSecret != "" {
		found.Capability = store.NewCapability()
		result.Notes = append(result.Notes, "The path in the store has a part that nobody can guess: the operator writes another one.")
	}
	in.Module = found.Located(in)
	pair, err := translate.Translate(in)
	return rendered{in, pair}, err
}

// judge adds to a good verdict what the module brings, and returns the module where it is good.
func (j *moduleJudge) judge(ctx context.Context, plugin *wasmv1alpha1.WasmPlugin, result *Verdict) ([]byte, error) {
	if strings.HasPrefix(plugin.Spec.URL, "store://") {
		result.Notes = append(result.Notes, "The module is in the store, which isn't asked: neither it nor what the plugin says of its rules was judged.")
		return nil, nil
	}
	secret := j.pullSecrets[types.NamespacedName{Namespace: plugin.Namespace, Name: plugin.Spec.ImagePullSecret}]
	key := request{plugin.Spec.URL, plugin.Spec.SHA256, string(secret)}
	outcome, known := j.known[key]
	if !known {
		outcome.facts, outcome.content, outcome.err = j.fetch(ctx, key.url, key.sha256, secret)
		j.known[key] = outcome
	}
	result.Module = outcome.facts
	if outcome.err == nil {
		return outcome.content, nil
	}
	kind := string(module.KindOf(outcome.err))
	if verdictOnModule(outcome.err) {
		result.refuse(kind, problem{"spec.url", outcome.err.Error()})
		return nil, nil
	}
	result.Result, result.Reason, result.Problems = ResultFailed, kind, []problem{{"spec.url", outcome.err.Error()}}
	return nil, ctx.Err()
}
