// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/solarmesh/wasmplugin-operator/internal/rollout"
)

// turns keep two plugins from being on trial in one proxy at a time: a proxy answers for all that it is sent, and its next
// acknowledgement hides what it refused.
type turns struct {
	// holder has, for each proxy, the plugin that is on trial in it.
	holder map[string]types.NamespacedName
	// queue are those that wait, in the order in which they came.
	queue []waiter
}

type waiter struct {
	plugin types.NamespacedName
	where  []string
}

// take says whether it is a plugin's turn in some proxies. Force takes it away from others: that is for a trial that stands
// already.
func (t *turns) take(plugin types.NamespacedName, where []string, force bool) bool {
	if !force && !t.free(plugin, where) {
		at := slices.IndexFunc(t.queue, func(w waiter) bool { return w.plugin == plugin })
		if at < 0 {
			t.queue = append(t.queue, waiter{plugin, where})
		} else {
			t.queue[at].where = where
		}
		return false
	}
	if t.holder == nil {
		t.holder = map[string]types.NamespacedName{}
	}
	for _, proxy := range where {
		t.holder[proxy] = plugin
	}
	t.leave(plugin)
	return true
}

func (t *turns) free(plugin types.NamespacedName, where []string) bool {
	for _, proxy := range where {
		if holder, held := t.holder[proxy]; held && holder != plugin {
			return false
		}
	}
	return true
}

func (t *turns) leave(plugin types.NamespacedName) {
	t.queue = slices.DeleteFunc(t.queue, func(w waiter) bool { return w.plugin == plugin })
}

// release ends a plugin's turn, and returns whose turn it is now: the first of those that wait in each proxy.
func (t *turns) release(plugin types.NamespacedName) []types.NamespacedName {
	before := len(t.holder) + len(t.queue)
	maps.DeleteFunc(t.holder, func(_ string, holder types.NamespacedName) bool { return holder == plugin })
	t.leave(plugin)
	if len(t.holder)+len(t.queue) == before {
		return nil // it held up nobody, as most plugins do
	}
	var next []types.NamespacedName
	taken := map[string]bool{}
	for _, w := range t.queue {
		if t.free(w.plugin, w.where) && !slices.ContainsFunc(w.where, func(proxy string) bool { return taken[proxy] }) {
			next = append(next, w.plugin)
		}
		for _, proxy := range w.where {
			taken[proxy] = true
		}
	}
	return next
}

// holdTurn keeps, or after a restart takes, the turn of a trial that stands, until its deadline.
func (s *roll) holdTurn() {
	if s.inTime() {
		s.rollouts.takeTurn(s.key.NamespacedName, s.matched, true)
	}
}

// needsTurn says whether others have to wait for this plugin, or it for them. Whoever doesn't answer until the deadline holds up
// no other plugin.
func (s *roll) needsTurn() bool {
	switch s.decision.Phase {
	case rollout.OnTrial, rollout.Queued:
		return true
	default:
		trial := s.state.Trial
		return trial.Stands && trial.Content == s.pair.Content && s.inTime()
	}
}

// inTime says that a trial hasn't come to its deadline.
func (s *roll) inTime() bool { return s.state.Now.Sub(s.state.Trial.Since) < s.state.Deadline }
