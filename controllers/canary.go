// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/apply"
	"github.com/solarmesh/wasmplugin-operator/internal/metrics"
	"github.com/solarmesh/wasmplugin-operator/internal/proxies"
	"github.com/solarmesh/wasmplugin-operator/internal/rollout"
	"github.com/solarmesh/wasmplugin-operator/internal/status"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// defaultHold is how long canary proxies must have run a change where the spec doesn't say.
const defaultHold = 300

func (s *roll) canaryKey() proxies.Key {
	return proxies.Key{NamespacedName: s.key.NamespacedName, Canary: true}
}

// askCanaries finds out whether there is a canary, and what its proxies make of it.
func (s *roll) askCanaries() error {
	stable, replaceable := s.children.Replaceable(s.owner)
	replaceable = replaceable && !s.children.Silenced(s.pair)
	spec := s.Plugin.Spec
	s.state.Canary = standingCanary(s.children)
	s.state.Canaries = rollout.Canaries{
		Wanted:  replaceable && s.state.Mode == wasmv1alpha1.ActivationSafe && s.Options.HasCanary(spec),
		Hold:    time.Duration(cmp.Or(spec.Rollout.Canary.HoldSeconds, defaultHold)) * time.Second,
		Promote: s.Plugin.Annotations[wasmv1alpha1.AnnotationPromote] == s.pair.Content,
		Abort:   s.Plugin.Annotations[wasmv1alpha1.AnnotationAbort] == s.pair.Content,
	}
	if !s.state.Canaries.Wanted || s.state.Standing == s.pair.Content {
		return nil
	}
	s.stable = stable
	counted, asked := s.rollouts.Proxies.Counted(s.canaryKey())
	s.state.Canaries.Failures, s.state.Canaries.Asked = failures(counted), asked
	if s.state.Canary.Content != s.pair.Content {
		return nil
	}
	var err error
	if s.canary, err = translate.Canary(s.Input, stable, s.state.Canary.Attempt); err != nil {
		return err
	}
	if s.state.Canary.Stands {
		s.followCanary()
		s.state.OnCanary = answers(s.onCanary)
		s.state.OnCanary.Unblocked = s.onCanary.Unblocked || (s.onCanary.Stuck && s.onCanary.Waited > time.Second)
	}
	return nil
}

func failures(counted map[string]proxies.Counts) rollout.Failures {
	if len(counted) == 0 {
		return nil
	}
	found := rollout.Failures{}
	for proxy, counts := range counted {
		found[proxy] = rollout.Counts(counts)
	}
	return found
}

func (s *roll) followCanary() {
	s.onCanary = certain(s.rollouts.Proxies.Follow(s.canaryKey(), s.canary.Expectation))
}

// standingCanary reads what stands, or is remembered, of a canary.
func standingCanary(children apply.Children) rollout.Canary {
	var canary rollout.Canary
	canary.Exists, canary.Stands, canary.Content, canary.CanaryMemory = whatStands[rollout.CanaryMemory](children, translate.CanaryRoles, wasmv1alpha1.AnnotationCanary)
	canary.Stands = canary.Stands && canary.Ended == ""
	return canary
}

func (r *WasmPluginReconciler) toCanary(ctx context.Context, step *roll) error {
	var err error
	if step.decision.Action == rollout.ToCanary {
		step.observePassed()
		if step.canary, err = translate.Canary(step.Input, step.stable, step.decision.CanaryMemory.Attempt); err != nil {
			return err
		}
		// From before the write, so that what proxies say by then isn't taken for an answer to it.
		step.followCanary()
	}
	if step.owner.Canary, err = memoryText(step.decision.CanaryMemory); err != nil {
		return err
	}
	return apply.Pair(ctx, r.Client, r.Live, step.owner, step.canary, step.children)
}

func (r *WasmPluginReconciler) takeBack(ctx context.Context, step *roll) error {
	memory := &step.decision.CanaryMemory
	memory.Rejections, memory.Total = step.rejectionsOf(step.onCanary.Rejections), len(step.onCanary.Rejections)
	var err error
	if step.owner.Canary, err = memoryText(memory); err != nil {
		return err
	}
	if err := apply.Withdraw(ctx, r.Client, step.owner, translate.CanaryRoles, &step.canary, step.children); err != nil {
		return err
	}
	r.Rollouts.Proxies.Forget(step.canaryKey())
	metrics.CanariesEnded.WithLabelValues(strings.ToLower(string(memory.Ended))).Inc()
	return nil
}

// canaryProgress is how far a canary is, for the status.
func (s *roll) canaryProgress(report proxies.Report) *status.Canary {
	memory := s.decision.CanaryMemory
	progress := &status.Canary{
		Change: s.pair.Content, Matched: report.Matched, Programmed: report.Programmed, Ended: string(memory.Ended),
		Uncounted: len(memory.Before) == 0 || s.state.Canaries.Failures.Requests() == 0,
	}
	if !memory.Since.IsZero() {
		progress.Until = memory.Since.Add(s.state.Canaries.Hold)
	}
	return progress
}

// endCanary takes a canary away from the proxies, and follows it no more.
func (r *WasmPluginReconciler) endCanary(ctx context.Context, owner apply.Owner, children apply.Children) error {
	err := apply.Withdraw(ctx, r.Client, owner, translate.CanaryRoles, nil, children)
	if err == nil && r.Rollouts != nil {
		r.Rollouts.Proxies.Forget(proxies.Key{NamespacedName: client.ObjectKeyFromObject(owner), Canary: true})
	}
	return err
}
