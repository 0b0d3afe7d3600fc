// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
	"github.com/solarmesh/wasmplugin-operator/internal/apply"
	"github.com/solarmesh/wasmplugin-operator/internal/proxies"
	"github.com/solarmesh/wasmplugin-operator/internal/status"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// notAccepted leaves what stands as it is, but for a plugin that is switched off.
func (r *WasmPluginReconciler) notAccepted(ctx context.Context, plugin resolvedPlugin, problem error, children apply.Children,
	observation status.Observation,
) (status.Observation, later, error) {
	verdict, err := r.keep(ctx, plugin, nil, children, &observation)
	observation.Accepted, observation.Applied = rejection(problem, observation.Stands()), status.NotApplied(observation.Stands())
	observation.Applied = kept(verdict, observation)
	if r.Modules != nil {
		observation.ModuleResolved = status.NotLookedAt()
	}
	return observation, later{}, err
}

// withoutModule is the same for a plugin whose module isn't there, or doesn't start.
func (r *WasmPluginReconciler) withoutModule(ctx context.Context, plugin resolvedPlugin, pair translate.Pair, children apply.Children,
	observation status.Observation,
) (status.Observation, later, error) {
	verdict, err := r.keep(ctx, plugin, &pair, children, &observation)
	judgeModule(plugin.module, &observation)
	observation.Applied = kept(verdict, observation)
	if plugin.early && err == nil {
		return observation, later{wait: grace, quiet: true}, nil
	}
	return observation, later{}, err
}

// kept is what is said of EnvoyFilters that are not those of the spec, by the verdict on switching them off.
func kept(verdict status.Verdict, observation status.Observation) status.Verdict {
	switch {
	case verdict.Status == metav1.ConditionFalse:
		return verdict
	case !observation.Stands() && len(observation.EnvoyFilters) > 0:
		return status.SwitchedOff(observation.Applied.Reason)
	default:
		return observation.Applied
	}
}

// keep holds up nobody, and switches off what is to be off. It returns an error only where trying again may help.
func (r *WasmPluginReconciler) keep(ctx context.Context, plugin resolvedPlugin, pair *translate.Pair, children apply.Children,
	observation *status.Observation,
) (status.Verdict, error) {
	r.Rollouts.endTurn(client.ObjectKeyFromObject(plugin.Plugin))
	err := r.switchOff(ctx, plugin, pair, children)
	observation.EnvoyFilters = children.Standing(plugin.owner)
	off := r.canSwitchOff(plugin)
	observation.Untouched = err != nil || !off
	observation.Silent = err == nil && (off || plugin.Plugin.Status.Activation.State == wasmv1alpha1.StateOff)
	return applied(err, plugin)
}

// canSwitchOff says whether the plugin is to be off, and can be. A network filter can't (checkActivation): its connections
// would go on without it.
func (r *WasmPluginReconciler) canSwitchOff(plugin resolvedPlugin) bool {
	spec := plugin.Plugin.Spec
	return r.Options.Mode(spec) == wasmv1alpha1.ActivationOff && spec.Type != wasmv1alpha1.PluginTypeNetwork
}

// switchOff silences what is in force where that is asked for: who switches a plugin off means what runs, and doesn't wait for
// a module that can't be had, nor for a spec that is accepted: until then there is no pair.
func (r *WasmPluginReconciler) switchOff(ctx context.Context, plugin resolvedPlugin, pair *translate.Pair, children apply.Children) error {
	if !r.canSwitchOff(plugin) {
		return nil
	}
	if err := r.silence(ctx, plugin.owner, pair, children); err != nil {
		return err
	}
	return r.endCanary(ctx, plugin.owner, children)
}

// silence takes what is in force out of the filter chains.
func (r *WasmPluginReconciler) silence(ctx context.Context, owner apply.Owner, pair *translate.Pair, children apply.Children) error {
	before, began := children[wasmv1alpha1.EnvoyFilterFilter], time.Now()
	var err error
	if pair == nil {
		err = apply.SilenceStanding(ctx, r.Client, r.Live, owner, children)
	} else {
		err = apply.Silence(ctx, r.Client, owner, *pair, children)
	}
	r.Rollouts.moved(proxies.Key{NamespacedName: client.ObjectKeyFromObject(owner)}, before, children[wasmv1alpha1.EnvoyFilterFilter], began)
	return err
}
