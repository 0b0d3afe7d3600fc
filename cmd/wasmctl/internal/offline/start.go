// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"context"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/drystart"
	"github.com/solarmesh/wasmplugin-operator/internal/status"
)

// start starts a plugin with what a proxy would give it, the rules of each override too, and adds to the verdict what the
// plugin says. Its words are shown without what may be a credential.
func (r rendered) start(ctx context.Context, content []byte, result *Verdict) error {
	request, err := r.request(content)
	if err != nil {
		return err
	}
	r.report(drystart.New(drystart.Options{}).Check(ctx, request), result)
	return ctx.Err()
}

// compare adds to the verdict what the schema that the module carries, if any, says of the rules. Of rules that are there in
// part it says nothing: what it misses may stand in the rest.
func (r rendered) compare(ctx context.Context, content []byte, result *Verdict) error {
	if result.partly {
		return nil
	}
	request, err := r.request(content)
	if err != nil {
		return err
	}
	r.report(drystart.CheckRules(ctx, request), result)
	return ctx.Err()
}

func (r rendered) request(content []byte) (drystart.Request, error) {
	request, err := drystart.FromEnvoyFilter(r.pair.Config.Object.Object)
	request.Module = content
	for _, secret := range r.in.Sources.Secrets() {
		request.Secrets = append(request.Secrets, string(secret))
	}
	return request, err
}

// report adds to the verdict what the checker found out, and what it could not.
func (r rendered) report(verdicts []drystart.Verdict, result *Verdict) {
	summary := drystart.Summarize(verdicts)
	if summary.Unsure != "" {
		result.Notes = append(result.Notes, status.Sentence(summary.Unsure))
	}
	if summary.Refused == nil {
		return
	}
	reason := wasmv1alpha1.ReasonModuleRejected
	if summary.OfRules() {
		reason = wasmv1alpha1.ReasonRulesRejected
	}
	result.refuse(reason, problem{summary.Field(), drystart.Words(summary.Refused.Reason, r.in.Mask(summary.Refused.Said()))})
}
