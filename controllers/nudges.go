// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"time"

	"github.com/solarmesh/wasmplugin-operator/internal/apply"
	"github.com/solarmesh/wasmplugin-operator/internal/translate"
)

// Where a proxy refuses what it is sent because of something else, istiod doesn't send it again when that is mended, until
// something changes. So something is changed that is a change for istiod and none for Envoy: a nudge.
const (
	firstNudge = 5 * time.Second
	lastNudge  = 10 * time.Minute
)

// nudged renders a pair as it was nudged last.
func nudged(plugin *resolvedPlugin, pair translate.Pair, children apply.Children) (translate.Pair, error) {
	nudge := children.Nudge()
	if nudge == 0 || children.Content() != pair.Content {
		return pair, nil
	}
	plugin.Nudge, plugin.owner.Nudge = nudge, nudge
	return translate.Translate(plugin.Input)
}

// nudge has proxies asked again where that may help: at once where they are known to be free to take it, otherwise ever
// less often.
func (s *roll) nudge() error {
	report := s.inForce
	if s.state.Standing != s.pair.Content || len(report.Rejections) > 0 {
		return nil
	}
	due := report.Unblocked || (report.Stuck && report.Waited > time.Second)
	if len(report.Blocked) > 0 {
		wait := min(firstNudge<<min(s.Nudge, 10), lastNudge)
		due = due || report.Waited > wait
		s.nudgeAgain = wait - report.Waited
	}
	if !due {
		return nil
	}
	s.Nudge++
	s.owner.Nudge = s.Nudge
	pair, err := translate.Translate(s.Input)
	if err != nil {
		return err
	}
	s.pair = pair
	s.follow()
	return nil
}
