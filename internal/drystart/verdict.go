// SPDX-License-Identifier: Apache-2.0

package drystart

import (
	"fmt"
)

// Outcome is what a dry start found out.
type Outcome string

const (
	// Accepted means that the plugin started and took its configuration.
	Accepted Outcome = "Accepted"
	// Refused means that Envoy would not run it.
	Refused Outcome = "Refused"
	// Inconclusive means that only a proxy can tell.
	Inconclusive Outcome = "Inconclusive"
)

// Stage is how far a plugin came.
type Stage string

const (
	// StageLoad is the module itself: its format, its imports and exports.
	StageLoad Stage = "load"
	// StageStart is the module's initialization, proxy_on_context_create and proxy_on_vm_start.
	StageStart Stage = "start"
	// StageConfigure is proxy_on_configure.
	StageConfigure Stage = "configure"
	// StageRequest is a request that the plugin serves; no check gets there.
	StageRequest Stage = "request"
)

// Verdict is what became of one plugin.
type Verdict struct {
	Outcome Outcome `json:"outcome"`
	// Stage and Reason say where and why the plugin was refused. A Reason without a Stage is why the outcome is Inconclusive
	// of a plugin that starts, but whose rules could not be compared with the schema that it carries.
	Stage  Stage  `json:"stage,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Exhausted: refused for the time or memory it took, which a larger bound might spare it.
	Exhausted bool `json:"exhausted,omitempty"`
	// Call is what the plugin asked for that only a proxy knows, where the outcome is Inconclusive.
	Call string `json:"call,omitempty"`
	// Logs are the plugin's own words, a few lines from the beginning and from the end, each with its level.
	Logs []string `json:"logs,omitempty"`
}

func refused(stage Stage, format string, args ...any) *Verdict {
	return &Verdict{Outcome: Refused, Stage: stage, Reason: fmt.Sprintf(format, args...)}
}

func exhausted(stage Stage, format string, args ...any) *Verdict {
	verdict := refused(stage, format, args...)
	verdict.Exhausted = true
	return verdict
}

func inconclusive(format string, args ...any) *Verdict {
	return &Verdict{Outcome: Inconclusive, Call: fmt.Sprintf(format, args...)}
}
