// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/drystart"
)

// start starts a plugin with what a proxy would give it, the rules of each override too, and adds to the verdict what the
// plugin says. Its words are shown without what may be a credential.
func (r rendered) start(ctx context.Context, content []byte, result *verdict) error {
	request, err := drystart.FromEnvoyFilter(r.pair.Config.Object.Object)
	if err != nil {
		return err
	}
	request.Module = content
	for _, secret := range r.in.Sources.Secrets() {
		request.Secrets = append(request.Secrets, string(secret))
	}
	summary := drystart.Summarize(drystart.New(drystart.Options{}).Check(ctx, request))
	if summary.Unsure != "" {
		result.Notes = append(result.Notes, fmt.Sprintf("Whether the plugin starts, only a proxy can tell: %s.", summary.Unsure))
	}
	if summary.Refused != nil {
		reason := wasmv1alpha1.ReasonModuleRejected
		if summary.OfRules() {
			reason = wasmv1alpha1.ReasonRulesRejected
		}
		result.refuse(reason, problem{summary.Field(), drystart.Words(summary.Refused.Reason, r.in.Mask(summary.Refused.Said()))})
	}
	return ctx.Err()
}
