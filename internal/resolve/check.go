// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/drystart"
	"github.com/solarmesh/wasmplugin-operator/internal/metrics"
)

// verdict is what a dry start came to, as it is kept.
type verdict struct {
	Refusal *Refusal `json:"refusal,omitempty"`
	Unsure  string   `json:"unsure,omitempty"`
}

// CheckID tells one dry start from another: by the module, and all that a proxy would start it with but names, so that
// many plugins with one module and the same rules share a verdict.
func CheckID(digest string, request drystart.Request) (string, error) {
	request.Module, request.Secrets, request.VMID = nil, nil, ""
	request.Plugins = slices.Clone(request.Plugins)
	for i := range request.Plugins {
		request.Plugins[i].Name = ""
	}
	raw, err := json.Marshal(request) // the keys of maps are sorted
	if err != nil {
		return "", fmt.Errorf("tell a dry start from another: %w", err)
	}
	sum := sha256.Sum256(append([]byte(digest+"\n"), raw...))
	return hex.EncodeToString(sum[:16]), nil
}

// check starts the plugin, unless it is known what comes of it.
func (w *work) check(ctx context.Context) error {
	found := &w.outcome.Module
	if w.Start == nil || w.checker == nil {
		found.Check, found.Unsure = "", ""
		return nil
	}
	request, err := w.Start(*found)
	if err != nil {
		return err
	}
	id, err := CheckID(found.Digest, request)
	if err != nil {
		return err
	}
	if found.Check == id {
		return nil
	}
	known, err := w.verdict(ctx, id, request)
	if err != nil {
		return err
	}
	if w.outcome.Refusal = known.Refusal; known.Refusal != nil {
		// What was kept is of a plugin with the same rules, of which others may have been secret.
		known.Refusal.Said = w.Mask(known.Refusal.Said)
	}
	found.Check, found.Unsure = id, known.Unsure
	return nil
}

// verdict is the known one, or a new one.
func (w *work) verdict(ctx context.Context, id string, request drystart.Request) (verdict, error) {
	if known, ok := w.cache.verdict(id); ok {
		return known, nil
	}
	// Nobody whose turn it is to be started waits for a server.
	if !w.cache.Has(w.Namespace, w.outcome.Module.Digest) {
		if err := w.load(ctx); err != nil {
			return verdict{}, err
		}
		w.endTurn() // those whose turn it is to be started may need one
	}
	if err := w.checking.Acquire(ctx, 1); err != nil {
		return verdict{}, err
	}
	defer w.checking.Release(1)
	// Another plugin may have asked the same meanwhile.
	if known, ok := w.cache.verdict(id); ok {
		return known, nil
	}
	found, err := w.start(ctx, request)
	if err == nil && (found.Refusal == nil || !found.Refusal.Exhausted) {
		w.cache.keepVerdict(id, found)
	}
	return found, err
}

// start asks the checker.
func (w *work) start(ctx context.Context, request drystart.Request) (_ verdict, err error) {
	if err := w.load(ctx); err != nil {
		return verdict{}, err
	}
	request.Module = w.held.Content
	verdicts, err := w.checker.Check(ctx, request)
	if err != nil {
		return verdict{}, &Failure{Reason: wasmv1alpha1.ReasonCheckerUnavailable, Message: err.Error(), Temporary: true}
	}
	summary := drystart.Summarize(verdicts)
	result := verdict{Unsure: summary.Unsure}
	if summary.Refused == nil {
		metrics.DryStarts.WithLabelValues(outcomeOf(summary)).Inc()
		return result, nil
	}
	metrics.DryStarts.WithLabelValues(metrics.DryStartRefused).Inc()
	result.Refusal = &Refusal{
		OfRules: summary.OfRules(), Field: summary.Field(), Exhausted: summary.Refused.Exhausted,
		Reason: summary.Refused.Reason, Said: w.Mask(summary.Refused.Said()),
	}
	return result, nil
}

func outcomeOf(summary drystart.Summary) string {
	if summary.Unsure != "" {
		return metrics.DryStartInconclusive
	}
	return metrics.DryStartAccepted
}
