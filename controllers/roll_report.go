// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/apply"
	"github.com/solarmesh/wasmplugin-operator/internal/proxies"
	"github.com/solarmesh/wasmplugin-operator/internal/rollout"
	"github.com/solarmesh/wasmplugin-operator/internal/status"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// rollOut does the next step of bringing a pair into force, and observes what came of it.
func (r *WasmPluginReconciler) rollOut(ctx context.Context, plugin resolvedPlugin, pair translate.Pair, children apply.Children,
	observation status.Observation,
) (status.Observation, later, error) {
	step, err := r.newRoll(plugin, pair, children)
	if err != nil {
		return observation, later{}, err
	}
	logf.FromContext(ctx).V(1).Info("Rolling out", "action", step.decision.Action, "phase", step.decision.Phase, "matched", step.matched,
		"trial", step.state.Trial, "onTrial", proxyCounts(step.onTrial), "inForce", proxyCounts(step.inForce))
	if err = r.act(ctx, step); err != nil && !standingTrial(children).Exists {
		// Who can't write its trial holds up nobody.
		r.Rollouts.endTurn(step.key.NamespacedName)
	}
	observation.Mode = step.mode
	seen := step.proxies()
	observation.Proxies = &seen
	observation.Applied, err = applied(err, plugin)
	if verdict, onTrial := status.AppliedOnTrial(seen); onTrial && observation.Applied.Status == metav1.ConditionTrue {
		observation.Applied = verdict
	}
	next := later{wait: step.decision.Wake, quiet: err == nil && step.quiet()}
	if next.quiet || step.inForce.Stuck {
		next.wait = sooner(next.wait, grace)
	}
	if step.nudgeAgain > 0 {
		next.wait = sooner(next.wait, step.nudgeAgain+time.Second)
	}
	step.owner.Proxies = step.short()
	observation.EnvoyFilters = children.Standing(step.owner)
	if seen.Progress == status.InForce {
		observation.Module = moduleStatus(plugin.module.Module)
	}
	return observation, next, err
}

// untried says that a trial or a canary that is asked for isn't made. refused: istiod doesn't say what its proxies do.
func untried(in translate.Input, refused bool) []string {
	spec := in.Plugin.Spec
	canary := spec.Rollout.Canary.Selector.MatchLabels != nil
	mode := in.Mode(spec)
	var why string
	switch {
	case mode == wasmv1alpha1.ActivationSafe && refused:
		why = "istiod refuses to say what its proxies do (see Programmed)"
	case mode != wasmv1alpha1.ActivationImmediate, spec.Activation.Mode != wasmv1alpha1.ActivationSafe && !canary:
		return nil
	case !in.ObserveProxies:
		why = "this installation doesn't look at proxies"
	case spec.Activation.Mode == wasmv1alpha1.ActivationImmediate:
		why = "spec.activation.mode is Immediate"
	default:
		why = "Envoy knows no way to try a network filter where no connection passes"
	}
	if canary {
		return []string{"Changes come into force without a canary (spec.rollout), since " + why + "."}
	}
	return []string{"Changes come into force without a trial, since " + why + "."}
}

// report is what proxies say of what this step is about.
func (s *roll) report() proxies.Report {
	switch s.decision.Phase {
	case rollout.InForce:
		return s.inForce
	case rollout.OnTrial, rollout.TimedOut:
		return s.onTrial
	case rollout.OnCanary:
		return s.onCanary
	default:
		return proxies.Report{Matched: len(s.matched), Age: 1}
	}
}

// quiet says that it is too early to tell: proxies will have answered soon.
func (s *roll) quiet() bool {
	if s.early {
		return true
	}
	switch s.decision.Phase {
	case rollout.InForce, rollout.OnTrial, rollout.OnCanary:
		return quiet(s.report()) || (s.decision.Phase == rollout.OnTrial && s.decision.Action == rollout.Try)
	case rollout.Queued, rollout.Blind, rollout.Refused, rollout.TimedOut, rollout.TakenBack:
	}
	return false
}

// proxies is what is known of the proxies, for the status.
func (s *roll) proxies() status.Proxies {
	report := s.report()
	seen := status.Proxies{
		Progress: status.Progress(s.decision.Phase), Stands: s.state.Standing != "" && !s.children.Silenced(s.pair),
		Matched: report.Matched, Idle: report.Idle, Waiting: report.Waiting, Unread: report.Unread,
		Fullest: report.Fullest, Plugins: report.Plugins,
	}
	if s.decision.Phase == rollout.InForce {
		seen.Programmed, seen.Uncertain = report.Programmed, report.Uncertain
	}
	rejections, total := s.rejectionsOf(report.Rejections), len(report.Rejections)
	switch s.decision.Phase {
	case rollout.Refused:
		rejections, total = s.decision.Memory.Rejections, s.decision.Memory.Total
	case rollout.TakenBack:
		rejections, total = s.decision.CanaryMemory.Rejections, s.decision.CanaryMemory.Total
	default:
	}
	if s.decision.Phase == rollout.OnCanary || s.decision.Phase == rollout.TakenBack {
		seen.Matched, seen.Programmed, seen.Canary = len(s.matched), report.Programmed, s.canaryProgress(report)
	}
	seen.RejectedTotal = total
	for _, rejection := range rejections {
		seen.Rejections = append(seen.Rejections, wasmv1alpha1.ProxyRejection{Proxy: rejection.Proxy, Message: status.Words(rejection.Message)})
	}
	for _, blocked := range s.blockedOf(report.Blocked) {
		seen.Blocked = append(seen.Blocked, wasmv1alpha1.ProxyRejection(blocked))
	}
	if s.decision.Phase == rollout.Blind {
		seen.Unread = s.rollouts.Proxies.Unread()
	}
	return seen
}

// short tells in the status, by metadata, what it says of the proxies.
func (s *roll) short() string {
	if s.decision.Phase == rollout.InForce {
		return shortReport(s.inForce)
	}
	return string(s.decision.Phase)
}

// proxyCounts tells one state of the proxies from another.
func proxyCounts(report proxies.Report) string {
	text := fmt.Sprintf("%d-%d", report.Programmed, report.Matched)
	if report.Idle > 0 {
		text += fmt.Sprintf("-idle%d", report.Idle)
	}
	if len(report.Rejections) > 0 || len(report.Blocked) > 0 {
		text += fmt.Sprintf("-%d-%d", len(report.Rejections), len(report.Blocked))
	}
	return text
}
