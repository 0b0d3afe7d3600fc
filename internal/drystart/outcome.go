// SPDX-License-Identifier: Apache-2.0

package drystart

import "strings"

// mostWords is how many of a plugin's last lines are repeated.
const mostWords = 5

// Summary is what the verdicts on all instances of a plugin come to.
type Summary struct {
	// Refused is the first instance's that Envoy would not run; nil where it would run all. The first instance has the
	// plugin's own rules, the others those of its overrides.
	Refused  *Verdict
	Instance int
	// Unsure is a clause on what the checker could not tell, of the first instance that has such a thing.
	Unsure string
}

// Summarize sums up.
func Summarize(verdicts []Verdict) Summary {
	var summary Summary
	for i, verdict := range verdicts {
		switch {
		case verdict.Outcome == Refused && summary.Refused == nil:
			summary.Refused, summary.Instance = &verdicts[i], i
		case verdict.Outcome == Inconclusive && summary.Unsure == "":
			summary.Unsure = verdict.unsure()
		}
	}
	return summary
}

// unsure is what an inconclusive verdict leaves open: the start itself, or only whether the rules fit their schema.
func (v Verdict) unsure() string {
	if v.Call == "" {
		return v.Reason
	}
	return "whether the plugin starts, only a proxy can tell: " + v.Call
}

// OfRules says whether it is the rules that are refused, rather than the module whatever its rules.
func (s Summary) OfRules() bool {
	return s.Refused != nil && s.Refused.Stage == StageConfigure
}

// Field is the field of a WasmPlugin that a refusal is about.
func (s Summary) Field() string {
	switch {
	case !s.OfRules():
		return "spec.url"
	case s.Instance > 0:
		return "spec.overrides"
	default:
		return "spec.rules"
	}
}

// Said is the last of what the plugin said itself.
func (v Verdict) Said() string {
	return strings.Join(v.Logs[max(0, len(v.Logs)-mostWords):], " | ")
}

// Words are why a plugin was refused, with what it said itself.
func Words(reason, said string) string {
	if said == "" {
		return reason
	}
	return reason + "; the plugin said: " + said
}
