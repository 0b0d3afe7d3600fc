// SPDX-License-Identifier: Apache-2.0

package proxies

import (
	"errors"
	"slices"
	"testing"
)

func TestUnread(t *testing.T) {
	fails := func(w *watch) { w.asker.err = &Error{Istiod: "istiod-a", Reason: TimedOut, Text: "doesn't answer"} }
	answers := func(w *watch) { w.asker.gateway(nonce7); w.polls(1, dense) }
	tests := map[string]struct {
		do   func(*watch)
		want []string
	}{
		"never looked":   {func(w *watch) { w.looked = false }, []string{"no istiod has been asked yet"}},
		"none there":     {func(w *watch) { delete(w.istiods, "istiod-a") }, []string{"there is no istiod to ask"}},
		"not found":      {func(w *watch) { w.Find = finds(nil, errors.New("no slices")); w.look(w.t.Context()) }, []string{"istiod can't be found: no slices"}},
		"not answered":   {func(*watch) {}, []string{"istiod istiod-a has not answered yet"}},
		"answers":        {answers, nil},
		"fails":          {func(w *watch) { fails(w); w.polls(1, dense) }, []string{"istiod istiod-a: doesn't answer"}},
		"fails a moment": {func(w *watch) { answers(w); fails(w); w.polls(2, dense) }, nil},
		"fails for long": {func(w *watch) { answers(w); fails(w); w.polls(2, restarting) }, []string{"istiod istiod-a: doesn't answer"}},
		"two":            {func(w *watch) { w.add("istiod-0") }, []string{"istiod istiod-0 has not answered yet", "istiod istiod-a has not answered yet"}},
		"another alone":  {func(w *watch) { w.add("istiod-0"); answers(w) }, []string{"istiod istiod-0 has not answered yet"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWatch(t)
			test.do(w)
			if got := w.Unread(); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestEarly: what isn't known only since nobody could have answered by now isn't worth telling.
func TestEarly(t *testing.T) {
	fails := func(w *watch) {
		w.asker.err = &Error{Istiod: "istiod-a", Reason: TimedOut, Text: "doesn't answer"}
		w.polls(1, dense)
	}
	answers := func(w *watch) { w.asker.gateway(nonce7); w.polls(1, dense) }
	judge(t, func(w *watch) bool { return w.Early() }, map[string]judged{
		"never looked": {func(w *watch) { delete(w.istiods, "istiod-a"); w.looked = false }, true},
		"not found": {func(w *watch) {
			delete(w.istiods, "istiod-a")
			w.looked, w.Find = false, finds(nil, errors.New("no slices"))
			w.look(w.t.Context())
		}, false},
		"none there":               {func(w *watch) { delete(w.istiods, "istiod-a") }, false},
		"found":                    {func(*watch) {}, true},
		"found, and silent":        {func(w *watch) { w.now = w.now.Add(firstAnswer) }, false},
		"fails at once":            {fails, true},
		"fails for long":           {func(w *watch) { w.now = w.now.Add(firstAnswer); fails(w) }, false},
		"refuses":                  {func(w *watch) { w.asker.err = &Error{Istiod: "istiod-a", Reason: Denied}; w.polls(1, dense) }, false},
		"answers":                  {answers, false},
		"answers, another is new":  {func(w *watch) { answers(w); w.add("istiod-0") }, true},
		"answers, another silent":  {func(w *watch) { w.add("istiod-0"); w.now = w.now.Add(firstAnswer); answers(w) }, false},
		"answered, and fails then": {func(w *watch) { answers(w); fails(w) }, false},
	})
}
