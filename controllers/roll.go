// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/apply"
	"github.com/solarmesh/wasmplugin-operator/internal/metrics"
	"github.com/solarmesh/wasmplugin-operator/internal/proxies"
	"github.com/solarmesh/wasmplugin-operator/internal/rollout"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// defaultDeadline is how long a trial may take where the spec doesn't say.
const defaultDeadline = 120 * time.Second

// roll is one step of a change: what is written now, and what proxies say.
type roll struct {
	resolvedPlugin
	rollouts *Rollouts
	key      proxies.Key
	children apply.Children
	// pair is what the spec asks for, trial the pair by which it is tried, where there can be one, and canary the one that
	// canary proxies get, where there are some.
	pair, trial, canary translate.Pair
	// stable are the names of the instances that a canary replaces.
	stable   []string
	state    rollout.State
	decision rollout.Decision
	// mode is the one that the status tells.
	mode wasmv1alpha1.ActivationMode
	// matched are the proxies that the plugin matches; onTrial, onCanary and inForce what they say.
	matched                    []string
	onTrial, onCanary, inForce proxies.Report
	// nudgeAgain is when proxies are asked again that are blocked, 0 for never.
	nudgeAgain time.Duration
}

// newRoll finds out where a change is, and decides.
func (r *WasmPluginReconciler) newRoll(plugin resolvedPlugin, pair translate.Pair, children apply.Children) (*roll, error) {
	pair, err := nudged(&plugin, pair, children)
	if err != nil {
		return nil, err
	}
	step := &roll{
		resolvedPlugin: plugin, rollouts: r.Rollouts, children: children, pair: pair,
		key: proxies.Key{NamespacedName: client.ObjectKeyFromObject(plugin.Plugin)},
	}
	activation := plugin.Plugin.Spec.Activation
	step.mode = plugin.Options.Mode(plugin.Plugin.Spec)
	untried := r.Rollouts.refused()
	if untried && step.mode == wasmv1alpha1.ActivationSafe {
		step.mode = wasmv1alpha1.ActivationImmediate
	}
	step.state = rollout.State{
		Mode: step.mode, Wanted: pair.Content,
		Standing: r.Rollouts.content(step.key.NamespacedName, children, pair),
		Trial:    standingTrial(children), Now: time.Now(),
		Deadline: defaultDeadline, OnDeadline: activation.OnDeadline,
		Refresh: plugin.Plugin.Annotations[wasmv1alpha1.AnnotationRefresh],
		Turn:    true,
	}
	if untried {
		step.state.Mode = wasmv1alpha1.ActivationImmediate
	}
	if activation.DeadlineSeconds > 0 {
		step.state.Deadline = time.Duration(activation.DeadlineSeconds) * time.Second
	}
	step.matched, step.state.Known = r.Rollouts.Proxies.Matching(step.key.NamespacedName, pair.Expectation.Reach)
	step.state.Matched = len(step.matched)
	if err := step.ask(); err != nil {
		return nil, err
	}
	if err := step.askCanaries(); err != nil {
		return nil, err
	}
	step.decide()
	return step, nil
}

// ask finds out what proxies make of the trial, and of what is in force.
func (s *roll) ask() error {
	var err error
	if s.trial, err = translate.Trial(s.Input, s.state.Trial.ID()); err != nil && !errors.Is(err, translate.ErrNoTrial) {
		return err
	}
	if s.state.Trial.Stands && s.state.Trial.Content == s.pair.Content && err == nil {
		s.holdTurn()
		s.onTrial = s.rollouts.Proxies.Follow(s.trialKey(), s.trial.Expectation)
		s.state.OnTrial = answers(s.onTrial)
	}
	if s.state.Standing == s.pair.Content || s.state.Mode == wasmv1alpha1.ActivationImmediate {
		s.follow()
	}
	return nil
}

func (s *roll) trialKey() proxies.Key {
	return proxies.Key{NamespacedName: s.key.NamespacedName, Trial: true}
}

// follow asks what proxies make of the pair that the spec asks for.
func (s *roll) follow() {
	s.inForce = s.rollouts.Proxies.Follow(s.key, s.pair.Expectation)
	s.inForce.Rejections = s.remembered(s.inForce.Rejections)
	if s.state.Mode != wasmv1alpha1.ActivationImmediate {
		s.inForce = certain(s.inForce)
	}
	s.state.InForce = answers(s.inForce)
}

// certain is a report of content that a trial has proven, so that nothing can be hidden.
func certain(report proxies.Report) proxies.Report {
	report.Programmed, report.Uncertain = report.Programmed+report.Uncertain, 0
	return report
}

func answers(report proxies.Report) rollout.Answers {
	return rollout.Answers{
		Complete: report.Complete() && report.Matched > 0, Rejected: len(report.Rejections) > 0,
		Blocked: len(report.Blocked) > 0, Unblocked: report.Unblocked,
		Uncertain: report.Uncertain > 0 && report.Programmed+report.Uncertain == report.Matched && len(report.Unread) == 0,
	}
}

// decide takes the plugin's turn where one is needed.
func (s *roll) decide() {
	s.decision = rollout.Decide(s.state)
	if s.decision.Action == rollout.Try && !s.rollouts.takeTurn(s.key.NamespacedName, s.matched, false) {
		s.state.Turn = false
		s.decision = rollout.Decide(s.state)
	}
	if !s.needsTurn() {
		s.rollouts.endTurn(s.key.NamespacedName)
	}
}

// standingTrial reads what stands, or is remembered, of a trial.
func standingTrial(children apply.Children) rollout.Trial {
	var trial rollout.Trial
	trial.Exists, trial.Stands, trial.Content, trial.Memory = whatStands[rollout.Memory](children, translate.TrialRoles, wasmv1alpha1.AnnotationTrial)
	trial.Stands = trial.Stands && len(trial.Rejections) == 0
	return trial
}

// whatStands says which halves there are of a pair of these roles, whether both have the same content, and what is remembered
// beside them. Of one whose memory can't be read nothing counts but that it is there.
func whatStands[M any](children apply.Children, roles []wasmv1alpha1.EnvoyFilterRole, annotation string) (exists, both bool, content string, memory M) {
	config, filter := children[roles[0]], children[roles[1]]
	exists = config != nil || filter != nil
	if config == nil || json.Unmarshal([]byte(config.Annotations[annotation]), &memory) != nil {
		return exists, false, "", *new(M)
	}
	content = config.Annotations[wasmv1alpha1.AnnotationContent]
	return exists, filter != nil && filter.Annotations[wasmv1alpha1.AnnotationContent] == content, content, memory
}

// memoryText is how a memory of a trial or a canary stands in an annotation.
func memoryText(memory any) (string, error) {
	text, err := json.Marshal(memory)
	if err != nil {
		return "", fmt.Errorf("remember how a change went: %w", err)
	}
	return string(text), nil
}

// act does what was decided, and then takes away what has had its time.
func (r *WasmPluginReconciler) act(ctx context.Context, step *roll) error {
	if step.decision.Silence {
		if err := r.silence(ctx, step.owner, &step.pair, step.children); err != nil {
			return err
		}
	}
	if err := r.write(ctx, step); err != nil {
		return err
	}
	if step.decision.EndCanary {
		if err := r.endCanary(ctx, step.owner, step.children); err != nil {
			return err
		}
	}
	if step.decision.EndTrial {
		if err := apply.Withdraw(ctx, r.Client, step.owner, translate.TrialRoles, nil, step.children); err != nil {
			return err
		}
		r.Rollouts.endTrial(step.key.NamespacedName)
	}
	return nil
}

func (r *WasmPluginReconciler) write(ctx context.Context, step *roll) error {
	switch step.decision.Action {
	case rollout.Bring:
		return r.bringIntoForce(ctx, step)
	case rollout.Try:
		return r.try(ctx, step)
	case rollout.Refuse:
		return r.refuse(ctx, step)
	case rollout.ToCanary:
		return r.toCanary(ctx, step)
	case rollout.TakeBack:
		return r.takeBack(ctx, step)
	case rollout.Hold:
		switch step.decision.Phase { // what stands may have been edited
		case rollout.OnTrial, rollout.TimedOut:
			return r.try(ctx, step)
		case rollout.OnCanary:
			return r.toCanary(ctx, step)
		default:
		}
	}
	return nil
}

func (r *WasmPluginReconciler) bringIntoForce(ctx context.Context, step *roll) error {
	step.observePassed()
	if canary := step.state.Canary; canary.Stands && canary.Content == step.pair.Content && step.state.Standing != step.pair.Content {
		metrics.CanariesEnded.WithLabelValues(metrics.CanaryPromoted).Inc()
	}
	// From before the write, so that what proxies say by then isn't taken for an answer to it.
	step.follow()
	if err := step.nudge(); err != nil {
		return err
	}
	var err error
	if step.owner.Rejected, err = step.rejected(); err != nil {
		return err
	}
	before, began := step.children[wasmv1alpha1.EnvoyFilterFilter], time.Now()
	err = apply.Pair(ctx, r.Client, r.Live, step.owner, step.pair, step.children)
	if r.Rollouts.moved(step.key, before, step.children[wasmv1alpha1.EnvoyFilterFilter], began) {
		step.follow()
	}
	if err != nil {
		return err
	}
	r.Rollouts.remember(step.key.NamespacedName, step.pair.Content)
	return nil
}

func (r *WasmPluginReconciler) try(ctx context.Context, step *roll) error {
	memory := step.state.Trial.Memory
	if step.decision.Action == rollout.Try {
		memory = step.decision.Memory
		var err error
		if step.trial, err = translate.Trial(step.Input, memory.ID()); err != nil {
			return err
		}
	}
	step.onTrial = r.Rollouts.Proxies.Follow(step.trialKey(), step.trial.Expectation)
	var err error
	if step.owner.Trial, err = memoryText(memory); err != nil {
		return err
	}
	return apply.Pair(ctx, r.Client, r.Live, step.owner, step.trial, step.children)
}

func (r *WasmPluginReconciler) refuse(ctx context.Context, step *roll) error {
	memory := step.decision.Memory
	memory.Rejections, memory.Total = step.rejectionsOf(step.onTrial.Rejections), len(step.onTrial.Rejections)
	step.decision.Memory = memory
	var err error
	if step.owner.Trial, err = memoryText(memory); err != nil {
		return err
	}
	if err := apply.Withdraw(ctx, r.Client, step.owner, translate.TrialRoles, &step.trial, step.children); err != nil {
		return err
	}
	observeTrial(step, metrics.TrialRefused)
	metrics.ProxyRejections.Add(float64(memory.Total))
	r.Rollouts.endTrial(step.key.NamespacedName)
	return nil
}

// observePassed counts a trial that has brought its content further.
func (s *roll) observePassed() {
	if !s.state.Trial.Stands || s.state.Trial.Content != s.pair.Content || s.state.Standing == s.pair.Content || s.state.Canary.Stands {
		return
	}
	result := metrics.TrialAccepted
	if !s.state.OnTrial.Complete {
		result = metrics.TrialTimedOut
	}
	observeTrial(s, result)
}

func observeTrial(step *roll, result string) {
	metrics.TrialSeconds.WithLabelValues(result).Observe(step.state.Now.Sub(step.state.Trial.Since).Seconds())
}
