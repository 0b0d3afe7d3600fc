// SPDX-License-Identifier: Apache-2.0

package operate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	wasmv1alpha1 "github.com/solarmesh/wasmplugin-operator/api/v1alpha1"
)

// reasonNotSeen is for a generation that the operator has not looked at.
const reasonNotSeen = "NotSeen"

// view is what is said of a plugin. It is a report of what stands in the cluster, and judges nothing by itself.
type view struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Ready is True, False or Unknown, with the reason and the message of that condition.
	Ready   string `json:"ready"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
	// Rollout is how a change comes into force right now: Trial or Canary; empty where none does.
	Rollout    string                      `json:"rollout,omitempty"`
	Generation int64                       `json:"generation"`
	Observed   int64                       `json:"observedGeneration,omitempty"`
	Module     *wasmv1alpha1.ModuleStatus  `json:"module,omitempty"`
	Activation string                      `json:"activation,omitempty"`
	Mode       string                      `json:"mode,omitempty"`
	Delivery   string                      `json:"delivery,omitempty"`
	Proxies    *wasmv1alpha1.ProxiesStatus `json:"proxies,omitempty"`
	Conditions []conditionView             `json:"conditions"`
	// EnvoyFilters are the names of those that stand.
	EnvoyFilters []string  `json:"envoyFilters,omitempty"`
	Created      time.Time `json:"created"`
}

type conditionView struct {
	Type    string    `json:"type"`
	Status  string    `json:"status"`
	Reason  string    `json:"reason"`
	Message string    `json:"message,omitempty"`
	Since   time.Time `json:"since"`
}

// conditionOrder is that of the data: what fails first stands first.
var conditionOrder = []string{
	wasmv1alpha1.ConditionAccepted, wasmv1alpha1.ConditionModuleResolved, wasmv1alpha1.ConditionApplied,
	wasmv1alpha1.ConditionProgrammed, wasmv1alpha1.ConditionReady, wasmv1alpha1.ConditionReconciling, wasmv1alpha1.ConditionStalled,
}

func viewOf(plugin *wasmv1alpha1.WasmPlugin) view {
	status := &plugin.Status
	v := view{
		Namespace: plugin.Namespace, Name: plugin.Name, Ready: string(metav1.ConditionUnknown), Reason: reasonNotSeen,
		Message: "The operator has not looked at it yet; is it installed, and does it run?", Rollout: rolloutOf(status.EnvoyFilters),
		Generation: plugin.Generation, Observed: status.ObservedGeneration, Activation: string(status.Activation.State),
		Mode: string(status.Activation.Mode), Delivery: string(status.Delivery), Created: plugin.CreationTimestamp.Time,
	}
	if status.Module.Digest != "" {
		v.Module = &status.Module
	}
	if status.Proxies.Summary != "" {
		v.Proxies = &status.Proxies
	}
	for _, filter := range status.EnvoyFilters {
		v.EnvoyFilters = append(v.EnvoyFilters, filter.Name)
	}
	v.Conditions = conditionsOf(status.Conditions)
	switch ready := meta.FindStatusCondition(status.Conditions, wasmv1alpha1.ConditionReady); {
	case ready == nil:
	case status.ObservedGeneration != plugin.Generation:
		v.Message = fmt.Sprintf("The operator has looked at generation %d, and not yet at %d; what it said of the former: %s",
			status.ObservedGeneration, plugin.Generation, ready.Message)
	default:
		v.Ready, v.Reason, v.Message = string(ready.Status), ready.Reason, ready.Message
	}
	return v
}

func conditionsOf(conditions []metav1.Condition) []conditionView {
	views := make([]conditionView, 0, len(conditions))
	for _, c := range conditions {
		views = append(views, conditionView{c.Type, string(c.Status), c.Reason, c.Message, c.LastTransitionTime.Time})
	}
	place := func(c conditionView) int {
		if at := slices.Index(conditionOrder, c.Type); at >= 0 {
			return at
		}
		return len(conditionOrder)
	}
	slices.SortStableFunc(views, func(a, b conditionView) int { return cmp.Compare(place(a), place(b)) })
	return views
}

// rolloutOf tells by the filters that stand: a half with a configuration alone only remembers how it ended.
func rolloutOf(filters []wasmv1alpha1.EnvoyFilterStatus) string {
	for _, filter := range filters {
		switch filter.Role {
		case wasmv1alpha1.EnvoyFilterTrialFilter:
			return "Trial"
		case wasmv1alpha1.EnvoyFilterCanaryFilter:
			return "Canary"
		case wasmv1alpha1.EnvoyFilterConfig, wasmv1alpha1.EnvoyFilterFilter, wasmv1alpha1.EnvoyFilterTrialConfig, wasmv1alpha1.EnvoyFilterCanaryConfig:
		}
	}
	return ""
}

// summary is PROXIES of kubectl get, with what else counts.
func (v view) summary() string {
	if v.Proxies == nil {
		return ""
	}
	if refused := v.Proxies.RejectedTotal; refused != nil && *refused > 0 {
		return fmt.Sprintf("%s (%d refused)", v.Proxies.Summary, *refused)
	}
	return v.Proxies.Summary
}

func (v view) digest() string {
	if v.Module == nil {
		return ""
	}
	return cmp.Or(v.Module.ShortDigest, strings.TrimPrefix(v.Module.Digest, "sha256:"))
}

// state is what is on, in one word.
func (v view) state() string {
	return cmp.Or(v.Rollout, v.Activation)
}
