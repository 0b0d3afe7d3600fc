// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

func named(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: "shop", Name: name}
}

// TestTurns plays some steps: "take a: p q" has a taken its turn in the proxies p and q, "force" the same with force, and
// "release a" ends its turn. What is wanted of a step is whether it is a's turn, or whose turn it is then.
func TestTurns(t *testing.T) {
	type step struct{ do, want string }
	tests := map[string][]step{
		"one has its turn":        {{"take a: p q", "yes"}, {"take a: p q", "yes"}, {"release a", ""}},
		"one waits for it":        {{"take a: p q", "yes"}, {"take b: q r", "no"}, {"release a", "b"}, {"take b: q r", "yes"}},
		"others have other ones":  {{"take a: p", "yes"}, {"take b: q", "yes"}, {"take c: r", "yes"}, {"release b", ""}, {"take d: p", "no"}},
		"one proxy holds it up":   {{"take a: p", "yes"}, {"take b: q", "yes"}, {"take c: p q", "no"}, {"release a", ""}, {"release b", "c"}},
		"the first that came":     {{"take a: p", "yes"}, {"take b: p", "no"}, {"take c: p", "no"}, {"release a", "b"}, {"take b: p", "yes"}, {"release b", "c"}},
		"two at once":             {{"take a: p q", "yes"}, {"take b: p", "no"}, {"take c: q", "no"}, {"release a", "b c"}, {"take c: q", "yes"}, {"take b: p", "yes"}},
		"none overtakes":          {{"take a: p", "yes"}, {"take b: q", "yes"}, {"take c: p q", "no"}, {"take d: q", "no"}, {"release b", ""}, {"release a", "c"}},
		"asking again keeps it":   {{"take a: p", "yes"}, {"take b: p", "no"}, {"take c: p", "no"}, {"take b: p", "no"}, {"release a", "b"}},
		"it waits in other ones":  {{"take a: p", "yes"}, {"take b: p", "no"}, {"take b: q", "yes"}, {"release a", ""}},
		"who waits gives up":      {{"take a: p", "yes"}, {"take b: p", "no"}, {"take c: p", "no"}, {"release b", ""}, {"release a", "c"}},
		"a standing one takes it": {{"take a: p", "yes"}, {"force b: p q", "yes"}, {"take a: p", "no"}, {"release b", "a"}},
		"it is taken in part":     {{"take a: p q", "yes"}, {"force b: q", "yes"}, {"take c: p", "no"}, {"release a", "c"}, {"take c: p", "yes"}, {"take d: q", "no"}, {"release b", "d"}},
		"force ends its waiting":  {{"take a: p", "yes"}, {"take b: p", "no"}, {"force b: p", "yes"}, {"release b", ""}},
		"an unknown one goes":     {{"release a", ""}, {"take a: p", "yes"}, {"release b", ""}, {"take b: p", "no"}},
		"no proxies, no waiting":  {{"take a: p", "yes"}, {"take b:", "yes"}, {"release b", ""}},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			var turns turns
			for i, step := range steps {
				if got := play(&turns, step.do); got != step.want {
					t.Fatalf("%d. %s: got %q, want %q", i+1, step.do, got, step.want)
				}
			}
		})
	}
}

func play(turns *turns, step string) string {
	plugin, proxies, _ := strings.Cut(step, ":")
	verb, name, _ := strings.Cut(plugin, " ")
	if verb == "release" {
		var next []string
		for _, plugin := range turns.release(named(name)) {
			next = append(next, plugin.Name)
		}
		return strings.Join(next, " ")
	}
	if turns.take(named(name), strings.Fields(proxies), verb == "force") {
		return "yes"
	}
	return "no"
}

// TestTurnsLeaveNothing: the operator runs for years.
func TestTurnsLeaveNothing(t *testing.T) {
	var turns turns
	for _, step := range []string{"take a: p q", "take b: q", "take c: p", "release a", "take b: q", "take c: p", "release b", "release c"} {
		play(&turns, step)
	}
	if len(turns.holder) > 0 || len(turns.queue) > 0 {
		t.Errorf("%v hold and %v wait", turns.holder, turns.queue)
	}
}

// TestWaiterIsAskedByWhatItSaidLast: the proxies that it matches change.
func TestWaiterIsAskedByWhatItSaidLast(t *testing.T) {
	var turns turns
	play(&turns, "take a: p q")
	play(&turns, "take b: p")
	play(&turns, "take b: p q")
	play(&turns, "take c: q")
	if got := turns.release(named("a")); !slices.Equal(got, []types.NamespacedName{named("b")}) {
		t.Errorf("got %v", got)
	}
}
